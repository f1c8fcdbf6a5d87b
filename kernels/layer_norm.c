#include "kernels/layer_norm.h"

#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(layer_norm_fwd);
ATH_REF_DECLARE(layer_norm_bwd);
ATH_ISA_DISPATCH(layer_norm_fwd);
ATH_ISA_DISPATCH(layer_norm_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_layer_norm_attr *a = attr;
    const ath_desc *x = &in[0];
    const int64_t c = ath_desc_last(x);
    const ath_dtype full = ath_full_dtype(x);

    ATH_TRY(ath_need_activation("layer_norm", "x", x));
    ATH_NEED(x->n_dim > 0, ATH_ESHAPE, "layer_norm: x is a scalar, wanted at least 1 axis");
    ATH_NEED(a->eps > 0, ATH_EINVAL, "layer_norm: eps is %g, wanted above 0", (double)a->eps);
    ATH_TRY(ath_need_dtype("layer_norm", "gamma", &in[1], full));
    ATH_TRY(ath_need_dtype("layer_norm", "beta", &in[2], full));
    ATH_TRY(ath_need_shape("layer_norm", "gamma", &in[1], ATH_SHAPE(c)));
    ATH_TRY(ath_need_shape("layer_norm", "beta", &in[2], ATH_SHAPE(c)));
    out[0] = *x;
    saved[0] = (ath_desc){.dtype = full, .n_dim = 1, .dim = {ath_desc_rows(x)}};
    saved[1] = saved[0];
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_layer_norm_attr *a = attr;
    ath_str_print(to, "eps %g", (double)a->eps);
}

/* Of each block of rows: sums for dgamma and dbeta. */
static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const ath_desc *x = &site->in[0];
    const int64_t c = ath_desc_last(x);

    bound->scratch_bytes =
        (size_t)(block_count(ath_desc_rows(x), c) * 2 * block_width(c)) * sizeof(float);
    return ATH_OK;
}

const ath_op ath_op_layer_norm = {
    .name = "layer_norm",
    .n_in = 3,
    .n_out = 1,
    .n_saved = 2,
    .weights = 1u << 1 | 1u << 2,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1) | ATH_READS_SAVED(0) | ATH_READS_SAVED(1),
    .attr_bytes = sizeof(ath_layer_norm_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(layer_norm_fwd), [ATH_CPU] = {.run = ath_layer_norm_fwd_cpu,
                                                          .bits =
                                                              ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(layer_norm_bwd), [ATH_CPU] = {.bind = bind_bwd,
                                                          .run = ath_layer_norm_bwd_cpu,
                                                          .bits =
                                                              ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
