/* What the CUDA backend has for each op of ops.def: x.cu, x_cublaslt.c or x_cudnn.c defines
 * ath_cuda_op_x. One that nobody defines is no kernel. */
#ifndef ATH_KERNELS_CUDA_OPS_H
#define ATH_KERNELS_CUDA_OPS_H

#include "kernels/cuda.h"
#include "kernels/ops.h"

#define OP(name) extern const ath_cuda_op ath_cuda_op_##name __attribute__((weak));
#include "kernels/ops.def"
#undef OP

/* By op's index. */
extern const ath_cuda_op *const ath_cuda_table[ATH_N_OPS];

#endif
