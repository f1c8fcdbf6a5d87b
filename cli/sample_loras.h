/* The adapters that athanor sample puts beside the model: --lora FILE[:WEIGHT][,FILE...]. */
#ifndef ATH_CLI_SAMPLE_LORAS_H
#define ATH_CLI_SAMPLE_LORAS_H

#include "worker/adapter/adapter_file.h"

enum { ATH_SAMPLE_LORAS_MAX = 8 };

typedef struct ath_sample_lora {
    ath_adapter_file *file;
    ath_lora lora;
    char name[16]; /* in the networks */
} ath_sample_lora;

/* {0} is none. It may not be moved while networks use it. */
typedef struct ath_sample_loras {
    ath_sample_lora of[ATH_SAMPLE_LORAS_MAX];
    ath_adapter adapters[ATH_SAMPLE_LORAS_MAX];
    int32_t n;
    ath_str hashes; /* "name: hash, name: hash" as the WebUI notes them */
} ath_sample_loras;

/* `text` NULL: none. Opens them and looks whether they fit the model. */
ATH_MUST ath_err ath_sample_loras_open(ath_sample_loras *loras, const char *text,
                                       const ath_model_spec *spec);
ATH_MUST ath_err ath_sample_loras_load(const ath_sample_loras *loras, const ath_plan *plan,
                                       ath_weights *weights);
void ath_sample_loras_close(ath_sample_loras *loras);

#endif
