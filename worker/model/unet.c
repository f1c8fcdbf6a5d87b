#include "worker/model/unet.h"

#include "worker/graph/layer.h"

static const float resnet_eps = 1e-5f, transformer_eps = 1e-6f, layer_eps = 1e-5f;
static const ath_window downsample = {3, 2, 1, 1, 1, 1};

enum { SKIPS_MAX = 64 };

/* The recording of one U-Net: what every block needs, and what the way down leaves for the way up. */
typedef struct unet {
    const ath_unet_spec *spec;
    ath_val temb;    /* [N, 4 C] */
    ath_val context; /* [N, S, E] */
    ath_val skips[SKIPS_MAX];
    int n_skips;
} unet;

/* t [N] -> [N, 4 C] */
static ath_val time_embedding(ath_net *n, const ath_unet_spec *spec, ath_val t)
{
    const int64_t width = spec->width[0];

    ath_enter(n, "time_embedding");
    ath_val e = ath_time_embed(n, t, width);
    e = ath_silu(n, ath_linear(n, "linear_1", e, 4 * width, true));
    e = ath_linear(n, "linear_2", e, 4 * width, true);
    ath_leave(n);
    return e;
}

/* x [N,H,W,Cin] -> [N,H,W,c_out] */
static ath_val res_block(ath_net *n, const unet *u, int i, ath_val x, int64_t c_out)
{
    const int64_t c_in = ath_dim(n, x, 3);
    const int groups = u->spec->groups;

    ath_enter_at(n, "resnets", i);
    ath_val h = ath_group_norm(n, "norm1", x, groups, resnet_eps, ATH_ACT_SILU);
    h = ath_conv2d(n, "conv1", h, c_out, 3);
    ath_val shift = ath_linear(n, "time_emb_proj", ath_silu(n, u->temb), c_out, true);
    h = ath_add_channels(n, h, shift);
    h = ath_group_norm(n, "norm2", h, groups, resnet_eps, ATH_ACT_SILU);
    h = ath_conv2d(n, "conv2", h, c_out, 3);
    if (c_in != c_out) x = ath_conv2d(n, "conv_shortcut", x, c_out, 1);
    h = ath_add(n, x, h);
    ath_leave(n);
    return h;
}

/* x [N,T,C] attends to context [N,S,E]; to itself for self-attention */
static ath_val attention(ath_net *n, const unet *u, const char *name, ath_val x, ath_val context)
{
    const int64_t width = ath_dim(n, x, 2);

    ath_enter(n, name);
    ath_val q = ath_linear(n, "to_q", x, width, false);
    ath_val k = ath_linear(n, "to_k", context, width, false);
    ath_val v = ath_linear(n, "to_v", context, width, false);
    ath_val o = ath_attention(n, q, k, v, u->spec->heads, false);
    o = ath_linear(n, "to_out.0", o, width, true);
    ath_leave(n);
    return o;
}

/* x [N,T,C] -> [N,T,C] */
static ath_val transformer_block(ath_net *n, const unet *u, ath_val x)
{
    const int64_t width = ath_dim(n, x, 2);

    ath_enter(n, "transformer_blocks.0");
    ath_val h = ath_layer_norm(n, "norm1", x, layer_eps);
    x = ath_add(n, x, attention(n, u, "attn1", h, h));
    h = ath_layer_norm(n, "norm2", x, layer_eps);
    x = ath_add(n, x, attention(n, u, "attn2", h, u->context));
    h = ath_layer_norm(n, "norm3", x, layer_eps);
    h = ath_geglu(n, ath_linear(n, "ff.net.0.proj", h, 8 * width, true));
    x = ath_add(n, x, ath_linear(n, "ff.net.2", h, width, true));
    ath_leave(n);
    return x;
}

/* x [N,H,W,C] -> [N,H,W,C] */
static ath_val transformer(ath_net *n, const unet *u, int i, ath_val x)
{
    const int64_t height = ath_dim(n, x, 1), width = ath_dim(n, x, 2), c = ath_dim(n, x, 3);

    ath_enter_at(n, "attentions", i);
    ath_val h = ath_group_norm(n, "norm", x, u->spec->groups, transformer_eps, ATH_ACT_NONE);
    h = ath_tokens(n, ath_conv2d(n, "proj_in", h, c, 1));
    h = ath_image(n, transformer_block(n, u, h), height, width);
    h = ath_add(n, ath_conv2d(n, "proj_out", h, c, 1), x);
    ath_leave(n);
    return h;
}

/* One residual block and, at levels that have it, its transformer. */
static ath_val block(ath_net *n, const unet *u, int level, int i, ath_val x)
{
    ath_region_begin(n);
    x = res_block(n, u, i, x, u->spec->width[level]);
    if (u->spec->has_attention[level]) x = transformer(n, u, i, x);
    ath_region_end(n);
    return x;
}

static ath_val middle(ath_net *n, const unet *u, ath_val x)
{
    const int64_t width = u->spec->width[u->spec->n_levels - 1];

    ath_enter(n, "mid_block");
    ath_region_begin(n);
    x = res_block(n, u, 0, x, width);
    x = transformer(n, u, 0, x);
    x = res_block(n, u, 1, x, width);
    ath_region_end(n);
    ath_leave(n);
    return x;
}

static ath_val push(unet *u, ath_val x)
{
    ATH_ASSERT(u->n_skips < SKIPS_MAX);
    u->skips[u->n_skips++] = x;
    return x;
}

static ath_val down(ath_net *n, unet *u, int level, ath_val x)
{
    const int32_t width = u->spec->width[level];

    ath_enter_at(n, "down_blocks", level);
    for (int i = 0; i < u->spec->blocks; i++) x = push(u, block(n, u, level, i, x));
    if (level + 1 < u->spec->n_levels)
        x = push(u, ath_conv2d_window(n, "downsamplers.0.conv", x, width, downsample));
    ath_leave(n);
    return x;
}

/* Upsampling goes to the size of the next skip, which odd sizes need. */
static ath_val up(ath_net *n, unet *u, int level, ath_val x)
{
    ath_enter_at(n, "up_blocks", u->spec->n_levels - 1 - level);
    for (int i = 0; i <= u->spec->blocks; i++) {
        x = ath_concat(n, x, u->skips[--u->n_skips]);
        x = block(n, u, level, i, x);
    }
    if (level > 0) {
        const ath_val next = u->skips[u->n_skips - 1];
        x = ath_upsample(n, x, ath_dim(n, next, 1), ath_dim(n, next, 2));
        x = ath_conv2d(n, "upsamplers.0.conv", x, u->spec->width[level], 3);
    }
    ath_leave(n);
    return x;
}

ath_val ath_unet(ath_net *n, const ath_unet_spec *spec, ath_val x, ath_val t, ath_val context)
{
    const int n_skips = spec->n_levels * (spec->blocks + 1);

    if (n_skips > SKIPS_MAX) {
        ath_net_fail(n, ATH_ELIMIT, "unet: %d skips, at most %d", n_skips, SKIPS_MAX);
        return (ath_val){0};
    }
    unet u = {.spec = spec, .temb = time_embedding(n, spec, t), .context = context};
    x = push(&u, ath_conv2d(n, "conv_in", x, spec->width[0], 3));
    for (int level = 0; level < spec->n_levels; level++) x = down(n, &u, level, x);
    x = middle(n, &u, x);
    for (int level = spec->n_levels - 1; level >= 0; level--) x = up(n, &u, level, x);
    x = ath_group_norm(n, "conv_norm_out", x, spec->groups, resnet_eps, ATH_ACT_SILU);
    return ath_conv2d(n, "conv_out", x, spec->out_channels, 3);
}
