/*
 * Learning rates over a run: schedules as pure functions of the number of optimizer updates done,
 * the same for any number of ranks (spec/training-semantics 6.4).
 */
#ifndef ATH_COORDINATOR_RATES_H
#define ATH_COORDINATOR_RATES_H

#include "core/err.h"

/* name, as jobs spell it, what it does after the warm-up */
#define ATH_RATE_MAP(X)                                       \
    X(CONSTANT, "constant", "stays; no warm-up")              \
    X(CONSTANT_WITH_WARMUP, "constant_with_warmup", "stays")  \
    X(LINEAR, "linear", "falls to zero in a straight line")   \
    X(POLYNOMIAL, "polynomial", "falls to end_lr by a power") \
    X(COSINE, "cosine", "falls to zero by half a cosine")     \
    X(COSINE_WITH_RESTARTS, "cosine_with_restarts", "falls, and starts over")

typedef enum ath_rate_kind {
#define ATH_RATE_ENUM(name, text, does) ATH_RATE_##name,
    ATH_RATE_MAP(ATH_RATE_ENUM)
#undef ATH_RATE_ENUM
        ATH_N_RATE_KINDS
} ath_rate_kind;

const char *ath_rate_name(ath_rate_kind kind);
/* EJOB with a proposal where there is no such schedule. */
ATH_MUST ath_err ath_rate_find(const char *name, ath_rate_kind *out);

typedef struct ath_rate {
    ath_rate_kind kind;
    int64_t n_updates; /* of the whole run */
    int64_t n_warmup;  /* updates; the first has rate 0 */
    int64_t n_cycles;  /* of cosine_with_restarts: 1 */
    double power;      /* of polynomial: 1 */
    double end_ratio;  /* of polynomial: the last rate over the first, below 1 */
} ath_rate;

/* EJOB where the schedule cannot be followed. */
ATH_MUST ath_err ath_rate_check(const ath_rate *rate);

/* What the learning rate is multiplied by in update `i` (from 0), in double. */
double ath_rate_at(const ath_rate *rate, int64_t i);

/* Updates of a warm-up that is given as a count, or as a share of the run (rounded down) where `share`
 * is above 0. EJOB where it is longer than the run. */
ATH_MUST ath_err ath_rate_warmup(int64_t steps, double share, int64_t n_updates, int64_t *out);

#endif
