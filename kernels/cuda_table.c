#include "kernels/cuda_ops.h"

const ath_cuda_op *const ath_cuda_table[ATH_N_OPS] = {
#define OP(name) &ath_cuda_op_##name,
#include "kernels/ops.def"
#undef OP
};
