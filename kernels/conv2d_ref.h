/* Scratch of the reference of conv2d, shared by its two passes. */
#ifndef ATH_KERNELS_CONV2D_REF_H
#define ATH_KERNELS_CONV2D_REF_H

#include "kernels/conv2d.h"

enum {
    CONV2D_REF_ROWS = 64,     /* pixels gathered at a time */
    CONV2D_REF_CHANNELS = 64, /* rows of dweight computed at a time */
};

/* One slab a thread: gathered rows of both operands and a block of results. */
static inline int64_t ath_conv2d_ref_slab(const ath_conv2d_dims *d)
{
    const int64_t wide = d->c > d->o ? d->c : d->o;
    return 2 * CONV2D_REF_ROWS * wide + CONV2D_REF_ROWS * CONV2D_REF_CHANNELS;
}

/* x, dy, and the weight tap by tap; then the slabs. */
static inline int64_t ath_conv2d_ref_reals(const ath_site *site)
{
    const ath_conv2d_dims d = ath_conv2d_get_dims(site);
    return d.n * d.h * d.w * d.c + d.n * d.p * d.q * d.o + d.o * d.c * d.i * d.j +
           site->n_threads * ath_conv2d_ref_slab(&d);
}

#endif
