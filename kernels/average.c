#include "kernels/average.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(average_fwd);
ATH_ISA_DISPATCH(average_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *x = &in[0], *rest = &in[1];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_dtype("average", "x", x, ath_full_dtype(x)));
    ATH_TRY(ath_need_shape("average", "x", x, ATH_SHAPE(-1)));
    ATH_TRY(ath_need_dtype("average", "rest", rest, x->dtype));
    ATH_TRY(ath_need_shape("average", "rest", rest, ATH_SHAPE(1)));
    out[0] = *x;
    return ATH_OK;
}

const ath_op ath_op_average = {
    .name = "average",
    .n_in = 2,
    .n_out = 1,
    .no_grad = 1u | 2u,
    .updates = 1u,
    .infer = infer,
    .fwd = {ATH_REF_KERNELS_BITS(average_fwd, ATH_BITS_THREADS), [ATH_CPU] =
                                                                     {.run = ath_average_fwd_cpu,
                                                                      .bits = ATH_BITS_THREADS}},
};
