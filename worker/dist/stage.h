/*
 * Where a rank is: step, phase, bucket, and whether it waits for others, in one word that the main thread
 * writes and the watch reads (watch.h). Phases of a run are called stages here; those of a step's program
 * are others. Setting one reads a clock and stores a few words: no lock, no call of the system.
 */
#ifndef ATH_DIST_STAGE_H
#define ATH_DIST_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, text */
#define ATH_STAGE_MAP(X)                                                                 \
    X(START, "start")     /* reading, planning, opening the model, making the trainer */ \
    X(CACHE, "cache")     /* pictures to latents, captions to states */                  \
    X(LOAD, "load")       /* waiting for a micro-batch's pictures */                     \
    X(COMPUTE, "compute") /* forward and backward */                                     \
    X(REDUCE, "reduce")   /* summing the gradients of all ranks */                       \
    X(UPDATE, "update")   /* the optimizer, sharing what is new */                       \
    X(RECORD, "record")   /* the curve */                                                \
    X(SAVE, "save")       /* checkpoints and models */                                   \
    X(SAMPLE, "sample")   /* drawing pictures */                                         \
    X(END, "end")

typedef enum ath_stage {
#define ATH_STAGE_ENUM(name, text) ATH_STAGE_##name,
    ATH_STAGE_MAP(ATH_STAGE_ENUM)
#undef ATH_STAGE_ENUM
        ATH_N_STAGES
} ath_stage;

const char *ath_stage_name(ath_stage stage);

/* The main thread alone. A step begins: from now on, `step` is meant; -1: none. */
void ath_stage_step(int64_t step);
void ath_stage_enter(ath_stage stage);
void ath_stage_bucket(int32_t bucket);
/* Around every call that returns only when other ranks have done their part. */
void ath_stage_wait(bool waits);

/* The word, from any thread. */
uint64_t ath_stage_word(void);

typedef struct ath_place {
    int64_t step;   /* -1: none yet */
    int32_t bucket; /* -1: none */
    ath_stage stage;
    bool waits;
} ath_place;

/* What a word says, whoever sent it. */
ath_place ath_stage_place(uint64_t word);

enum { ATH_PLACE_TEXT = 96 };
/* "in reduce of step 12 (bucket 3), waiting for others"; returns `out`. */
char *ath_place_print(ath_place place, char out[ATH_PLACE_TEXT]);

#endif
