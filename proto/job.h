/*
 * A job: one TOML file, read by the schema job.proto.
 *
 * What is read is complete: every key has its value, every table is there, so that a packed job
 * means the same in a later version with other defaults. Any thread.
 */
#ifndef ATH_PROTO_JOB_H
#define ATH_PROTO_JOB_H

#include "core/str.h"
#include "proto/job.pb-c.h"

/*
 * Reads `path`, puts `sets` over it ("train.steps=100"; a value as in TOML, and texts may lack their
 * quotes), checks keys, types, ranges and what must fit together. `name` is the file's where it is
 * not given; where train.steps is given and train.epochs is not, that is 0.
 *
 * EJOB lists what is wrong, up to 20 things, each with file:line:column, what was found and what is
 * wanted; EMISSING where there is no file.
 */
ATH_MUST ath_err ath_job_read(const char *path, const char *const *sets, int n_sets,
                              Athanor__Job **out);

/* The same from text of `n` bytes; `path` is its name in errors. */
ATH_MUST ath_err ath_job_read_text(const char *text, size_t n, const char *path,
                                   const char *const *sets, int n_sets, Athanor__Job **out);

/* Whether these are trained, directly or by an adapter: asked for, at a rate above 0, and named as a
 * target where targets are named. */
bool ath_job_trains_unet(const Athanor__Job *job);
bool ath_job_trains_text(const Athanor__Job *job);

/* Frees and clears; accepts NULL. */
void ath_job_free(Athanor__Job **job);

/* All of it as TOML, in the order of the schema; read again, it is the same job, bit for bit. */
void ath_job_print(const Athanor__Job *job, ath_str *to);

/* The bytes that go to the ranks and into checkpoints (ath_mem_free); equal jobs give equal bytes. */
ATH_MUST ath_err ath_job_pack(const Athanor__Job *job, uint8_t **out, size_t *n);

/* From such bytes. Keys they lack have their defaults; EFORMAT where they are no job or a value is
 * out of its range. */
ATH_MUST ath_err ath_job_unpack(const void *bytes, size_t n, Athanor__Job **out);

/* Each key whose value is another in `is` than in `was`, with both as TOML has them; an error of `each`
 * ends it. */
typedef ath_err ath_job_change_fn(void *context, const char *key, const char *was, const char *is);
ATH_MUST ath_err ath_job_changes(const Athanor__Job *was, const Athanor__Job *is,
                                 ath_job_change_fn *each, void *context);
/* Whether a run that was begun may go on with another value of this key: it changes no bit of the
 * weights. */
bool ath_job_is_free(const char *key);

/* Every key with default, range and meaning: for a terminal, and as docs/job.md. */
typedef enum ath_job_format { ATH_JOB_PLAIN, ATH_JOB_MARKDOWN, ATH_N_JOB_FORMATS } ath_job_format;
void ath_job_help(ath_job_format format, ath_str *to);

#endif
