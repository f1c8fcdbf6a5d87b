#include "kernels/add.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(add_fwd);
ATH_REF_DECLARE(add_bwd);
ATH_ISA_DISPATCH(add_fwd);
ATH_ISA_DISPATCH(add_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("add", "a", &in[0]));
    ATH_TRY(ath_need_alike("add", "b", &in[1], &in[0]));
    out[0] = in[0];
    return ATH_OK;
}

const ath_op ath_op_add = {
    .name = "add",
    .n_in = 2,
    .n_out = 1,
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(add_fwd), [ATH_CPU] = {.run = ath_add_fwd_cpu,
                                                   .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(add_bwd), [ATH_CPU] = {.run = ath_add_bwd_cpu,
                                                   .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
