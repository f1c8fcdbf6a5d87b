#include "worker/model/vae.h"

#include "worker/graph/layer.h"

static const float norm_eps = 1e-6f;
/* Zeros below and on the right only, unlike the U-Net's. */
static const ath_window downsample = {3, 2, 0, 0, 1, 1};

/* x [N,H,W,Cin] -> [N,H,W,c_out] */
static ath_val res_block(ath_net *n, const ath_vae_spec *spec, int i, ath_val x, int64_t c_out)
{
    const int64_t c_in = ath_dim(n, x, 3);

    ath_enter_at(n, "resnets", i);
    ath_region_begin(n);
    ath_val h = ath_group_norm(n, "norm1", x, spec->groups, norm_eps, ATH_ACT_SILU);
    h = ath_conv2d(n, "conv1", h, c_out, 3);
    h = ath_group_norm(n, "norm2", h, spec->groups, norm_eps, ATH_ACT_SILU);
    h = ath_conv2d(n, "conv2", h, c_out, 3);
    if (c_in != c_out) x = ath_conv2d(n, "conv_shortcut", x, c_out, 1);
    h = ath_add(n, x, h);
    ath_region_end(n);
    ath_leave(n);
    return h;
}

/* x [N,H,W,C] -> [N,H,W,C]: every place attends to all, one head as wide as the channels */
static ath_val attention(ath_net *n, const ath_vae_spec *spec, ath_val x)
{
    const int64_t height = ath_dim(n, x, 1), width = ath_dim(n, x, 2), c = ath_dim(n, x, 3);

    ath_enter(n, "attentions.0");
    ath_region_begin(n);
    ath_val h = ath_group_norm(n, "group_norm", x, spec->groups, norm_eps, ATH_ACT_NONE);
    h = ath_tokens(n, h);
    ath_val q = ath_linear(n, "to_q", h, c, true);
    ath_val k = ath_linear(n, "to_k", h, c, true);
    ath_val v = ath_linear(n, "to_v", h, c, true);
    h = ath_linear(n, "to_out.0", ath_attention(n, q, k, v, 1, false), c, true);
    h = ath_add(n, x, ath_image(n, h, height, width));
    ath_region_end(n);
    ath_leave(n);
    return h;
}

static ath_val middle(ath_net *n, const ath_vae_spec *spec, ath_val x)
{
    const int64_t width = ath_dim(n, x, 3);

    ath_enter(n, "mid_block");
    x = res_block(n, spec, 0, x, width);
    x = attention(n, spec, x);
    x = res_block(n, spec, 1, x, width);
    ath_leave(n);
    return x;
}

static ath_val down(ath_net *n, const ath_vae_spec *spec, int level, ath_val x)
{
    const int32_t width = spec->width[level];

    ath_enter_at(n, "down_blocks", level);
    for (int i = 0; i < spec->blocks; i++) x = res_block(n, spec, i, x, width);
    if (level + 1 < spec->n_levels)
        x = ath_conv2d_window(n, "downsamplers.0.conv", x, width, downsample);
    ath_leave(n);
    return x;
}

static ath_val up(ath_net *n, const ath_vae_spec *spec, int level, ath_val x)
{
    const int32_t width = spec->width[level];

    ath_enter_at(n, "up_blocks", spec->n_levels - 1 - level);
    for (int i = 0; i <= spec->blocks; i++) x = res_block(n, spec, i, x, width);
    if (level > 0) {
        x = ath_upsample(n, x, 2 * ath_dim(n, x, 1), 2 * ath_dim(n, x, 2));
        x = ath_conv2d(n, "upsamplers.0.conv", x, width, 3);
    }
    ath_leave(n);
    return x;
}

ath_val ath_vae_encode(ath_net *n, const ath_vae_spec *spec, ath_val picture)
{
    ath_enter(n, "encoder");
    ath_val x = ath_conv2d(n, "conv_in", picture, spec->width[0], 3);
    for (int level = 0; level < spec->n_levels; level++) x = down(n, spec, level, x);
    x = middle(n, spec, x);
    x = ath_group_norm(n, "conv_norm_out", x, spec->groups, norm_eps, ATH_ACT_SILU);
    x = ath_conv2d(n, "conv_out", x, 2 * spec->latents, 3);
    ath_leave(n);
    return ath_conv2d(n, "quant_conv", x, 2 * spec->latents, 1);
}

ath_val ath_vae_decode(ath_net *n, const ath_vae_spec *spec, ath_val latent)
{
    ath_val x = ath_conv2d(n, "post_quant_conv", latent, spec->latents, 1);

    ath_enter(n, "decoder");
    x = ath_conv2d(n, "conv_in", x, spec->width[spec->n_levels - 1], 3);
    x = middle(n, spec, x);
    for (int level = spec->n_levels - 1; level >= 0; level--) x = up(n, spec, level, x);
    x = ath_group_norm(n, "conv_norm_out", x, spec->groups, norm_eps, ATH_ACT_SILU);
    x = ath_conv2d(n, "conv_out", x, spec->channels, 3);
    ath_leave(n);
    return x;
}
