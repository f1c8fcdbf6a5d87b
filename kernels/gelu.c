#include "kernels/gelu.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(gelu_fwd);
ATH_REF_DECLARE(gelu_bwd);
ATH_ISA_DISPATCH(gelu_fwd);
ATH_ISA_DISPATCH(gelu_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_gelu_attr *a = attr;

    (void)saved;
    ATH_NEED(a->quick == 0 || a->quick == 1, ATH_EINVAL, "gelu: quick is %d, wanted 0 or 1",
             a->quick);
    ATH_TRY(ath_need_activation("gelu", "x", &in[0]));
    out[0] = in[0];
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    ath_str_print(to, "%s", ((const ath_gelu_attr *)attr)->quick ? "quick" : "erf");
}

const ath_op ath_op_gelu = {
    .name = "gelu",
    .n_in = 1,
    .n_out = 1,
    .bwd_reads = ATH_READS_IN(0),
    .attr_bytes = sizeof(ath_gelu_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(gelu_fwd), [ATH_CPU] = {.run = ath_gelu_fwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(gelu_bwd), [ATH_CPU] = {.run = ath_gelu_bwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
