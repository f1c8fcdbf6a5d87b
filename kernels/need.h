/* Checks that shape rules share: each says "op: operand ... is ..., wanted ...". */
#ifndef ATH_KERNELS_NEED_H
#define ATH_KERNELS_NEED_H

#include "kernels/op.h"

/* F32, BF16 or F64: ATH_EDTYPE. */
ATH_MUST ath_err ath_need_activation(const char *op, const char *name, const ath_desc *d);
/* Of that dtype: ATH_EDTYPE. */
ATH_MUST ath_err ath_need_dtype(const char *op, const char *name, const ath_desc *d,
                                ath_dtype want);
/* The number type of parameters kept in full precision beside activation `x`: F64 for F64, else F32. */
ath_dtype ath_full_dtype(const ath_desc *x);
/* `d` has `n_dim` axes of these lengths (-1: any): ATH_ESHAPE. */
ATH_MUST ath_err ath_need_shape(const char *op, const char *name, const ath_desc *d, int n_dim,
                                const int64_t *dim);
/* `d` has the shape and dtype of `like`: ATH_ESHAPE, ATH_EDTYPE. */
ATH_MUST ath_err ath_need_alike(const char *op, const char *name, const ath_desc *d,
                                const ath_desc *like);
/* `d` has at least so many axes: ATH_ESHAPE. */
ATH_MUST ath_err ath_need_axes(const char *op, const char *name, const ath_desc *d, int n_dim_min);
#define ATH_SHAPE(...)                                                           \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) \
    {                                                                            \
        __VA_ARGS__                                                              \
    }

#endif
