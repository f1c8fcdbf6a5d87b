#include "kernels/attention.h"

#include "kernels/attention_work.h"
#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"
#include <math.h>

ATH_REF_DECLARE(attention_fwd);
ATH_REF_DECLARE(attention_bwd);
ATH_ISA_DISPATCH(attention_fwd);
ATH_ISA_DISPATCH(attention_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_attention_attr *a = attr;
    const ath_desc *q = &in[0], *k = &in[1], *v = &in[2];

    ATH_TRY(ath_need_activation("attention", "q", q));
    ATH_TRY(ath_need_dtype("attention", "k", k, q->dtype));
    ATH_TRY(ath_need_dtype("attention", "v", v, q->dtype));
    ATH_TRY(ath_need_shape("attention", "q", q, ATH_SHAPE(-1, -1, -1)));
    ATH_TRY(ath_need_shape("attention", "k", k, ATH_SHAPE(q->dim[0], -1, q->dim[2])));
    ATH_TRY(ath_need_shape("attention", "v", v, ATH_SHAPE(q->dim[0], k->dim[1], q->dim[2])));
    ATH_NEED(a->heads > 0 && q->dim[2] % a->heads == 0, ATH_ESHAPE,
             "attention: %d heads do not divide the %d channels of q", a->heads, (int)q->dim[2]);
    ATH_NEED(a->causal == 0 || a->causal == 1, ATH_EINVAL, "attention: causal is %d, wanted 0 or 1",
             a->causal);
    ATH_NEED(!a->causal || q->dim[1] == k->dim[1], ATH_ESHAPE,
             "attention: causal with %d queries and %d keys, wanted equal numbers", (int)q->dim[1],
             (int)k->dim[1]);
    ATH_NEED(isfinite(a->scale), ATH_EINVAL, "attention: scale is not finite");
    out[0] = *q;
    saved[0] = (ath_desc){ath_full_dtype(q), 3, {q->dim[0], a->heads, q->dim[1]}};
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_attention_attr *a = attr;
    ath_str_print(to, "%d heads scale %g%s", a->heads, (double)a->scale,
                  a->causal ? " causal" : "");
}

/* Two products of T x S x D forward, five backward. */
static double flop(const ath_site *site)
{
    const ath_attention_attr *attr = site->attr;
    const double n = (double)ath_desc_rows(&site->in[0]), c = (double)ath_desc_last(&site->in[0]);
    const double s = (double)site->in[1].dim[1], seen = attr->causal ? (s + 1) / 2 : s;
    return n * seen * c * (site->pass == ATH_FWD ? 4 : 10);
}

static ath_err bind_ref(const ath_site *site, ath_bound *bound)
{
    const att_shape a = att_shape_of(site);
    const int64_t n = att_ref_head(&a) + att_ref_slice(&a) * site->n_threads;
    bound->scratch_bytes = (size_t)n * ath_dtype_bytes(ath_full_dtype(&site->in[0]));
    return ATH_OK;
}

static ath_err bind_fwd(const ath_site *site, ath_bound *bound)
{
    const att_shape a = att_shape_of(site);
    const int64_t floats = att_fwd_layout(&a).floats * site->n_threads;
    bound->scratch_bytes = (size_t)floats * sizeof(float);
    return ATH_OK;
}

static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const att_shape a = att_shape_of(site);
    bound->scratch_bytes = (size_t)att_bwd_layout(&a, site->n_threads).total * sizeof(float);
    return ATH_OK;
}

const ath_op ath_op_attention = {
    .name = "attention",
    .n_in = 3,
    .n_out = 1,
    .n_saved = 1,
    .bwd_reads =
        ATH_READS_IN(0) | ATH_READS_IN(1) | ATH_READS_IN(2) | ATH_READS_OUT(0) | ATH_READS_SAVED(0),
    .attr_bytes = sizeof(ath_attention_attr),
    .infer = infer,
    .show = show,
    .flop = flop,
    .fwd = {ATH_REF_KERNELS_BIND(attention_fwd, bind_ref), [ATH_CPU] = {.bind = bind_fwd,
                                                                        .run =
                                                                            ath_attention_fwd_cpu,
                                                                        .bits = ATH_BITS_THREADS |
                                                                                ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS_BIND(attention_bwd, bind_ref), [ATH_CPU] = {.bind = bind_bwd,
                                                                        .run =
                                                                            ath_attention_bwd_cpu,
                                                                        .bits = ATH_BITS_THREADS |
                                                                                ATH_BITS_ROWS}},
};
