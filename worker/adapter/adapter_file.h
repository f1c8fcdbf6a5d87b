/*
 * LoRA on disk: safetensors with kohya's key names (spec/adapters-and-formats 2.7, 4.0, 4.1), as the
 * WebUI, ComfyUI, diffusers and kohya's scripts load them: "lora_unet_<module>.lora_down.weight",
 * "lora_te_<module>...", ".alpha".
 */
#ifndef ATH_ADAPTER_FILE_H
#define ATH_ADAPTER_FILE_H

#include "core/io/safetensors_writer.h"
#include "worker/adapter/lora.h"
#include "worker/graph/exec.h"
#include "worker/model/spec.h"

/* ---- out ---- */

/* The value of a trained parameter "<layer's key>.<adapter>.lora_down.weight", in F32; borrowed until
 * the file is written. */
typedef ath_err ath_adapter_value_fn(void *context, const char *name, const float **out);

typedef struct ath_adapter_save {
    const ath_plan_param *params; /* all trainables, as the trainer lists them */
    int32_t n_params;
    const ath_lora *lora; /* with sizes by rule */
    ath_st_dtype dtype;
    const ath_st_meta *meta; /* see metadata.h; the hashes over the tensors are added here */
    int32_t n_meta;
    ath_adapter_value_fn *value;
    void *context;
} ath_adapter_save;

/* Publishes the file. Equal values and metadata give equal bytes. ENAN where a value is not finite or
 * would not be in `dtype`: nothing is written. */
ATH_MUST ath_err ath_adapter_save_file(const char *path, const ath_adapter_save *save);

/* ---- in ---- */

typedef struct ath_adapter_file ath_adapter_file;
/* LoRA in kohya's or peft's/diffusers' names; others are refused by what they are. */
ATH_MUST ath_err ath_adapter_file_open(const char *path, ath_adapter_file **out);
void ath_adapter_file_close(ath_adapter_file **file);

/* Layers of the file that the model has not, or has in another shape, are an error that names the
 * first. */
ATH_MUST ath_err ath_adapter_file_check(const ath_adapter_file *file, const ath_model_spec *spec);

/* For ath_lora_adapter, to sample with: frozen, at the layers that the file names, each with the rank
 * and alpha of its own, times `scale`. Borrows the file. */
ath_lora ath_adapter_file_lora(const ath_adapter_file *file, float scale);

/* Puts the frozen parameters of the plan that are this adapter's into `weights`, where they are not
 * yet; the adapter was attached under `name`. */
ATH_MUST ath_err ath_adapter_file_load(const ath_adapter_file *file, const char *name,
                                       const ath_plan *plan, ath_weights *weights);

enum { ATH_ADAPTER_HASH_TEXT = 13 };
/* The WebUI's short hash of it. */
ATH_MUST ath_err ath_adapter_file_hash(const ath_adapter_file *file,
                                       char out[ATH_ADAPTER_HASH_TEXT]);

#endif
