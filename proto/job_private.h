/* What the files about jobs share: rows of keys, forms of fields, the list of problems. */
#ifndef ATH_PROTO_JOB_PRIVATE_H
#define ATH_PROTO_JOB_PRIVATE_H

#include "proto/job.h"
#include "proto/message.h"
#include "proto/toml.h"

typedef struct ath_job_key {
    const char *path;
    double min, max; /* of numbers; both 0: no number */
    int64_t multiple;
    const char *help;
} ath_job_key;

enum { ATH_N_JOB_KEYS_MOST = 128, ATH_JOB_PATH_BYTES = 128 };
extern const ath_job_key ath_job_keys[];
extern const size_t ath_job_n_keys;

/* NULL where there is no such row. */
const ath_job_key *ath_job_key_find(const char *path);

/* How a field looks in TOML. */
typedef enum ath_job_form {
    ATH_JOB_TEXT,
    ATH_JOB_WORD,
    ATH_JOB_SWITCH,
    ATH_JOB_WHOLE,
    ATH_JOB_REAL,
    ATH_JOB_AMOUNT,
    ATH_JOB_SIZE,
    ATH_JOB_TABLE,
    ATH_N_JOB_FORMS
} ath_job_form;

ath_job_form ath_job_form_of(const ProtobufCFieldDescriptor *f);
bool ath_job_is_many(const ProtobufCFieldDescriptor *f);
size_t ath_job_element_bytes(const ProtobufCFieldDescriptor *f);

/* "base" of the field base_; "lora" of the enum's value LORA. `out` has ATH_JOB_PATH_BYTES bytes. */
void ath_job_key_of(const ProtobufCFieldDescriptor *f, char *out);
void ath_job_word_of(const ProtobufCEnumValue *v, char *out);
/* "data.train"; `table` is "" at the root. */
void ath_job_path_of(const char *table, const ProtobufCFieldDescriptor *f, char *out);

/* "a whole number, 1 to 4096": what a field may hold, for people. */
void ath_job_print_wanted(const ProtobufCFieldDescriptor *f, const ath_job_key *key, ath_str *to);

/* A value as TOML: of one element of the field; the key of a bare table or text is quoted. */
void ath_job_print_value(const ProtobufCFieldDescriptor *f, const void *value, ath_str *to);
/* All that a field holds: a value, a list, or the lines of its tables, whose path it has. */
void ath_job_print_field(const char *path, const ProtobufCFieldDescriptor *f,
                         const ProtobufCMessage *m, ath_str *to);

/* Reading: what is wrong is collected. */
typedef struct ath_job_problem {
    const char *source; /* the file, or "--set a=b" */
    ath_toml_place at;
    const char *text;
} ath_job_problem;

enum { ATH_JOB_PROBLEMS = 20 };

typedef struct ath_job_reader {
    ath_arena arena; /* the message and the texts of problems */
    const char *path;
    const ath_toml *root;
    const char *const *sets;
    int n_sets;
    const char *source; /* of what is read now */
    const char *raw;    /* while a --set is read: its value as given; else NULL */
    ath_job_problem problems[ATH_JOB_PROBLEMS];
    int n_problems; /* may be more than are kept */
} ath_job_reader;

/* Notes a problem; fails only for lack of memory. */
ATH_MUST ath_err ath_job_complain(ath_job_reader *r, ath_toml_place at, const char *fmt, ...)
    ATH_PRINTF(3, 4);
/* The same about a key, wherever it was set. */
ATH_MUST ath_err ath_job_complain_of(ath_job_reader *r, const char *key, const char *fmt, ...)
    ATH_PRINTF(3, 4);
/* Whether a --set names the key. */
bool ath_job_is_set(const ath_job_reader *r, const char *key);
/* EJOB with all problems, or ATH_OK where there is none. */
ATH_MUST ath_err ath_job_verdict(ath_job_reader *r);

/* What must fit together; settles what follows from other keys. */
ATH_MUST ath_err ath_job_rules(ath_job_reader *r, Athanor__Job *job);

#endif
