/*
 * The variational autoencoder of Stable Diffusion 1.x (Rombach et al. 2022): pictures to latents of
 * an eighth of their size and back. Parameter names are the diffusers keys below the open path:
 * "encoder.down_blocks.0.resnets.0.conv1.weight".
 */
#ifndef ATH_MODEL_VAE_H
#define ATH_MODEL_VAE_H

#include "worker/graph/net.h"

enum { ATH_VAE_LEVELS_MAX = 8 };

/* In what programs run it: in bf16, with random weights, the decoder is off by 1.8e-2 and the encoder
 * by 1.3e-2. Networks recorded in another type, as tests do in F64, work too. */
#define ATH_VAE_DTYPE ATH_F32

/* Every width must be divisible by groups. A level halves height and width, but for the last. */
typedef struct ath_vae_spec {
    int32_t n_levels;
    int32_t width[ATH_VAE_LEVELS_MAX]; /* channels by level, finest first */
    int32_t blocks;                    /* residual blocks a level; one more in the decoder */
    int32_t groups;
    int32_t channels, latents; /* of a picture; of a latent */
    float scale;               /* what the U-Net sees is scale * latent */
} ath_vae_spec;

extern const ath_vae_spec ath_vae_sd15; /* 83,653,863 parameters */
extern const ath_vae_spec ath_vae_tiny;

/* picture [N,H,W,channels] in [-1,1] -> moments [N,h,w,2 latents]: means, then log-variances (not
 * yet clamped to [-30,20]). */
ath_val ath_vae_encode(ath_net *n, const ath_vae_spec *spec, ath_val picture);

/* latent [N,h,w,latents], already divided by scale -> picture [N,H,W,channels], not clamped. */
ath_val ath_vae_decode(ath_net *n, const ath_vae_spec *spec, ath_val latent);

#endif
