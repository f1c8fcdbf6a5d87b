#include "kernels/sample_loss.h"

#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(sample_loss_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *pred = &in[0], *target = &in[1];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("sample_loss", "pred", pred));
    ATH_TRY(ath_need_axes("sample_loss", "pred", pred, 1));
    ATH_TRY(ath_need_shape("sample_loss", "target", target, pred->n_dim, pred->dim));
    if (target->dtype != pred->dtype)
        ATH_TRY(ath_need_dtype("sample_loss", "target", target, ath_full_dtype(pred)));
    out[0] = (ath_desc){ATH_F64, 1, {pred->dim[0]}};
    return ATH_OK;
}

const ath_op ath_op_sample_loss = {
    .name = "sample_loss",
    .n_in = 2,
    .n_out = 1,
    .no_grad = 1u | 2u,
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(sample_loss_fwd)},
};
