#include "tests/cuda/shim_library.h"

#include "kernels/cuda_ops.h"

bool ath_shim_has(const ath_op *op, ath_pass pass)
{
    for (int i = 0; i < ATH_N_OPS; i++)
        if (ath_ops[i] == op && ath_cuda_table[i])
            return (pass == ATH_FWD ? ath_cuda_table[i]->fwd : ath_cuda_table[i]->bwd).run != NULL;
    return false;
}

void ath_shim_install(void)
{
    static ath_cuda_op filled[ATH_N_OPS];
    static const ath_cuda_op *ops[ATH_N_OPS];
    static ath_cuda_library library;

    for (int i = 0; i < ATH_N_OPS; i++) {
        const ath_op *op = ath_ops[i];
        if (ath_cuda_table[i]) filled[i] = *ath_cuda_table[i];
        if (!ath_shim_has(op, ATH_FWD)) filled[i].fwd = op->fwd[ATH_REF];
        if (!ath_shim_has(op, ATH_BWD)) filled[i].bwd = op->bwd[ATH_REF];
        ops[i] = &filled[i];
    }
    library = (ath_cuda_library){.abi = ath_cuda_abi(), .ops = ops};
    ath_cuda_install(&library);
}
