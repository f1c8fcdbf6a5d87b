/* A sample of what the autoencoder says of a picture: mean + exp(log variance / 2) * noise. */
#ifndef ATH_TRAIN_POSTERIOR_H
#define ATH_TRAIN_POSTERIOR_H

#include "core/err.h"

/*
 * `moments` [pixels, 2 channels]: means, then logs of variances, which are held within -30 .. 20.
 * `noise` and `out` [pixels, channels]; `out` may be the noise. Not scaled by 0.18215: latents are
 * kept as they are and scaled where they are used. A NaN stays one.
 */
void ath_posterior_sample(int64_t pixels, int32_t channels, const float *moments,
                          const float *noise, float *out);

#endif
