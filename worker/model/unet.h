/*
 * The denoising U-Net of Stable Diffusion 1.x (Rombach et al. 2022), recorded straight down the page.
 * Parameter names are the diffusers keys below the open path: "down_blocks.1.resnets.0.conv1.weight".
 */
#ifndef ATH_MODEL_UNET_H
#define ATH_MODEL_UNET_H

#include "worker/graph/net.h"

enum { ATH_UNET_LEVELS_MAX = 8 };

/* A U-Net as a table of numbers. Every width must be divisible by groups and heads. */
typedef struct ath_unet_spec {
    int32_t in_channels, out_channels;
    int32_t n_levels;
    int32_t width[ATH_UNET_LEVELS_MAX];      /* channels by level, finest first */
    bool has_attention[ATH_UNET_LEVELS_MAX]; /* a transformer behind every residual block */
    int32_t blocks;                          /* residual blocks a level; one more going up */
    int32_t heads, groups;
    int32_t context_width; /* of the text states */
} ath_unet_spec;

extern const ath_unet_spec ath_unet_sd15; /* 859,520,964 parameters */
extern const ath_unet_spec ath_unet_tiny; /* the same shape of network, two levels of 32 and 64 */

/* x [N,H,W,in], t [N] F32, context [N,S,context_width] -> the prediction [N,H,W,out].
 * Every residual block with its transformer is a region for recomputation. */
ath_val ath_unet(ath_net *n, const ath_unet_spec *spec, ath_val x, ath_val t, ath_val context);

#endif
