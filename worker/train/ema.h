/* A moving average of the parameters: smoother weights for pictures and export. */
#ifndef ATH_TRAIN_EMA_H
#define ATH_TRAIN_EMA_H

#include "kernels/device.h"
#include "kernels/op.h"

typedef struct ath_ema_opts {
    double decay, min_decay; /* at most, at least; 0.9999, 0 */
    int64_t after;           /* steps before the average begins: till then it is the parameters */
    bool warmup; /* 1 - (1 + step / inv_gamma)^-power instead of (1 + step)/(10 + step) */
    double inv_gamma, power;
} ath_ema_opts;

/* How much of the average stays at a step, counted from 1. */
double ath_ema_decay(const ath_ema_opts *opts, int64_t step);

/* The average itself lies beside the parameters, on their device. */
typedef struct ath_ema ath_ema;
typedef struct ath_ema_on {
    ath_backend backend;
    int32_t n_threads;
    ath_buf value; /* F32, borrowed until destroy */
} ath_ema_on;
/* Begins with `first`, the parameters as they are. */
ATH_MUST ath_err ath_ema_create(const ath_ema_on *on, const float *first, ath_ema **out);
void ath_ema_destroy(ath_ema **ema);

/* The parameters are new: the op average, element by element. Waits for it. */
ATH_MUST ath_err ath_ema_update(ath_ema *ema, double decay);
/* The average where the host sees it: the memory itself, or a copy that is made anew after an update. */
ATH_MUST ath_err ath_ema_fetch(ath_ema *ema, float **out);
/* After the host changed what fetch gave. */
ATH_MUST ath_err ath_ema_store(ath_ema *ema);

#endif
