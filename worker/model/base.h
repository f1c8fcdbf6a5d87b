/*
 * Models on disk: a single file in the LDM layout (.safetensors, .ckpt) or a diffusers folder, read
 * through one door. Tensors are found by part and diffusers name whatever the file calls them, and
 * are mapped, not copied. What does not fit is refused with file, key, found, wanted: ATH_EMISSING,
 * ATH_ESHAPE, ATH_EFORMAT.
 */
#ifndef ATH_MODEL_BASE_H
#define ATH_MODEL_BASE_H

#include "core/io/safetensors.h"
#include "worker/graph/exec.h"
#include "worker/model/spec.h"

typedef struct ath_base ath_base;

/* Opens, recognises the layout, works out the spec and checks that every tensor of the three parts
 * is there with its shape. SDXL, SD 2, LoRA and other files are refused by what they are. */
ATH_MUST ath_err ath_base_open(const char *path, ath_base **out);
/* The same with another autoencoder in place of the model's own, from a file that holds one with the
 * names of LDM or of diffusers, a whole model, or a folder of either; "" is none. A single file may
 * then lack its own. One whose config says another scale is refused; a file cannot say it. */
ATH_MUST ath_err ath_base_open_with(const char *path, const char *vae, ath_base **out);
void ath_base_close(ath_base **base);

const ath_model_spec *ath_base_spec(const ath_base *base);

/* The tensor of a diffusers name; ATH_EMISSING. Its shape is that of the engine's parameter (also
 * where the file has [512,512,1,1] for [512,512]); borrowed until close. */
ATH_MUST ath_err ath_base_find(const ath_base *base, ath_part part, const char *name,
                               const ath_st_tensor **out);

/* Makes the base the source of `weights` (ath_weights_draw_from; refuses at once a plan whose frozen
 * parameters it lacks and `weights` too), so it stays open as long as execs are created; and writes
 * every trainable parameter that it has into the slab, converted. `slab` or `weights`
 * NULL: none of those. */
ATH_MUST ath_err ath_base_load(const ath_base *base, const ath_plan *plan, ath_weights *weights,
                               ath_slab *slab);

#endif
