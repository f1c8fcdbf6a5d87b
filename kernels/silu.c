#include "kernels/silu.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(silu_fwd);
ATH_REF_DECLARE(silu_bwd);
ATH_ISA_DISPATCH(silu_fwd);
ATH_ISA_DISPATCH(silu_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("silu", "x", &in[0]));
    out[0] = in[0];
    return ATH_OK;
}

const ath_op ath_op_silu = {
    .name = "silu",
    .n_in = 1,
    .n_out = 1,
    .bwd_reads = ATH_READS_IN(0),
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(silu_fwd), [ATH_CPU] = {.run = ath_silu_fwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(silu_bwd), [ATH_CPU] = {.run = ath_silu_bwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
