#include "worker/run/trained.h"

#include "worker/model/finetuned.h"

#include <stdio.h>
#include <string.h>

/* The trained parameter of that name; NULL where it is not trained. */
static const ath_plan_param *find(const ath_trainer *trainer, const char *name)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(trainer, &p);

    for (int32_t i = 0; i < n; i++)
        if (strcmp(p[i].name, name) == 0) return &p[i];
    return NULL;
}

ath_lora_size ath_trained_size(const ath_lora *lora, const char *layer,
                               const ath_adapter_site *site)
{
    char name[256];

    snprintf(name, sizeof name, "%s." ATH_TRAIN_ADAPTER ".lora_down.weight", layer);
    return find(lora->context, name) ? ath_lora_size_of(lora, layer, site) : (ath_lora_size){0};
}

ath_err ath_trained_load(void *from, const ath_plan *plan, ath_weights *weights)
{
    const ath_trained_from *f = from;
    const ath_plan_param *p = NULL;
    const float *values = NULL;
    const int32_t n = ath_plan_frozen(plan, &p);

    for (int32_t i = 0; i < n; i++) {
        if (!find(f->trainer, p[i].name)) continue;
        ATH_TRY(ath_trainer_value(f->trainer, p[i].name, true, &values));
        ATH_TRY(ath_weights_put(weights, p[i].name, p[i].desc, ATH_F32, values));
    }
    return ath_base_load(f->base, plan, weights, NULL);
}

static ath_err value_of(void *trainer, const char *name, const float **out)
{
    return ath_trainer_value(trainer, name, true, out);
}

ath_err ath_trained_save(const ath_trained_from *from, const char *path, bool is_single,
                         const ath_trained_as *as)
{
    ath_finetuned f = {.base = from->base, .value = value_of, .context = from->trainer};
    const ath_save_from save = {.find = ath_finetuned_find,
                                .context = &f,
                                .keeps_vae = true,
                                .meta = as->meta,
                                .n_meta = as->n_meta};

    f.n_params = ath_trainer_params(from->trainer, &f.params);
    return ath_model_save(path, is_single ? ATH_LAYOUT_SINGLE : ATH_LAYOUT_FOLDER,
                          ath_base_spec(from->base), as->dtype, &save);
}
