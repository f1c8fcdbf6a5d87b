#include "kernels/mix.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(mix_fwd);
ATH_REF_DECLARE(mix_bwd);
ATH_ISA_DISPATCH(mix_fwd);
ATH_ISA_DISPATCH(mix_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *x = &in[0];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("mix", "x", x));
    ATH_TRY(ath_need_axes("mix", "x", x, 1));
    ATH_TRY(ath_need_alike("mix", "z", &in[1], x));
    for (int i = 2; i < 4; i++) {
        const char *name = i == 2 ? "a" : "b";
        ATH_TRY(ath_need_dtype("mix", name, &in[i], ath_full_dtype(x)));
        ATH_TRY(ath_need_shape("mix", name, &in[i], ATH_SHAPE(x->dim[0])));
    }
    out[0] = *x;
    return ATH_OK;
}

const ath_op ath_op_mix = {
    .name = "mix",
    .n_in = 4,
    .n_out = 1,
    .no_grad = 1u << 2 | 1u << 3,
    .bwd_reads = ATH_READS_IN(2) | ATH_READS_IN(3),
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(mix_fwd), [ATH_CPU] = {.run = ath_mix_fwd_cpu,
                                                   .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(mix_bwd), [ATH_CPU] = {.run = ath_mix_bwd_cpu,
                                                   .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
