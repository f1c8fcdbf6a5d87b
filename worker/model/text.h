/*
 * The text encoder of Stable Diffusion 1.x: the text half of CLIP ViT-L/14 (Radford et al. 2021).
 * Parameter names are those of transformers below the open path:
 * "text_model.encoder.layers.0.self_attn.q_proj.weight".
 */
#ifndef ATH_MODEL_TEXT_H
#define ATH_MODEL_TEXT_H

#include "worker/graph/net.h"

/* Every width must be divisible by heads. */
typedef struct ath_text_spec {
    int32_t vocab, positions;
    int32_t width, inner; /* of the states; of the layer between them */
    int32_t layers, heads;
} ath_text_spec;

extern const ath_text_spec ath_text_sd15; /* 123,060,480 parameters */
extern const ath_text_spec ath_text_tiny;

/* ids [N,T] I32, T <= positions -> states [N,T,width] behind the final layer norm. `skip` counts the
 * layers from the end whose output is taken: 1 is the last (spec 1.2, "clip skip"). A region for
 * recomputation per layer. */
ath_val ath_text_encoder(ath_net *n, const ath_text_spec *spec, ath_val ids, int32_t skip);

#endif
