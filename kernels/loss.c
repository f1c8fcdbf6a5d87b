#include "kernels/loss.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"
#include "kernels/span.h"

ATH_REF_DECLARE(loss_fwd);
ATH_REF_DECLARE(loss_bwd);
ATH_ISA_DISPATCH(loss_fwd);
ATH_ISA_DISPATCH(loss_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *pred = &in[0], *target = &in[1], *weight = &in[2];
    const ath_dtype full = ath_full_dtype(pred);

    (void)attr;
    ATH_TRY(ath_need_activation("loss", "pred", pred));
    ATH_NEED(pred->n_dim >= 1, ATH_ESHAPE, "loss: pred is a scalar, wanted [N,...]");
    ATH_TRY(ath_need_shape("loss", "target", target, pred->n_dim, pred->dim));
    if (target->dtype != pred->dtype) ATH_TRY(ath_need_dtype("loss", "target", target, full));
    ATH_TRY(ath_need_dtype("loss", "weight", weight, full));
    ATH_TRY(ath_need_shape("loss", "weight", weight, ATH_SHAPE(pred->dim[0])));
    out[0] = (ath_desc){.dtype = full};
    saved[0] = *weight;
    return ATH_OK;
}

/* One partial sum per span of each image. */
static ath_err bind_fwd_cpu(const ath_site *site, ath_bound *bound)
{
    const int64_t N = site->in[0].dim[0], n = ath_desc_count(&site->in[0]) / N;

    bound->scratch_bytes = (size_t)(N * span_count(n)) * sizeof(double);
    return ATH_OK;
}

/* Not ATH_BITS_ROWS: the loss and its gradient hold 1/N. */
const ath_op ath_op_loss = {
    .name = "loss",
    .n_in = 3,
    .n_out = 1,
    .n_saved = 1,
    .no_grad = 2u | 4u,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1) | ATH_READS_IN(2),
    .infer = infer,
    .fwd = {ATH_REF_KERNELS_BITS(loss_fwd, ATH_BITS_THREADS), [ATH_CPU] = {.bind = bind_fwd_cpu,
                                                                           .run = ath_loss_fwd_cpu,
                                                                           .bits =
                                                                               ATH_BITS_THREADS}},
    .bwd = {ATH_REF_KERNELS_BITS(loss_bwd, ATH_BITS_THREADS), [ATH_CPU] = {.run = ath_loss_bwd_cpu,
                                                                           .bits =
                                                                               ATH_BITS_THREADS}},
};
