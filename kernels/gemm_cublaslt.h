/*
 * The products of a call through cuBLASLt, each with an algorithm that was pinned when the call was
 * bound: the handle of the CUDA kernels of linear and lowrank.
 *
 * Binding asks the library's heuristic for the GPU that is current, so a plan for cuda is made where
 * its GPU is. Of the offered algorithms the first is taken that sums in a fixed order (no split over K,
 * or one whose parts are summed in f32 by a step of its own), with f32 sums, and for F32 operands without
 * tensor cores: their TF32 is not F32. Nothing is timed.
 *
 * F32 and BF16; the products of BF16 operands may be stored as F32.
 */
#ifndef ATH_KERNELS_GEMM_CUBLASLT_H
#define ATH_KERNELS_GEMM_CUBLASLT_H

#include "kernels/gemm.h"
#include "kernels/op.h"

typedef struct ath_gemms ath_gemms;

enum { ATH_GEMMS_MOST = 4 };

/* Without products; owned by bound->handle. ENOTSUP for F64. */
ATH_MUST ath_err ath_gemms_create(const ath_site *site, ath_bound *bound, ath_gemms **out);
/* Pins an algorithm for product `i`. ENOTSUP where the library offers none in a fixed order. */
ATH_MUST ath_err ath_gemms_add(ath_gemms *g, int i, const ath_gemm *gemm);
/* Books scratch, `own_bytes` of it for the op's own use, and names the algorithms. */
void ath_gemms_seal(ath_gemms *g, size_t own_bytes, ath_bound *bound);

/* Puts product `i` into the call's stream; `bias` of c's type, NULL where it has none. */
ATH_MUST ath_err ath_gemms_run(const ath_call *call, int i, const void *a, const void *b,
                               const void *bias, void *c);
/* The op's own part of the call's scratch, aligned to 64. */
void *ath_gemms_own(const ath_call *call);

/* A convolution of single pixels is a linear layer: the kernel functions of linear, for both. */
ath_err ath_linear_bind_fwd_cublaslt(const ath_site *site, ath_bound *bound);
ath_err ath_linear_bind_bwd_cublaslt(const ath_site *site, ath_bound *bound);
ath_err ath_linear_run_fwd_cublaslt(const ath_call *c);
ath_err ath_linear_run_bwd_cublaslt(const ath_call *c);
ath_err ath_linear_pack_cublaslt(const ath_call *c, int i, void *packed);

#endif
