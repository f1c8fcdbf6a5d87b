#include "worker/train/ema.h"

#include <math.h>

double ath_ema_decay(const ath_ema_opts *o, int64_t step)
{
    const double n = (double)(step - o->after - 1);

    if (n <= 0) return 0;
    double decay = o->warmup ? 1 - pow(1 + n / o->inv_gamma, -o->power) : (1 + n) / (10 + n);
    if (decay > o->decay) decay = o->decay;
    return decay > o->min_decay ? decay : o->min_decay;
}

void ath_ema_update(double decay, int64_t n, const float *value, float *ema)
{
    const float rest = (float)(1 - decay);

    for (int64_t i = 0; i < n; i++) ema[i] -= rest * (ema[i] - value[i]);
}
