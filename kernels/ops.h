/* The list of ops as a table. Attribute structs and contracts are in each op's own header. */
#ifndef ATH_KERNELS_OPS_H
#define ATH_KERNELS_OPS_H

#include "kernels/op.h"

#define OP(name) extern const ath_op ath_op_##name;
#include "kernels/ops.def"
#undef OP

enum {
#define OP(name) ATH_OP_INDEX_##name,
#include "kernels/ops.def"
#undef OP
    ATH_N_OPS
};

extern const ath_op *const ath_ops[ATH_N_OPS];

/* NULL where there is no such op. */
const ath_op *ath_op_find(const char *name);

#endif
