/*
 * The files of a diffusers folder.
 */
#ifndef ATH_MODEL_FOLDER_H
#define ATH_MODEL_FOLDER_H

#include "core/io/file.h"
#include "worker/model/spec.h"

bool ath_folder_is(const char *path);

/* "PATH/unet/config.json". ELIMIT where it is too long. */
ATH_MUST ath_err ath_folder_config(const char *path, ath_part part, char out[ATH_PATH_BYTES]);

/* The file with a part's weights: the first there is of .safetensors, its fp16 variant, .bin, its
 * fp16 variant. EMISSING where there is none. */
ATH_MUST ath_err ath_folder_weights(const char *path, ath_part part, char out[ATH_PATH_BYTES]);

/* The name under which weights are written: "PATH/unet/diffusion_pytorch_model.safetensors". */
ATH_MUST ath_err ath_folder_weights_new(const char *path, ath_part part, char out[ATH_PATH_BYTES]);

#endif
