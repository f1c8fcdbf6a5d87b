/* The autoencoder's encoder, one picture at a time in F32, compiled for the size that was last asked
 * for. One thread at a time. */
#ifndef ATH_DATA_ENCODER_H
#define ATH_DATA_ENCODER_H

#include "worker/data/latents.h"

typedef struct ath_encoder ath_encoder;
/* Borrows `load` and its context until destroy. */
ATH_MUST ath_err ath_encoder_create(const ath_latents_opts *opts, ath_encoder **out);
void ath_encoder_destroy(ath_encoder **encoder);

/* picture [height, width, 3] -> moments; ENAN where one is not finite. Sizes are multiples of the
 * autoencoder's. */
ATH_MUST ath_err ath_encoder_run(ath_encoder *encoder, int32_t width, int32_t height,
                                 const float *picture, float *moments);

#endif
