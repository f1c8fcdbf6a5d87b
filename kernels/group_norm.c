#include "kernels/group_norm.h"

#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(group_norm_fwd);
ATH_REF_DECLARE(group_norm_bwd);
ATH_ISA_DISPATCH(group_norm_fwd);
ATH_ISA_DISPATCH(group_norm_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_group_norm_attr *a = attr;
    const ath_desc *x = &in[0];
    const int64_t c = ath_desc_last(x);
    const ath_dtype full = ath_full_dtype(x);

    ATH_TRY(ath_need_activation("group_norm", "x", x));
    ATH_NEED(x->n_dim == 3 || x->n_dim == 4, ATH_ESHAPE, "group_norm: x has %d axes, wanted 3 or 4",
             x->n_dim);
    ATH_NEED(a->groups > 0 && c % a->groups == 0, ATH_ESHAPE,
             "group_norm: %d groups do not divide %d channels", a->groups, (int)c);
    ATH_NEED(a->eps > 0, ATH_EINVAL, "group_norm: eps is %g, wanted above 0", (double)a->eps);
    ATH_NEED((unsigned)a->act < ATH_N_ACTS, ATH_EINVAL, "group_norm: unknown activation %d",
             (int)a->act);
    ATH_TRY(ath_need_dtype("group_norm", "gamma", &in[1], full));
    ATH_TRY(ath_need_dtype("group_norm", "beta", &in[2], full));
    ATH_TRY(ath_need_shape("group_norm", "gamma", &in[1], ATH_SHAPE(c)));
    ATH_TRY(ath_need_shape("group_norm", "beta", &in[2], ATH_SHAPE(c)));
    out[0] = *x;
    saved[0] = (ath_desc){.dtype = full, .n_dim = 2, .dim = {x->dim[0], a->groups}};
    saved[1] = saved[0];
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_group_norm_attr *a = attr;
    ath_str_print(to, "g%d eps %g%s", a->groups, (double)a->eps,
                  a->act == ATH_ACT_SILU ? " silu" : "");
}

/* Two rows for each block, four for each image. */
static ath_err bind(const ath_site *site, ath_bound *bound)
{
    const ath_desc *x = &site->in[0];
    const int64_t c = ath_desc_last(x), images = x->dim[0];
    const int64_t blocks = block_count(ath_desc_rows(x) / images, c);

    bound->scratch_bytes = (size_t)(images * (blocks * 2 + 4) * block_width(c)) * sizeof(float);
    return ATH_OK;
}

const ath_op ath_op_group_norm = {
    .name = "group_norm",
    .n_in = 3,
    .n_out = 1,
    .n_saved = 2,
    .weights = 1u << 1 | 1u << 2,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1) | ATH_READS_IN(2) | ATH_READS_SAVED(0) |
                 ATH_READS_SAVED(1),
    .attr_bytes = sizeof(ath_group_norm_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(group_norm_fwd), [ATH_CPU] = {.bind = bind,
                                                          .run = ath_group_norm_fwd_cpu,
                                                          .bits =
                                                              ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(group_norm_bwd), [ATH_CPU] = {.bind = bind,
                                                          .run = ath_group_norm_bwd_cpu,
                                                          .bits =
                                                              ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
