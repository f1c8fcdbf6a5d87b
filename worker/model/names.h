/*
 * What a parameter is called in a file. The engine's names are the diffusers keys; the single file
 * of Stable Diffusion 1.x (LDM) has others, computed by rule for any number of levels and blocks
 * (spec/adapters-and-formats 1.5, 2.1 to 2.4).
 */
#ifndef ATH_MODEL_NAMES_H
#define ATH_MODEL_NAMES_H

#include "worker/model/params.h"

enum { ATH_KEY_BYTES = 192 };

/* "model.diffusion_model.": what stands before the keys of a part; never NULL. */
const char *ath_ldm_prefix(ath_part part);

/* The single file's key, with its prefix. EINVAL where the part has no such name. */
ATH_MUST ath_err ath_ldm_name(const ath_model_spec *spec, ath_part part, const char *name,
                              char out[ATH_KEY_BYTES]);

/* The single file's shape: that of `p`, but for the attention of the autoencoder, whose [C,C] are
 * convolutions [C,C,1,1] there. Returns the number of dimensions. */
int32_t ath_ldm_shape(ath_part part, const ath_param *p, int64_t dim[ATH_MAX_DIMS]);

/* The key of the same parameter in diffusers files of another age: the attention of the autoencoder
 * before 0.17 ("query" for "to_q"), the text encoder without "text_model."; false where it is the
 * same. */
bool ath_other_name(ath_part part, const char *name, char out[ATH_KEY_BYTES]);

#endif
