#include "kernels/conv2d.h"

#include "kernels/chain_dnnl.h"
#include "kernels/linear_dnnl.h"

#include <string.h>

ath_err ath_conv2d_bind_fwd_dnnl(const ath_site *site, ath_bound *bound);
ath_err ath_conv2d_bind_bwd_dnnl(const ath_site *site, ath_bound *bound);

/* Below this many pixels in an image of y a weight that changes is not worth turning. */
enum { TURN_PIXELS = 256 };

/* What a convolution primitive is described by: x [N,C,H,W] and y [N,O,H',W'] stored channels last,
 * the weight [O,C,I,J] in a layout of the library's choice. */
typedef struct conv {
    ath_array x, weight, y;
    dnnl_dims_t stride, before, after; /* rows, columns; zeros added before and after them */
} conv;

/* [N,H,W,C] as the library names its axes. */
static ath_array image(ath_place_kind kind, int i, const ath_desc *d)
{
    ath_array a = ath_array_at(kind, i, d->dtype, 4, d->dim);
    dnnl_memory_desc_t nhwc = a.md;
    dnnl_status_t status = dnnl_memory_desc_permute_axes(&a.md, &nhwc, (const int[]){0, 2, 3, 1});
    ATH_ASSERT(status == dnnl_success);
    return a;
}

static conv open_site(const ath_site *site)
{
    const ath_conv2d_attr *a = site->attr;
    const bool fwd = site->pass == ATH_FWD;
    return (conv){
        .x = image(ATH_AT_IN, 0, &site->in[0]),
        .weight = ath_array_at(ATH_AT_IN, 1, site->in[1].dtype, 4, site->in[1].dim),
        .y = image(fwd ? ATH_AT_OUT : ATH_AT_DOUT, 0, &site->out[0]),
        .stride = {a->stride, a->stride},
        .before = {a->top, a->left},
        .after = {a->bottom, a->right},
    };
}

static bool is_linear(const ath_site *site)
{
    const ath_conv2d_attr *a = site->attr;
    return site->in[1].dim[2] == 1 && site->in[1].dim[3] == 1 && a->stride == 1 &&
           !(a->top | a->left | a->bottom | a->right);
}

/* oneDNN 2.6.3 reads behind the end of a table when it makes a "brgconv" for an image that is smaller
 * than the kernel (seen at 2 x 2 under 3 x 3, where it crashed); images of twice its size are far off. */
static bool is_unsound(const_dnnl_primitive_desc_t pd, const conv *v)
{
    const char *name = "";
    const bool is_small =
        v->x.md.dims[2] < 2 * v->weight.md.dims[2] || v->x.md.dims[3] < 2 * v->weight.md.dims[3];

    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return is_small && strncmp(name, "brgconv", strlen("brgconv")) == 0;
}

/* The first of the library's ways that is sound. */
static ath_err choose(const conv *v, const dnnl_convolution_desc_t *desc,
                      const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_primitive_desc_iterator_t ways = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(
        ath_dnnl(dnnl_primitive_desc_iterator_create(&ways, desc, attr, ath_dnnl_engine(), NULL)));
    *out = dnnl_primitive_desc_iterator_fetch(ways);
    while (*out && is_unsound(*out, v)) {
        dnnl_primitive_desc_destroy(*out);
        *out = NULL;
        ATH_TRY_OUT(ath_dnnl(dnnl_primitive_desc_iterator_next(ways)));
        *out = dnnl_primitive_desc_iterator_fetch(ways);
    }
    if (!*out) err = ath_raise(ATH_EDNNL, "oneDNN has no convolution for this shape");
out:
    dnnl_primitive_desc_iterator_destroy(ways);
    return err;
}

/* The forward primitive; also what the library wants to see of it in backward. */
static ath_err forward_desc(const conv *v, const ath_array *bias, bool add,
                            dnnl_primitive_desc_t *out)
{
    ath_err err = ATH_OK;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_convolution_desc_t desc;
    const dnnl_memory_desc_t weight = ath_md_any(&v->weight.md, v->x.md.data_type);

    ATH_TRY_OUT(ath_chain_attr(1.0f, NULL, add, &attr));
    ATH_TRY_OUT(ath_dnnl(dnnl_convolution_forward_desc_init(
        &desc, dnnl_forward_training, dnnl_convolution_direct, &v->x.md, &weight,
        bias ? &bias->md : NULL, &v->y.md, v->stride, v->before, v->after)));
    ATH_TRY_OUT(choose(v, &desc, attr, out));
out:
    dnnl_primitive_attr_destroy(attr);
    return err;
}

static ath_err backward_desc(const conv *v, bool of_weight, dnnl_primitive_desc_t *out)
{
    ath_err err = ATH_OK;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t forward = NULL;
    dnnl_convolution_desc_t desc;
    const dnnl_memory_desc_t weight =
        ath_md_any(&v->weight.md, of_weight ? dnnl_f32 : v->x.md.data_type);

    ATH_TRY_OUT(ath_chain_attr(1.0f, NULL, false, &attr));
    ATH_TRY_OUT(forward_desc(v, NULL, false, &forward));
    if (of_weight)
        ATH_TRY_OUT(ath_dnnl(dnnl_convolution_backward_weights_desc_init(
            &desc, dnnl_convolution_direct, &v->x.md, &weight, NULL, &v->y.md, v->stride, v->before,
            v->after)));
    else
        ATH_TRY_OUT(ath_dnnl(dnnl_convolution_backward_data_desc_init(
            &desc, dnnl_convolution_direct, &v->x.md, &weight, &v->y.md, v->stride, v->before,
            v->after)));
    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_desc_create(out, &desc, attr, ath_dnnl_engine(), forward)));
out:
    dnnl_primitive_desc_destroy(forward);
    dnnl_primitive_attr_destroy(attr);
    return err;
}

/* y (=|+=) x * weight + bias, where the operands can be read and written by primitives. */
static ath_err put_forward(ath_chain *chain, const conv *v, const ath_chain_weight *weight,
                           const ath_array *bias, bool add)
{
    dnnl_primitive_desc_t pd = NULL;
    const ath_chain_arg arg[3] = {
        {DNNL_ARG_SRC, &v->x}, {DNNL_ARG_DST, &v->y}, {DNNL_ARG_BIAS, bias}};

    ATH_TRY(forward_desc(v, bias, add, &pd));
    return ath_chain_put(chain, pd, weight, bias ? 3 : 2, arg);
}

ath_err ath_conv2d_bind_fwd_dnnl(const ath_site *site, ath_bound *bound)
{
    ath_chain *chain;
    ath_array bias;

    if (is_linear(site)) return ath_linear_bind_fwd_dnnl(site, bound);
    ATH_TRY(ath_chain_create(site, bound, &chain));
    conv v = open_site(site);
    const ath_chain_weight weight = {&v.weight, false};
    const ath_array y = v.y;
    const bool has_bias = site->in[2].dtype != ATH_NONE;

    if (has_bias) bias = ath_array_at(ATH_AT_IN, 2, ATH_F32, 1, site->in[2].dim);
    ATH_TRY(ath_chain_read(chain, v.x, &v.x));
    ATH_TRY(ath_chain_read(chain, v.weight, &v.weight));
    v.y = ath_chain_target(chain, &y, false);
    ATH_TRY(put_forward(chain, &v, &weight, has_bias ? &bias : NULL, false));
    ATH_TRY(ath_chain_settle(chain, &v.y, &y, false));
    ath_chain_seal(chain);
    return ATH_OK;
}

/*
 * With stride 1, dx is the convolution of dy with the weight of [C,O,I,J] turned by half a turn.
 * The library's forward is up to 1.6 times as fast as its backward. Turning costs a pass over the
 * weight: nothing where it is frozen and packed, little beside an image of enough pixels. The rule
 * does not look at the batch, so that an image has the same gradient in any.
 */
static bool is_turned(const ath_site *site)
{
    const ath_conv2d_attr *a = site->attr;
    const ath_conv2d_dims d = ath_conv2d_get_dims(site);
    return a->stride == 1 && a->top < d.i && a->bottom < d.i && a->left < d.j && a->right < d.j &&
           (site->frozen >> 1 & 1 || d.p * d.q >= TURN_PIXELS);
}

static conv turn(const conv *v)
{
    conv back = {.x = v->y, .weight = ath_array_swap(&v->weight), .y = v->x, .stride = {1, 1}};

    for (int k = 0; k < 2; k++) {
        const int64_t reach = v->weight.md.dims[2 + k] - 1;
        back.before[k] = reach - v->before[k];
        back.after[k] = reach - v->after[k];
    }
    return back;
}

/* dx by the library's own backward; it cannot add. */
static ath_err put_backward(ath_chain *chain, const conv *v)
{
    dnnl_primitive_desc_t pd = NULL;
    const ath_chain_weight weight = {&v->weight, false};
    const ath_chain_arg arg[2] = {{DNNL_ARG_DIFF_SRC, &v->x}, {DNNL_ARG_DIFF_DST, &v->y}};

    ATH_TRY(backward_desc(v, false, &pd));
    return ath_chain_put(chain, pd, &weight, 2, arg);
}

static ath_err put_dx(ath_chain *chain, const ath_site *site, const conv *v)
{
    const ath_array dx = image(ATH_AT_DIN, 0, &site->din[0]);
    const bool add = site->add & 1, turned = is_turned(site);
    conv w = *v;

    w.x = ath_chain_target(chain, &dx, add && !turned);
    ATH_TRY(ath_chain_read(chain, v->weight, &w.weight));
    if (turned) {
        const conv back = turn(&w);
        const ath_chain_weight weight = {&back.weight, true};
        ATH_TRY(put_forward(chain, &back, &weight, NULL, add && w.x.place.kind == ATH_AT_DIN));
    } else {
        ATH_TRY(put_backward(chain, &w));
    }
    return ath_chain_settle(chain, &w.x, &dx, add);
}

static ath_err put_dweight(ath_chain *chain, const ath_site *site, const conv *v)
{
    const ath_array dweight = ath_array_at(ATH_AT_DIN, 1, ATH_F32, 4, site->din[1].dim);
    const bool add = site->add >> 1 & 1;
    conv w = *v;
    dnnl_primitive_desc_t pd = NULL;
    ath_array out = dweight;
    const ath_chain_arg arg[3] = {
        {DNNL_ARG_SRC, &w.x}, {DNNL_ARG_DIFF_DST, &w.y}, {DNNL_ARG_DIFF_WEIGHTS, &out}};

    ATH_TRY(ath_chain_read(chain, v->x, &w.x));
    ATH_TRY(backward_desc(&w, true, &pd));
    out.md = *dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0);
    out = ath_chain_target(chain, &out, add || !dnnl_memory_desc_equal(&out.md, &dweight.md));
    ATH_TRY(ath_chain_put(chain, pd, NULL, 3, arg));
    return ath_chain_settle(chain, &out, &dweight, add);
}

ath_err ath_conv2d_bind_bwd_dnnl(const ath_site *site, ath_bound *bound)
{
    ath_chain *chain;
    const bool dx = site->din[0].dtype != ATH_NONE, dweight = site->din[1].dtype != ATH_NONE;

    if (is_linear(site)) return ath_linear_bind_bwd_dnnl(site, bound);
    ATH_TRY(ath_chain_create(site, bound, &chain));
    conv v = open_site(site);
    if (dx || dweight) ATH_TRY(ath_chain_read(chain, v.y, &v.y));
    if (dx) ATH_TRY(put_dx(chain, site, &v));
    if (dweight) ATH_TRY(put_dweight(chain, site, &v));
    ATH_TRY(ath_chain_bias_grad(chain, 2));
    ath_chain_seal(chain);
    return ATH_OK;
}
