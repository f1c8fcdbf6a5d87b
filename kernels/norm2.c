#include "kernels/norm2.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"
#include "kernels/span.h"

ATH_REF_DECLARE(norm2_fwd);
ATH_ISA_DISPATCH(norm2_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_dtype("norm2", "g", &in[0], ath_full_dtype(&in[0])));
    ATH_TRY(ath_need_shape("norm2", "g", &in[0], ATH_SHAPE(-1)));
    out[0] = (ath_desc){ATH_F64, 1, {1}};
    return ATH_OK;
}

/* One partial sum per span. */
static ath_err bind_cpu(const ath_site *site, ath_bound *bound)
{
    bound->scratch_bytes = (size_t)span_count(ath_desc_count(&site->in[0])) * sizeof(double);
    return ATH_OK;
}

const ath_op ath_op_norm2 = {
    .name = "norm2",
    .n_in = 1,
    .n_out = 1,
    .no_grad = 1u,
    .infer = infer,
    .fwd = {ATH_REF_KERNELS_BITS(norm2_fwd, ATH_BITS_THREADS), [ATH_CPU] = {.bind = bind_cpu,
                                                                            .run =
                                                                                ath_norm2_fwd_cpu,
                                                                            .bits =
                                                                                ATH_BITS_THREADS}},
};
