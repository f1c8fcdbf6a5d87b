/*
 * A whole model as a table of numbers: what distinguishes one family member from another.
 */
#ifndef ATH_MODEL_SPEC_H
#define ATH_MODEL_SPEC_H

#include "worker/model/text.h"
#include "worker/model/unet.h"
#include "worker/model/vae.h"

typedef struct ath_model_spec {
    ath_text_spec text;
    ath_unet_spec unet;
    ath_vae_spec vae;
} ath_model_spec;

extern const ath_model_spec ath_model_sd15, ath_model_tiny;

/* The three networks of a model. Their parameter names (diffusers keys) have no name in common. */
typedef enum ath_part { ATH_PART_TEXT, ATH_PART_UNET, ATH_PART_VAE, ATH_N_PARTS } ath_part;

/* "text_encoder", "unet", "vae": the folder of a diffusers model; never NULL. */
const char *ath_part_name(ath_part part);

#endif
