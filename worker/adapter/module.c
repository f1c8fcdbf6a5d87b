#include "worker/adapter/module.h"

#include <stdio.h>
#include <string.h>

bool ath_module_name(const char *layer, size_t n, char out[ATH_MODULE_BYTES])
{
    static const char text[] = "text_model.";
    const bool is_text = n >= sizeof text - 1 && memcmp(layer, text, sizeof text - 1) == 0;
    const int length =
        snprintf(out, ATH_MODULE_BYTES, "lora_%s_%.*s", is_text ? "te" : "unet", (int)n, layer);

    if (n > ATH_MODULE_BYTES || length < 0 || length >= ATH_MODULE_BYTES) return false;
    for (char *p = out; *p; p++)
        if (*p == '.') *p = '_';
    return true;
}

bool ath_module_param_of(const char *name, ath_module_param *out)
{
    static const char down[] = ".lora_down.weight", up[] = ".lora_up.weight";
    const size_t n = strlen(name);

    for (int is_up = 0; is_up < 2; is_up++) {
        const char *ending = is_up ? up : down;
        const size_t k = strlen(ending);
        if (n <= k || strcmp(name + n - k, ending) != 0) continue;
        size_t layer = n - k;
        while (layer > 0 && name[layer - 1] != '.') layer--;
        if (layer < 2) return false;
        *out = (ath_module_param){layer - 1, n - k, is_up};
        return true;
    }
    return false;
}
