/*
 * What model code calls. Every function records at the open path; shapes stand in the comments.
 * Activations are [N,H,W,C] or [N,T,C], channels last. Parameters are named "weight" and "bias"
 * below the layer's name, with the checkpoint's shapes.
 */
#ifndef ATH_GRAPH_LAYER_H
#define ATH_GRAPH_LAYER_H

#include "kernels/group_norm.h"
#include "worker/graph/net.h"

/* What a convolution sees at once: a square kernel, its stride, zeros added around the image. */
typedef struct ath_window {
    int32_t size, stride;
    int32_t top, left, bottom, right;
} ath_window;

/* The macros note the recording file and line; the functions with a trailing _at do the work. */

/* x [..., K] -> [..., n_out]; weight [n_out,K], bias [n_out] where `bias`. Adapters hook in. */
ath_val ath_linear_at(ath_net *n, const char *name, ath_val x, int64_t n_out, bool bias);
#define ath_linear(n, ...) ath_linear_at(ATH_HERE(n), __VA_ARGS__)

/* x [N,H,W,C] -> [N,H',W',n_out], kernel k x k, bias; padding k/2 on all sides. Adapters hook in. */
ath_val ath_conv2d_at(ath_net *n, const char *name, ath_val x, int64_t n_out, int k);
#define ath_conv2d(n, ...) ath_conv2d_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_conv2d_window_at(ath_net *n, const char *name, ath_val x, int64_t n_out, ath_window w);
#define ath_conv2d_window(n, ...) ath_conv2d_window_at(ATH_HERE(n), __VA_ARGS__)

/* x [N,H,W,C] -> same; weight, bias [C]. */
ath_val ath_group_norm_at(ath_net *n, const char *name, ath_val x, int groups, float eps,
                          ath_act act);
#define ath_group_norm(n, ...) ath_group_norm_at(ATH_HERE(n), __VA_ARGS__)

/* x [..., C] -> same; weight, bias [C]. */
ath_val ath_layer_norm_at(ath_net *n, const char *name, ath_val x, float eps);
#define ath_layer_norm(n, ...) ath_layer_norm_at(ATH_HERE(n), __VA_ARGS__)

/* q [N,T,C], k v [N,S,C] -> [N,T,C]; heads of C/heads channels, scale (C/heads)^-1/2. */
ath_val ath_attention_at(ath_net *n, ath_val q, ath_val k, ath_val v, int heads, bool causal);
#define ath_attention(n, ...) ath_attention_at(ATH_HERE(n), __VA_ARGS__)

ath_val ath_silu_at(ath_net *n, ath_val x);
#define ath_silu(n, ...) ath_silu_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_gelu_at(ath_net *n, ath_val x, bool quick); /* erf, or x * sigmoid(1.702 x) */
#define ath_gelu(n, ...) ath_gelu_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_geglu_at(ath_net *n, ath_val x); /* [...,2C] -> [...,C]: first half * gelu(second) */
#define ath_geglu(n, ...) ath_geglu_at(ATH_HERE(n), __VA_ARGS__)

ath_val ath_add_at(ath_net *n, ath_val x, ath_val y);
#define ath_add(n, ...) ath_add_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_add_channels_at(ath_net *n, ath_val x, ath_val v); /* x [N,H,W,C] + v [N,C] */
#define ath_add_channels(n, ...) ath_add_channels_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_concat_at(ath_net *n, ath_val x, ath_val y); /* along the last axis */
#define ath_concat(n, ...) ath_concat_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_upsample_at(ath_net *n, ath_val x, int64_t height, int64_t width); /* nearest */
#define ath_upsample(n, ...) ath_upsample_at(ATH_HERE(n), __VA_ARGS__)

/* ids [N,T] I32 -> [N,T,width]; token_embedding.weight [vocab,width],
 * position_embedding.weight [positions,width] with T <= positions. */
ath_val ath_embed_at(ath_net *n, ath_val ids, int64_t vocab, int64_t positions, int64_t width);
#define ath_embed(n, ...) ath_embed_at(ATH_HERE(n), __VA_ARGS__)
/* t [N] F32 -> [N,width]: cosines first, then sines; no gradient. */
ath_val ath_time_embed_at(ath_net *n, ath_val t, int64_t width);
#define ath_time_embed(n, ...) ath_time_embed_at(ATH_HERE(n), __VA_ARGS__)

/* pred, target [N,...], weight [N] F32 -> the scalar F32 sum_n weight_n mean((pred-target)^2) / N */
ath_val ath_mse_at(ath_net *n, ath_val pred, ath_val target, ath_val weight);
#define ath_mse(n, ...) ath_mse_at(ATH_HERE(n), __VA_ARGS__)

/* [N,H,W,C] <-> [N,H*W,C]: views, free. */
ath_val ath_tokens_at(ath_net *n, ath_val x);
#define ath_tokens(n, ...) ath_tokens_at(ATH_HERE(n), __VA_ARGS__)
ath_val ath_image_at(ath_net *n, ath_val x, int64_t height, int64_t width);
#define ath_image(n, ...) ath_image_at(ATH_HERE(n), __VA_ARGS__)

#endif
