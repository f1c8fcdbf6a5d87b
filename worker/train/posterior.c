#include "worker/train/posterior.h"

#include <math.h>

void ath_posterior_sample(int64_t pixels, int32_t channels, const float *moments,
                          const float *noise, float *out)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int32_t c = 0; c < channels; c++) {
            const float mean = moments[2 * p * channels + c];
            float log_variance = moments[(2 * p + 1) * channels + c];
            /* written so that a NaN passes both */
            if (log_variance < -30) log_variance = -30;
            if (log_variance > 20) log_variance = 20;
            out[p * channels + c] = mean + expf(0.5f * log_variance) * noise[p * channels + c];
        }
}
