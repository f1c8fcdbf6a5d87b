#include "kernels/concat.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(concat_fwd);
ATH_REF_DECLARE(concat_bwd);
ATH_ISA_DISPATCH(concat_fwd);
ATH_ISA_DISPATCH(concat_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    ath_desc b = in[0];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("concat", "a", &in[0]));
    ATH_TRY(ath_need_axes("concat", "a", &in[0], 1));
    b.dim[b.n_dim - 1] = -1;
    ATH_TRY(ath_need_dtype("concat", "b", &in[1], b.dtype));
    ATH_TRY(ath_need_shape("concat", "b", &in[1], b.n_dim, b.dim));
    out[0] = in[0];
    out[0].dim[b.n_dim - 1] += ath_desc_last(&in[1]);
    return ATH_OK;
}

const ath_op ath_op_concat = {
    .name = "concat",
    .n_in = 2,
    .n_out = 1,
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(concat_fwd), [ATH_CPU] = {.run = ath_concat_fwd_cpu,
                                                      .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(concat_bwd), [ATH_CPU] = {.run = ath_concat_bwd_cpu,
                                                      .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
