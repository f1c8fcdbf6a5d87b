/* What `athanor inspect` found. */
#ifndef ATH_CLI_INSPECT_H
#define ATH_CLI_INSPECT_H

#include "core/str.h"
#include "worker/model/kind.h"
#include "worker/model/spec.h"

typedef struct ath_inspect {
    const char *path;
    const char *word, *text; /* the kind, for programs and for people */
    ath_st *file[ATH_N_PARTS];
    const char *label[ATH_N_PARTS]; /* the part of a folder that a file is; "" for a single one */
    int n_files;
    int64_t n_tensors, n_values;
    size_t bytes;
    int64_t n_of[ATH_N_ST_DTYPES];
    int64_t n_modules; /* of an adapter: 0 where it is none */
    int64_t rank_min, rank_max;
    int64_t n_alphas;
    double alpha_min, alpha_max;
    bool is_model;   /* a whole model, or meant to be one */
    ath_str refusal; /* why it cannot be trained from; "" where it can */
} ath_inspect;

void ath_inspect_print(const ath_inspect *x, bool has_keys, ath_str *to);
ATH_MUST ath_err ath_inspect_print_json(const ath_inspect *x, bool has_keys, ath_str *to);

#endif
