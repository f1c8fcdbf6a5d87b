/*
 * What oneDNN reaches on this machine, now, called bare: the figure that the speed of conv2d and
 * linear is held against.
 */
#ifndef ATH_KERNELS_PEAK_DNNL_H
#define ATH_KERNELS_PEAK_DNNL_H

#include "kernels/op.h"

/* GFLOP/s of the primitive that users of oneDNN would take for a site of conv2d or linear: forward,
 * in backward the gradient of x where it is wanted, else that of the weight. Images channels last,
 * weights in the layout of its choice, no bias, operands warm; BF16 below ISA level v4 as f32. The
 * median of nine runs after one that is not counted. ENOTSUP for other ops; EDNNL, ENOMEM. */
ATH_MUST ath_err ath_peak_dnnl(const ath_site *site, double *gflops);

/* The same of what whole steps are held against: Stable Diffusion 1.5's 3x3 convolution at its finest
 * level and 512 pixels, forward. A tenth of a second. */
ATH_MUST ath_err ath_peak_conv(ath_dtype dtype, int32_t n_threads, double *gflops);

#endif
