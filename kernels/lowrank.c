#include "kernels/lowrank.h"

#include "kernels/chain_dnnl.h"
#include "kernels/need.h"
#include "kernels/product_ref.h"

ATH_REF_DECLARE(lowrank_fwd);
ATH_REF_DECLARE(lowrank_bwd);
ath_err ath_lowrank_bind_fwd_dnnl(const ath_site *site, ath_bound *bound);
ath_err ath_lowrank_bind_bwd_dnnl(const ath_site *site, ath_bound *bound);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *x = &in[0], *down = &in[1], *up = &in[2], *mask = &in[3];

    (void)attr;
    ATH_TRY(ath_need_activation("lowrank", "x", x));
    ATH_NEED(x->n_dim > 0, ATH_ESHAPE, "lowrank: x is a scalar");
    ATH_TRY(ath_need_dtype("lowrank", "down", down, x->dtype));
    ATH_TRY(ath_need_dtype("lowrank", "up", up, x->dtype));
    ATH_TRY(ath_need_shape("lowrank", "down", down, ATH_SHAPE(-1, ath_desc_last(x))));
    ATH_TRY(ath_need_shape("lowrank", "up", up, ATH_SHAPE(-1, down->dim[0])));
    if (mask->dtype != ATH_NONE) {
        ATH_TRY(ath_need_dtype("lowrank", "mask", mask, ath_full_dtype(x)));
        ATH_TRY(ath_need_shape("lowrank", "mask", mask, ATH_SHAPE(down->dim[0])));
    }
    out[0] = *x;
    out[0].dim[x->n_dim - 1] = up->dim[0];
    saved[0] = (ath_desc){x->dtype, 2, {ath_desc_rows(x), down->dim[0]}};
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_lowrank_attr *a = attr;
    ath_str_print(to, "scale %g", (double)a->scale);
}

static double flop(const ath_site *site)
{
    const double rows = (double)ath_desc_rows(&site->in[0]), r = (double)site->in[1].dim[0];
    const double lower = 2.0 * rows * r * (double)ath_desc_last(&site->in[0]);
    const double upper = 2.0 * rows * r * (double)ath_desc_last(&site->out[0]);
    const bool dx = site->din[0].dtype != ATH_NONE, ddown = site->din[1].dtype != ATH_NONE;
    const bool dup = site->din[2].dtype != ATH_NONE;

    if (site->pass == ATH_FWD) return lower + upper;
    return lower * (dx + ddown) + upper * ((dx || ddown) + dup);
}

static ath_err bind_ref(const ath_site *site, ath_bound *bound)
{
    const ath_desc *x = &site->in[0];
    const int64_t m = ath_desc_rows(x), k = ath_desc_last(x);
    const int64_t n = site->in[2].dim[0], r = site->in[1].dim[0];
    /* t, y, then dt, dx, ddown, dup */
    const int64_t nk[6][2] = {{r, k}, {n, r}, {r, n}, {k, r}, {k, m}, {r, m}};

    bound->scratch_bytes =
        ref_product_bytes(x, site->n_threads, 6, nk) + ref_real_bytes(x) * (size_t)(m * r); /* dt */
    return ATH_OK;
}

const ath_op ath_op_lowrank = {
    .name = "lowrank",
    .n_in = 4,
    .n_out = 1,
    .n_saved = 1,
    .optional = 1u << 3,
    .weights = 1u << 1 | 1u << 2,
    .no_grad = 1u << 3,
    .bwd_reads =
        ATH_READS_IN(0) | ATH_READS_IN(1) | ATH_READS_IN(2) | ATH_READS_IN(3) | ATH_READS_SAVED(0),
    .attr_bytes = sizeof(ath_lowrank_attr),
    .infer = infer,
    .show = show,
    .flop = flop,
    .fwd = {ATH_REF_KERNELS_BIND(lowrank_fwd, bind_ref), [ATH_CPU] = {.bind =
                                                                          ath_lowrank_bind_fwd_dnnl,
                                                                      .run = ath_chain_run,
                                                                      .pack = ath_chain_pack}},
    .bwd = {ATH_REF_KERNELS_BIND(lowrank_bwd, bind_ref), [ATH_CPU] = {.bind =
                                                                          ath_lowrank_bind_bwd_dnnl,
                                                                      .run = ath_chain_run,
                                                                      .pack = ath_chain_pack}},
};
