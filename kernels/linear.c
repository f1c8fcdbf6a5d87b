#include "kernels/linear.h"

#include "kernels/chain_dnnl.h"
#include "kernels/linear_dnnl.h"
#include "kernels/need.h"
#include "kernels/product_ref.h"

ATH_REF_DECLARE(linear_fwd);
ATH_REF_DECLARE(linear_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *x = &in[0], *weight = &in[1], *bias = &in[2];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("linear", "x", x));
    ATH_NEED(x->n_dim > 0, ATH_ESHAPE, "linear: x is a scalar");
    ATH_TRY(ath_need_dtype("linear", "weight", weight, x->dtype));
    ATH_TRY(ath_need_shape("linear", "weight", weight, ATH_SHAPE(-1, ath_desc_last(x))));
    if (bias->dtype != ATH_NONE) {
        ATH_TRY(ath_need_dtype("linear", "bias", bias, ath_full_dtype(x)));
        ATH_TRY(ath_need_shape("linear", "bias", bias, ATH_SHAPE(weight->dim[0])));
    }
    out[0] = *x;
    out[0].dim[x->n_dim - 1] = weight->dim[0];
    return ATH_OK;
}

static double flop(const ath_site *site)
{
    const double product = 2.0 * (double)ath_desc_count(&site->in[0]) * (double)site->in[1].dim[0];

    if (site->pass == ATH_FWD) return product;
    return product * ((site->din[0].dtype != ATH_NONE) + (site->din[1].dtype != ATH_NONE));
}

static ath_err bind_ref(const ath_site *site, ath_bound *bound)
{
    const ath_desc *x = &site->in[0];
    const int64_t m = ath_desc_rows(x), k = ath_desc_last(x), n = site->in[1].dim[0];
    const int64_t nk[3][2] = {{n, k}, {k, n}, {k, m}}; /* y, dx, dweight */

    bound->scratch_bytes = ref_product_bytes(x, site->n_threads, 3, nk);
    return ATH_OK;
}

const ath_op ath_op_linear = {
    .name = "linear",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << 2,
    .weights = 1u << 1 | 1u << 2,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1),
    .infer = infer,
    .flop = flop,
    .fwd = {ATH_REF_KERNELS_BIND(linear_fwd, bind_ref), [ATH_CPU] = {.bind =
                                                                         ath_linear_bind_fwd_dnnl,
                                                                     .run = ath_chain_run,
                                                                     .pack = ath_chain_pack}},
    .bwd = {ATH_REF_KERNELS_BIND(linear_bwd, bind_ref), [ATH_CPU] = {.bind =
                                                                         ath_linear_bind_bwd_dnnl,
                                                                     .run = ath_chain_run,
                                                                     .pack = ath_chain_pack}},
};
