/*
 * What a file of tensors is, told by its keys.
 */
#ifndef ATH_MODEL_KIND_H
#define ATH_MODEL_KIND_H

#include "core/io/safetensors.h"

/* name, word for programs, words for people */
#define ATH_KIND_MAP(X)                                                              \
    X(SD1, "sd1", "Stable Diffusion 1.x, single file")                               \
    X(SD1_INPAINT, "sd1-inpainting", "Stable Diffusion 1.x for inpainting")          \
    X(SD1_PIX2PIX, "sd1-pix2pix", "Stable Diffusion 1.x for editing by instruction") \
    X(SD2, "sd2", "Stable Diffusion 2.x")                                            \
    X(SDXL, "sdxl", "Stable Diffusion XL")                                           \
    X(SD3, "sd3", "Stable Diffusion 3")                                              \
    X(FLUX, "flux", "Flux")                                                          \
    X(CONTROLNET, "controlnet", "ControlNet")                                        \
    X(LORA, "lora", "LoRA")                                                          \
    X(LOHA, "loha", "LoHa (Hadamard products of low rank)")                          \
    X(LOKR, "lokr", "LoKr (Kronecker products)")                                     \
    X(OFT, "oft", "OFT (orthogonal fine-tuning)")                                    \
    X(IA3, "ia3", "(IA)^3")                                                          \
    X(DIFF, "diff", "full differences of weights (LyCORIS)")                         \
    X(EMBEDDING, "embedding", "textual inversion embedding")                         \
    X(VAE, "vae", "autoencoder, LDM names")                                          \
    X(VAE_DIFFUSERS, "vae-diffusers", "autoencoder, diffusers names")                \
    X(UNET_DIFFUSERS, "unet-diffusers", "U-Net, diffusers names")                    \
    X(TEXT_ENCODER, "text-encoder", "CLIP text encoder")                             \
    X(UNKNOWN, "unknown", "tensors of no kind known here")

typedef enum ath_kind {
#define ATH_KIND_ENUM(name, word, text) ATH_KIND_##name,
    ATH_KIND_MAP(ATH_KIND_ENUM)
#undef ATH_KIND_ENUM
        ATH_N_KINDS
} ath_kind;

const char *ath_kind_word(ath_kind kind); /* never NULL */
const char *ath_kind_text(ath_kind kind); /* never NULL */

ath_kind ath_kind_of(const ath_st *st);

#endif
