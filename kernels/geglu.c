#include "kernels/geglu.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(geglu_fwd);
ATH_REF_DECLARE(geglu_bwd);
ATH_ISA_DISPATCH(geglu_fwd);
ATH_ISA_DISPATCH(geglu_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    char text[ATH_DESC_TEXT];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("geglu", "x", &in[0]));
    ATH_NEED(ath_desc_last(&in[0]) % 2 == 0, ATH_ESHAPE, "geglu: x is %s, wanted an even last axis",
             ath_desc_print(&in[0], text));
    out[0] = in[0];
    out[0].dim[in[0].n_dim - 1] /= 2;
    return ATH_OK;
}

const ath_op ath_op_geglu = {
    .name = "geglu",
    .n_in = 1,
    .n_out = 1,
    .bwd_reads = ATH_READS_IN(0),
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(geglu_fwd), [ATH_CPU] = {.run = ath_geglu_fwd_cpu,
                                                     .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(geglu_bwd), [ATH_CPU] = {.run = ath_geglu_bwd_cpu,
                                                     .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
