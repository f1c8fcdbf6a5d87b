/*
 * For the reference kernels, x_ref.c: plain C in fixed order, compiled twice, with `real` as float
 * (backend ref) and as double (backend ref64). They are the specification, written for reading.
 *
 * Define them as   ath_err ATH_REF_NAME(conv2d_fwd)(const ath_call *c) { ... }
 * and name them in the descriptor with ATH_REF_KERNELS(conv2d_fwd): both columns at once.
 */
#ifndef ATH_KERNELS_REF_H
#define ATH_KERNELS_REF_H

#include "kernels/op.h"

#ifndef ATH_REF_DOUBLE
#define ATH_REF_DOUBLE 0
#endif

#if ATH_REF_DOUBLE
typedef double real;
#define ATH_REF_NAME(stem) ath_##stem##_ref64
#define ATH_REF_REAL       ATH_F64
#else
typedef float real;
#define ATH_REF_NAME(stem) ath_##stem##_ref
#define ATH_REF_REAL       ATH_F32
#endif

/* Prototypes of one pass, for the file that holds the descriptor. */
#define ATH_REF_DECLARE(stem)                    \
    ath_err ath_##stem##_ref(const ath_call *c); \
    ath_err ath_##stem##_ref64(const ath_call *c)

/* Initializers of the two reference columns: with `binder` for those that need scratch, with
 * `promised` for those that do not keep all promises of ATH_BITS_*. */
#define ATH_REF_KERNELS_FULL(stem, binder, promised)                             \
    [ATH_REF] = {.bind = (binder), .run = ath_##stem##_ref, .bits = (promised)}, \
    [ATH_REF64] = {.bind = (binder), .run = ath_##stem##_ref64, .bits = (promised)}
#define ATH_REF_KERNELS_BIND(stem, binder) \
    ATH_REF_KERNELS_FULL(stem, binder, ATH_BITS_THREADS | ATH_BITS_ROWS)
#define ATH_REF_KERNELS_BITS(stem, promised) ATH_REF_KERNELS_FULL(stem, NULL, promised)
#define ATH_REF_KERNELS(stem)                ATH_REF_KERNELS_BIND(stem, NULL)

/* Element i of an operand, and its write: F32, BF16, F16 or F64 storage. */
static inline real ref_get(const void *p, ath_dtype dtype, int64_t i)
{
    if (dtype == ATH_F32) return (real)((const float *)p)[i];
    if (dtype == ATH_F64) return (real)((const double *)p)[i];
    return (real)ath_dtype_get(p, dtype, i);
}

static inline void ref_put(void *p, ath_dtype dtype, int64_t i, real x)
{
    if (dtype == ATH_F32)
        ((float *)p)[i] = (float)x;
    else if (dtype == ATH_F64)
        ((double *)p)[i] = (double)x;
    else
        ath_dtype_put(p, dtype, i, (double)x);
}

/* Writes or adds a gradient. */
static inline void ref_grad(void *p, ath_dtype dtype, int64_t i, real x, bool add)
{
    ref_put(p, dtype, i, add ? ref_get(p, dtype, i) + x : x);
}

/* C[M,N] += A[M,K] B[K,N], row-major with the given row lengths, K summed in index order. The one
 * product under the references of conv2d, linear, lowrank, hadamard and attention. */
void ATH_REF_NAME(gemm)(int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *b,
                        int64_t ldb, real *c, int64_t ldc);

#endif
