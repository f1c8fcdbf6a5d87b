#include "kernels/mul.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(mul_fwd);
ATH_REF_DECLARE(mul_bwd);
ATH_ISA_DISPATCH(mul_fwd);
ATH_ISA_DISPATCH(mul_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("mul", "a", &in[0]));
    ATH_TRY(ath_need_dtype("mul", "b", &in[1], in[0].dtype));
    ATH_TRY(ath_need_shape("mul", "b", &in[1], in[0].n_dim, in[0].dim));
    out[0] = in[0];
    return ATH_OK;
}

const ath_op ath_op_mul = {
    .name = "mul",
    .n_in = 2,
    .n_out = 1,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1),
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(mul_fwd), [ATH_CPU] = {.run = ath_mul_fwd_cpu,
                                                   .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(mul_bwd), [ATH_CPU] = {.run = ath_mul_bwd_cpu,
                                                   .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
