/*
 * Writing a model, as a single file in the LDM layout or as a diffusers folder. The values come from
 * a lookup, so an opened model, a fresh one and trained weights are written by the same code. Every
 * file is published whole, model_index.json last.
 */
#ifndef ATH_MODEL_SAVE_H
#define ATH_MODEL_SAVE_H

#include "core/io/safetensors_writer.h"
#include "worker/model/spec.h"

typedef enum ath_layout { ATH_LAYOUT_SINGLE, ATH_LAYOUT_FOLDER, ATH_N_LAYOUTS } ath_layout;

/* Gives a parameter's dtype and data (borrowed until the model is saved), of the engine's shape:
 * n_dim and dim are not looked at. */
typedef ath_err ath_save_find(void *context, ath_part part, const char *name, ath_st_tensor *out);

typedef struct ath_save_from {
    ath_save_find *find;
    void *context;
    bool keeps_vae; /* the autoencoder in its own types, whatever is asked for the others */
    const ath_st_meta *meta; /* for a single file, beside what stands there always */
    int32_t n_meta;
} ath_save_from;

/* `dtype` is that of every tensor; ATH_N_ST_DTYPES leaves each as it is. The same values give the
 * same bytes: a single file says what it is (modelspec.*), but no title and no date. A folder gets
 * CLIP's tokenizer cut to the model's vocabulary: ELIMIT where that has fewer than 514 entries. */
ATH_MUST ath_err ath_model_save(const char *path, ath_layout layout, const ath_model_spec *spec,
                                ath_st_dtype dtype, const ath_save_from *from);

/* "name.safetensors" is a single file, whatever else a folder. */
ath_layout ath_layout_of(const char *path);

#endif
