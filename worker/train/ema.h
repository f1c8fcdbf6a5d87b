/* A moving average of the parameters: smoother weights for pictures and export. */
#ifndef ATH_TRAIN_EMA_H
#define ATH_TRAIN_EMA_H

#include "core/err.h"

typedef struct ath_ema_opts {
    double decay, min_decay; /* at most, at least; 0.9999, 0 */
    int64_t after;           /* steps before the average begins: till then it is the parameters */
    bool warmup; /* 1 - (1 + step / inv_gamma)^-power instead of (1 + step)/(10 + step) */
    double inv_gamma, power;
} ath_ema_opts;

/* How much of the average stays at a step, counted from 1. */
double ath_ema_decay(const ath_ema_opts *opts, int64_t step);

/* ema -= (1 - decay) (ema - value), each operation rounded to float. Element by element: any cut of the
 * parameters gives the same bits. */
void ath_ema_update(double decay, int64_t n, const float *value, float *ema);

#endif
