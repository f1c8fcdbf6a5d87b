/*
 * Normal noise by Philox4x32-10 (core/rng.h): a pure function of its key, so nothing is ever saved.
 *
 *     element i of image n is normal number i % 4 of the block with
 *         key     (key[n][0], key[n][1])                   the seed, low and high word
 *         counter (i / 4, attr.kind, key[n][2], key[n][3])  kind of draw; epoch; sample
 *
 *     in  key  [N,4]  i32 (bits of uint32)     out  y  [N,dim...]  f32 (f64 under ref64: same values)
 *
 * No gradient.
 */
#ifndef ATH_KERNELS_NOISE_H
#define ATH_KERNELS_NOISE_H

#include "kernels/op.h"

typedef struct ath_noise_attr {
    int32_t kind;  /* what is drawn: keeps the draws of one sample apart */
    int32_t dtype; /* F32, or F64 */
    int32_t n_dim; /* of one image: 1 to 4 */
    int32_t dim[4];
} ath_noise_attr;

#endif
