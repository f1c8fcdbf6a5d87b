/*
 * An autoencoder that is constructed instead of learned: small models over it can be trained from
 * nothing and still draw clear pictures.
 *
 *     encode   means of the pixels over squares of 2^(n_levels-1) a side, less 1: white becomes 0, and
 *              so the zeros beyond a picture's edge are paper. Latents beyond the picture's channels
 *              are the means of those. The log-variance is -30: there is nothing to draw.
 *     decode   a step up doubles each pixel and weighs it with its neighbours by 1 2 1: linear
 *              interpolation, over paper at the edges; only the first latents are read.
 *
 * It is the network of vae.h with such weights that residual blocks and attention add nothing. Each
 * channel of a picture travels as a pair (x, -x), since silu(x) - silu(-x) = x; before the last norm
 * each group also gets a constant pair, which dominates its variance and so makes the norm a fixed
 * scale. What that leaves is an error of about x^2 / K^2 with K = 256: 1e-4 of a pixel's range.
 */
#ifndef ATH_MODEL_VAE_BOX_H
#define ATH_MODEL_VAE_BOX_H

#include "worker/model/params.h"

/* EFORMAT where a spec has no room for it: groups of four channels, a pair in them for each channel of
 * a picture, a latent for each too. */
ATH_MUST ath_err ath_vae_box_check(const ath_vae_spec *spec);

/* The values of a parameter, in the order of the checkpoint; `w` has room for them. */
void ath_vae_box_fill(const ath_vae_spec *spec, const ath_param *p, float *w);

#endif
