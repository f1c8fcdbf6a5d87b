/*
 * What stands beside the products of NVIDIA's libraries: own kernels, put into the call's stream. `c`
 * gives stream and site; all arrays lie on the device.
 */
#ifndef ATH_KERNELS_PRODUCT_CUDA_H
#define ATH_KERNELS_PRODUCT_CUDA_H

#include "kernels/op.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* y[i] = x[i], n of them, from f32 to bf16. */
ATH_MUST ath_err ath_cuda_narrow(const ath_call *c, const float *x, int64_t n, void *y);

/* x[m,n] *= factor[n] in place; rows as f32 or bf16 of shape `d`, columns last. */
ATH_MUST ath_err ath_cuda_scale_columns(const ath_call *c, const ath_desc *d, const float *factor,
                                        void *x);

/*
 * sum[n] (=|+=) x[0,n] + x[1,n] + ..., x f32 or bf16 of shape `d`, columns last; in f32. Rows are cut
 * into blocks by their number alone: within one, rows w, w + 8, ... for each w, then over w; the sums of
 * blocks are summed in the same way. `partials` has ath_cuda_column_sum_bytes(d) bytes.
 */
size_t ath_cuda_column_sum_bytes(const ath_desc *d);
ATH_MUST ath_err ath_cuda_column_sum(const ath_call *c, const ath_desc *d, const void *x,
                                     void *partials, bool add, float *sum);

/* Filters of a convolution: [O,C,taps] as stored, [O,taps,C] as products want them; f32 or bf16. */
typedef struct ath_filter {
    int64_t o, c, taps;
    ath_dtype dtype;
} ath_filter;

/* turned[o,t,c] = x[o,c,t] */
ATH_MUST ath_err ath_cuda_filter_turn(const ath_call *c, const ath_filter *f, const void *x,
                                      void *turned);
/* y[o,c,t] (=|+=) turned[o,t,c], y f32 */
ATH_MUST ath_err ath_cuda_filter_back(const ath_call *c, const ath_filter *f, const void *turned,
                                      bool add, float *y);

#if defined(__cplusplus)
}
#endif
#endif
