/*
 * Fresh weights, by the rules that PyTorch and transformers initialise the same layers with
 * (spec/adapters-and-formats 1.1.7, 1.2): uniform within 1 / sqrt(inputs of the layer) for the U-Net
 * and the autoencoder, normal for the text encoder. As in diffusers no layer starts at zero.
 *
 * A number depends on the seed, the parameter's name and its index alone: key the seed, counter
 * (index / 4, ATH_DRAW_INIT, hash of the name). So every layout holds the same model.
 */
#ifndef ATH_MODEL_INIT_H
#define ATH_MODEL_INIT_H

#include "core/io/safetensors.h"
#include "worker/model/spec.h"

enum { ATH_DRAW_INIT = 0x696e6974 }; /* the kind of draw: keeps it apart from all others */

typedef struct ath_init ath_init;

/* `dtype` is F32, F16, BF16 or F64; numbers are drawn as F32 and rounded once. */
ATH_MUST ath_err ath_init_create(const ath_model_spec *spec, uint64_t seed, ath_st_dtype dtype,
                                 ath_init **out);
void ath_init_destroy(ath_init **init);

/* The autoencoder is constructed instead of drawn (vae_box.h). EFORMAT where the spec has no room. */
ATH_MUST ath_err ath_init_use_box(ath_init *init);

/* The values of a parameter, kept until destroy; an ath_save_find over an ath_init. */
ATH_MUST ath_err ath_init_find(void *init, ath_part part, const char *name, ath_st_tensor *out);

/* `n` numbers of such a draw, uniform within `size`: for parameters that are not the model's own, as
 * those of adapters. */
void ath_init_uniform(uint64_t seed, const char *name, double size, int64_t n, float *out);

#endif
