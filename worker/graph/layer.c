#include "worker/graph/layer.h"

#include "kernels/add_rows.h"
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/conv2d.h"
#include "kernels/embed.h"
#include "kernels/gelu.h"
#include "kernels/layer_norm.h"
#include "kernels/ops.h"
#include "kernels/rows.h"
#include "kernels/time_embed.h"
#include "kernels/upsample.h"
#include "worker/graph/adapter_site.h"
#include <math.h>

#define APPLY(n, op, attr, ...) \
    ath_net_apply((n), &ath_op_##op, (attr), (ath_val[ATH_MAX_IN]){__VA_ARGS__})
#define DIMS(...)                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]) \
    {                                                              \
        __VA_ARGS__                                                \
    }

/* Norms' and biases' parameters: full precision. */
static ath_val full(ath_net *n, const char *name, int64_t length)
{
    return ath_net_param(n, name, ATH_F32, 1, &length);
}

/* A weight as the products want it: frozen ones are kept in the compute dtype; trainable ones are
 * F32 and cast, so the plan shows the cast. */
static ath_val weight(ath_net *n, int n_dim, const int64_t *dim)
{
    const ath_dtype compute = ath_net_compute(n);
    ath_val w = ath_net_param(n, "weight", compute, n_dim, dim);
    const ath_cast_attr to = {(int32_t)compute};

    return ath_net_desc(n, w).dtype == compute || !w.i ? w : APPLY(n, cast, &to, w);
}

/* Adds what the attached adapters make of x to the layer's output y. The only hook. */
static ath_val adapt(ath_net *n, const ath_adapter_site *site, ath_val x, ath_val y)
{
    const ath_adapter *adapters;
    const int n_adapters = ath_net_adapters(n, &adapters);

    for (const ath_adapter *a = adapters; a < adapters + n_adapters; a++) {
        const bool all = a->n_rows == 0;
        const ath_rows_attr part = {(int32_t)a->row, (int32_t)a->n_rows};
        const ath_add_rows_attr back = {(int32_t)a->row};
        ath_val xs = all ? x : APPLY(n, rows, &part, x);
        ath_val delta = a->delta(n, a, site, xs);
        if (delta.i) y = all ? APPLY(n, add, NULL, y, delta) : APPLY(n, add_rows, &back, y, delta);
    }
    return y;
}

static ath_val linear_here(ath_net *n, ath_val x, int64_t n_out, bool bias)
{
    const ath_desc d = ath_net_desc(n, x);
    const int64_t n_in = ath_desc_last(&d);
    ath_val w = weight(n, DIMS(n_out, n_in));
    ath_val b = bias ? full(n, "bias", n_out) : (ath_val){0};
    const ath_adapter_site site = {.n_in = n_in, .n_out = n_out, .kernel = 1, .stride = 1};

    return adapt(n, &site, x, APPLY(n, linear, NULL, x, w, b));
}

ath_val ath_linear_at(ath_net *n, const char *name, ath_val x, int64_t n_out, bool bias)
{
    ath_enter(n, name);
    ath_val y = linear_here(n, x, n_out, bias);
    ath_leave(n);
    return y;
}

static ath_val conv2d_here(ath_net *n, ath_val x, int64_t n_out, ath_window w)
{
    const int64_t n_in = ath_dim(n, x, 3);
    const ath_conv2d_attr attr = {w.stride, w.top, w.left, w.bottom, w.right};
    const ath_adapter_site site = {.n_in = n_in,
                                   .n_out = n_out,
                                   .kernel = w.size,
                                   .stride = w.stride,
                                   .pad = {w.top, w.left, w.bottom, w.right},
                                   .is_conv = true};
    ath_val filter = weight(n, DIMS(n_out, n_in, w.size, w.size));
    ath_val bias = full(n, "bias", n_out);

    return adapt(n, &site, x, APPLY(n, conv2d, &attr, x, filter, bias));
}

ath_val ath_conv2d_window_at(ath_net *n, const char *name, ath_val x, int64_t n_out, ath_window w)
{
    ath_enter(n, name);
    ath_val y = conv2d_here(n, x, n_out, w);
    ath_leave(n);
    return y;
}

ath_val ath_conv2d_at(ath_net *n, const char *name, ath_val x, int64_t n_out, int k)
{
    return ath_conv2d_window_at(n, name, x, n_out, (ath_window){k, 1, k / 2, k / 2, k / 2, k / 2});
}

ath_val ath_group_norm_at(ath_net *n, const char *name, ath_val x, int groups, float eps,
                          ath_act act)
{
    const ath_group_norm_attr attr = {groups, eps, act};
    const ath_desc d = ath_net_desc(n, x);

    ath_enter(n, name);
    ath_val gamma = full(n, "weight", ath_desc_last(&d)), beta = full(n, "bias", ath_desc_last(&d));
    ath_val y = APPLY(n, group_norm, &attr, x, gamma, beta);
    ath_leave(n);
    return y;
}

ath_val ath_layer_norm_at(ath_net *n, const char *name, ath_val x, float eps)
{
    const ath_layer_norm_attr attr = {eps};
    const ath_desc d = ath_net_desc(n, x);

    ath_enter(n, name);
    ath_val gamma = full(n, "weight", ath_desc_last(&d)), beta = full(n, "bias", ath_desc_last(&d));
    ath_val y = APPLY(n, layer_norm, &attr, x, gamma, beta);
    ath_leave(n);
    return y;
}

ath_val ath_attention_at(ath_net *n, ath_val q, ath_val k, ath_val v, int heads, bool causal)
{
    const double per_head = (double)ath_dim(n, q, 2) / heads;
    const ath_attention_attr attr = {heads, causal, (float)(1 / sqrt(per_head))};

    return APPLY(n, attention, &attr, q, k, v);
}

ath_val ath_silu_at(ath_net *n, ath_val x)
{
    return APPLY(n, silu, NULL, x);
}

ath_val ath_gelu_at(ath_net *n, ath_val x, bool quick)
{
    const ath_gelu_attr attr = {quick};

    return APPLY(n, gelu, &attr, x);
}

ath_val ath_geglu_at(ath_net *n, ath_val x)
{
    return APPLY(n, geglu, NULL, x);
}

ath_val ath_add_at(ath_net *n, ath_val x, ath_val y)
{
    return APPLY(n, add, NULL, x, y);
}

ath_val ath_add_channels_at(ath_net *n, ath_val x, ath_val v)
{
    return APPLY(n, add_channels, NULL, x, v);
}

ath_val ath_concat_at(ath_net *n, ath_val x, ath_val y)
{
    return APPLY(n, concat, NULL, x, y);
}

ath_val ath_upsample_at(ath_net *n, ath_val x, int64_t height, int64_t width)
{
    const ath_upsample_attr attr = {(int32_t)height, (int32_t)width};

    return APPLY(n, upsample, &attr, x);
}

ath_val ath_embed_at(ath_net *n, ath_val ids, int64_t vocab, int64_t positions, int64_t width)
{
    const ath_embed_attr attr = {(int32_t)ath_net_compute(n)};

    ath_enter(n, "token_embedding");
    ath_val token = ath_net_param(n, "weight", ath_net_compute(n), DIMS(vocab, width));
    ath_leave(n);
    ath_enter(n, "position_embedding");
    ath_val position = ath_net_param(n, "weight", ath_net_compute(n), DIMS(positions, width));
    ath_leave(n);
    return APPLY(n, embed, &attr, ids, token, position);
}

ath_val ath_time_embed_at(ath_net *n, ath_val t, int64_t width)
{
    const ath_time_embed_attr attr = {(int32_t)width, (int32_t)ath_net_compute(n)};

    return APPLY(n, time_embed, &attr, t);
}

ath_val ath_mse_at(ath_net *n, ath_val pred, ath_val target, ath_val row_weight)
{
    return APPLY(n, loss, NULL, pred, target, row_weight);
}

ath_val ath_tokens_at(ath_net *n, ath_val x)
{
    return ath_net_view(
        n, x, DIMS(ath_dim(n, x, 0), ath_dim(n, x, 1) * ath_dim(n, x, 2), ath_dim(n, x, 3)));
}

ath_val ath_image_at(ath_net *n, ath_val x, int64_t height, int64_t width)
{
    return ath_net_view(n, x, DIMS(ath_dim(n, x, 0), height, width, ath_dim(n, x, 2)));
}
