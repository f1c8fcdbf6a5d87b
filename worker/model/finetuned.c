#include "worker/model/finetuned.h"

#include <string.h>

ath_err ath_finetuned_find(void *context, ath_part part, const char *name, ath_st_tensor *out)
{
    const ath_finetuned *f = context;
    const ath_st_tensor *t = NULL;
    const float *value = NULL;

    for (int32_t i = 0; part != ATH_PART_VAE && i < f->n_params; i++) {
        if (strcmp(f->params[i].name, name) != 0) continue;
        ATH_TRY(f->value(f->context, name, &value));
        *out = (ath_st_tensor){.name = name,
                               .dtype = ATH_ST_F32,
                               .data = value,
                               .bytes = ath_desc_bytes(&f->params[i].desc)};
        return ATH_OK;
    }
    ATH_TRY(ath_base_find(f->base, part, name, &t));
    *out = *t;
    return ATH_OK;
}
