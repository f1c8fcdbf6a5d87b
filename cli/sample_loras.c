#include "cli/sample_loras.h"

#include "worker/sample/parameters.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "FILE" or "FILE:WEIGHT" in `path`, which is cut before the weight. */
static ath_err take_weight(char *path, float *weight)
{
    char *colon = strrchr(path, ':'), *end = NULL;

    *weight = 1;
    if (!colon || colon == path) return ATH_OK;
    const double value = strtod(colon + 1, &end);
    if (end == colon + 1 || *end) return ATH_OK; /* a name with a colon in it */
    ATH_NEED(isfinite(value) && fabs(value) <= 100, ATH_EINVAL,
             "--lora %s: the weight is %g, wanted -100 to 100", path, value);
    *weight = (float)value;
    *colon = 0;
    return ATH_OK;
}

static ath_err add(ath_sample_loras *s, char *path, const ath_model_spec *spec)
{
    ath_sample_lora *l = &s->of[s->n];
    char hash[ATH_ADAPTER_HASH_TEXT];
    float weight = 1;

    ATH_NEED(path[0], ATH_EINVAL, "--lora: a name is empty; wanted FILE[:WEIGHT][,FILE...]");
    ATH_TRY(take_weight(path, &weight));
    ATH_TRY(ath_adapter_file_open(path, &l->file));
    s->n++;
    ATH_TRY(ath_adapter_file_check(l->file, spec));
    ATH_TRY(ath_adapter_file_hash(l->file, hash));
    l->lora = ath_adapter_file_lora(l->file, weight);
    snprintf(l->name, sizeof l->name, "lora%d", s->n);
    s->adapters[s->n - 1] = ath_lora_adapter(l->name, &l->lora, 0, 0);
    if (s->n > 1) ath_str_print(&s->hashes, ", ");
    ath_model_name_print(path, &s->hashes);
    ath_str_print(&s->hashes, ": %s", hash);
    return ath_str_check(&s->hashes);
}

ath_err ath_sample_loras_open(ath_sample_loras *loras, const char *text, const ath_model_spec *spec)
{
    char path[4096];

    for (const char *at = text; at; at = strchr(at, ',')) {
        if (at != text) at++;
        const size_t n = strcspn(at, ",");
        ATH_NEED(loras->n < ATH_SAMPLE_LORAS_MAX, ATH_ELIMIT, "--lora: more than %d files",
                 ATH_SAMPLE_LORAS_MAX);
        ATH_NEED(n < sizeof path, ATH_ELIMIT, "--lora: a path is too long");
        memcpy(path, at, n);
        path[n] = 0;
        ATH_TRY(add(loras, path, spec));
    }
    return ATH_OK;
}

ath_err ath_sample_loras_load(const ath_sample_loras *loras, const ath_plan *plan,
                              ath_weights *weights)
{
    for (int32_t i = 0; i < loras->n; i++)
        ATH_TRY(ath_adapter_file_load(loras->of[i].file, loras->of[i].name, plan, weights));
    return ATH_OK;
}

void ath_sample_loras_close(ath_sample_loras *loras)
{
    for (int32_t i = 0; i < loras->n; i++) ath_adapter_file_close(&loras->of[i].file);
    ath_str_release(&loras->hashes);
    loras->n = 0;
}
