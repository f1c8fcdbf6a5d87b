#include "worker/model/spec.h"

/* Each table is written once: it stands for a part alone and within the whole model. */
#define TEXT_SD15                                                                               \
    {                                                                                           \
        .vocab = 49408, .positions = 77, .width = 768, .inner = 3072, .layers = 12, .heads = 12 \
    }
#define TEXT_TINY                                                                         \
    {                                                                                     \
        .vocab = 1000, .positions = 77, .width = 32, .inner = 64, .layers = 2, .heads = 4 \
    }
#define UNET_SD15                                                                            \
    {                                                                                        \
        .in_channels = 4, .out_channels = 4, .n_levels = 4, .width = {320, 640, 1280, 1280}, \
        .has_attention = {true, true, true, false}, .blocks = 2, .heads = 8, .groups = 32,   \
        .context_width = 768                                                                 \
    }
#define UNET_TINY                                                                                 \
    {                                                                                             \
        .in_channels = 4, .out_channels = 4, .n_levels = 2, .width = {32, 64},                    \
        .has_attention = {true, false}, .blocks = 1, .heads = 4, .groups = 8, .context_width = 32 \
    }
#define VAE_SD15                                                                                \
    {                                                                                           \
        .n_levels = 4, .width = {128, 256, 512, 512}, .blocks = 2, .groups = 32, .channels = 3, \
        .latents = 4, .scale = 0.18215f                                                         \
    }
#define VAE_TINY                                                                                 \
    {                                                                                            \
        .n_levels = 2, .width = {16, 32}, .blocks = 1, .groups = 8, .channels = 3, .latents = 4, \
        .scale = 0.18215f                                                                        \
    }

const ath_text_spec ath_text_sd15 = TEXT_SD15, ath_text_tiny = TEXT_TINY;
const ath_unet_spec ath_unet_sd15 = UNET_SD15, ath_unet_tiny = UNET_TINY;
const ath_vae_spec ath_vae_sd15 = VAE_SD15, ath_vae_tiny = VAE_TINY;
const ath_model_spec ath_model_sd15 = {TEXT_SD15, UNET_SD15, VAE_SD15};
const ath_model_spec ath_model_tiny = {TEXT_TINY, UNET_TINY, VAE_TINY};

const char *ath_part_name(ath_part part)
{
    static const char *const names[ATH_N_PARTS] = {
        [ATH_PART_TEXT] = "text_encoder", [ATH_PART_UNET] = "unet", [ATH_PART_VAE] = "vae"};

    return (uint32_t)part < ATH_N_PARTS ? names[part] : "none";
}
