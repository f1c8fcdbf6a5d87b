/* What a layer is called in kohya's files: "lora_unet_down_blocks_0_attentions_0_proj_in". */
#ifndef ATH_ADAPTER_MODULE_H
#define ATH_ADAPTER_MODULE_H

#include "core/err.h"

enum { ATH_MODULE_BYTES = 256 };

/* Of the first n bytes of a layer's key; false where it is too long. */
bool ath_module_name(const char *layer, size_t n, char out[ATH_MODULE_BYTES]);

/* Where "<layer>.<adapter>" ends in "<layer>.<adapter>.lora_down.weight" (or lora_up): bytes of the
 * layer and of both; false where the name is none of these. */
typedef struct ath_module_param {
    size_t layer, adapter; /* bytes of "<layer>" and of "<layer>.<adapter>" */
    bool is_up;
} ath_module_param;
bool ath_module_param_of(const char *name, ath_module_param *out);

#endif
