/*
 * The files of a diffusers folder.
 */
#ifndef ATH_MODEL_FOLDER_H
#define ATH_MODEL_FOLDER_H

#include "core/arena.h"
#include "core/io/file.h"
#include "worker/model/spec.h"

bool ath_folder_is(const char *path);

/* "PATH/unet/config.json". ELIMIT where it is too long. */
ATH_MUST ath_err ath_folder_config(const char *path, ath_part part, char out[ATH_PATH_BYTES]);

/* What the name of a list of shards ends in. */
#define ATH_SHARDS_ENDING ".index.json"

/* The file with a part's weights: the first there is of .safetensors, its fp16 variant, a list of its
 * shards, and the same of .bin. EMISSING where there is none. */
ATH_MUST ath_err ath_folder_weights(const char *path, ath_part part, char out[ATH_PATH_BYTES]);

/* Config and weights of an autoencoder, where PATH is its own folder or a model's. The config may be
 * missing; EMISSING where there are no weights. */
ATH_MUST ath_err ath_folder_vae(const char *path, char config[ATH_PATH_BYTES],
                                char weights[ATH_PATH_BYTES]);

/* The files that a list of shards names, each once, with the list's folder before them; in the arena.
 * What is no such list is EFORMAT. */
ATH_MUST ath_err ath_folder_shards(const char *list, ath_arena *arena, const char ***files,
                                   int32_t *n);

/* The name under which weights are written: "PATH/unet/diffusion_pytorch_model.safetensors". */
ATH_MUST ath_err ath_folder_weights_new(const char *path, ath_part part, char out[ATH_PATH_BYTES]);

#endif
