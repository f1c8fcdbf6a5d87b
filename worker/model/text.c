#include "worker/model/text.h"

#include "worker/graph/layer.h"

static const float layer_eps = 1e-5f;

/* x [N,T,C] -> [N,T,C]; a token sees itself and what stands before it, padding included */
static ath_val self_attention(ath_net *n, const ath_text_spec *spec, ath_val x)
{
    ath_enter(n, "self_attn");
    ath_val q = ath_linear(n, "q_proj", x, spec->width, true);
    ath_val k = ath_linear(n, "k_proj", x, spec->width, true);
    ath_val v = ath_linear(n, "v_proj", x, spec->width, true);
    ath_val o = ath_attention(n, q, k, v, spec->heads, true);
    o = ath_linear(n, "out_proj", o, spec->width, true);
    ath_leave(n);
    return o;
}

/* x [N,T,C] -> [N,T,C] */
static ath_val layer(ath_net *n, const ath_text_spec *spec, int i, ath_val x)
{
    ath_enter_at(n, "encoder.layers", i);
    ath_region_begin(n);
    ath_val h = ath_layer_norm(n, "layer_norm1", x, layer_eps);
    x = ath_add(n, x, self_attention(n, spec, h));
    h = ath_layer_norm(n, "layer_norm2", x, layer_eps);
    h = ath_gelu(n, ath_linear(n, "mlp.fc1", h, spec->inner, true), true);
    x = ath_add(n, x, ath_linear(n, "mlp.fc2", h, spec->width, true));
    ath_region_end(n);
    ath_leave(n);
    return x;
}

/* Layers whose output is skipped are not recorded, so they have no parameters here. */
ath_val ath_text_encoder(ath_net *n, const ath_text_spec *spec, ath_val ids, int32_t skip)
{
    if (skip < 1 || skip > spec->layers) {
        ath_net_fail(n, ATH_EINVAL, "text encoder: clip skip is %d, wanted 1 to %d", skip,
                     spec->layers);
        return (ath_val){0};
    }
    ath_enter(n, "text_model");
    ath_enter(n, "embeddings");
    ath_val x = ath_embed(n, ids, spec->vocab, spec->positions, spec->width);
    ath_leave(n);
    for (int i = 0; i <= spec->layers - skip; i++) x = layer(n, spec, i, x);
    x = ath_layer_norm(n, "final_layer_norm", x, layer_eps);
    ath_leave(n);
    return x;
}
