#include "kernels/conv2d.h"

#include "kernels/chain_dnnl.h"
#include "kernels/conv2d_ref.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(conv2d_fwd);
ATH_REF_DECLARE(conv2d_bwd);
ath_err ath_conv2d_bind_fwd_dnnl(const ath_site *site, ath_bound *bound);
ath_err ath_conv2d_bind_bwd_dnnl(const ath_site *site, ath_bound *bound);

ath_conv2d_dims ath_conv2d_get_dims(const ath_site *site)
{
    const int64_t *x = site->in[0].dim, *weight = site->in[1].dim, *y = site->out[0].dim;
    return (ath_conv2d_dims){.n = x[0],
                             .h = x[1],
                             .w = x[2],
                             .c = x[3],
                             .o = weight[0],
                             .i = weight[2],
                             .j = weight[3],
                             .p = y[1],
                             .q = y[2]};
}

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_conv2d_attr *a = attr;
    const ath_desc *x = &in[0], *weight = &in[1], *bias = &in[2];

    (void)saved;
    ATH_NEED(a->stride > 0, ATH_EINVAL, "conv2d: stride is %d, wanted at least 1", a->stride);
    ATH_NEED(a->top >= 0 && a->left >= 0 && a->bottom >= 0 && a->right >= 0, ATH_EINVAL,
             "conv2d: padding is %d %d %d %d, wanted none below 0", a->top, a->left, a->bottom,
             a->right);
    ATH_TRY(ath_need_activation("conv2d", "x", x));
    ATH_TRY(ath_need_shape("conv2d", "x", x, ATH_SHAPE(-1, -1, -1, -1)));
    ATH_TRY(ath_need_dtype("conv2d", "weight", weight, x->dtype));
    ATH_TRY(ath_need_shape("conv2d", "weight", weight, ATH_SHAPE(-1, x->dim[3], -1, -1)));
    if (bias->dtype != ATH_NONE) {
        ATH_TRY(ath_need_dtype("conv2d", "bias", bias, ath_full_dtype(x)));
        ATH_TRY(ath_need_shape("conv2d", "bias", bias, ATH_SHAPE(weight->dim[0])));
    }
    const int64_t rows = x->dim[1] + a->top + a->bottom - weight->dim[2];
    const int64_t cols = x->dim[2] + a->left + a->right - weight->dim[3];
    char image[ATH_DESC_TEXT], filter[ATH_DESC_TEXT];
    ATH_NEED(rows >= 0 && cols >= 0, ATH_ESHAPE,
             "conv2d: weight %s is larger than x %s with its padding %d %d %d %d",
             ath_desc_print(weight, filter), ath_desc_print(x, image), a->top, a->left, a->bottom,
             a->right);
    out[0] = (ath_desc){
        x->dtype, 4, {x->dim[0], rows / a->stride + 1, cols / a->stride + 1, weight->dim[0]}};
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_conv2d_attr *a = attr;
    ath_str_print(to, "stride %d pad %d %d %d %d", a->stride, a->top, a->left, a->bottom, a->right);
}

static double flop(const ath_site *site)
{
    const double product =
        2.0 * (double)ath_desc_rows(&site->out[0]) * (double)ath_desc_count(&site->in[1]);

    if (site->pass == ATH_FWD) return product;
    return product * ((site->din[0].dtype != ATH_NONE) + (site->din[1].dtype != ATH_NONE));
}

static ath_err bind_ref(const ath_site *site, ath_bound *bound)
{
    const size_t real_bytes = site->in[0].dtype == ATH_F64 ? sizeof(double) : sizeof(float);

    bound->scratch_bytes = real_bytes * (size_t)ath_conv2d_ref_reals(site);
    return ATH_OK;
}

const ath_op ath_op_conv2d = {
    .name = "conv2d",
    .n_in = 3,
    .n_out = 1,
    .optional = 1u << 2,
    .weights = 1u << 1 | 1u << 2,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1),
    .attr_bytes = sizeof(ath_conv2d_attr),
    .infer = infer,
    .show = show,
    .flop = flop,
    .fwd = {ATH_REF_KERNELS_BIND(conv2d_fwd, bind_ref), [ATH_CPU] = {.bind =
                                                                         ath_conv2d_bind_fwd_dnnl,
                                                                     .run = ath_chain_run,
                                                                     .pack = ath_chain_pack}},
    .bwd = {ATH_REF_KERNELS_BIND(conv2d_bwd, bind_ref), [ATH_CPU] = {.bind =
                                                                         ath_conv2d_bind_bwd_dnnl,
                                                                     .run = ath_chain_run,
                                                                     .pack = ath_chain_pack}},
};
