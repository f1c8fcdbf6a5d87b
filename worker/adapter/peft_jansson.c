#include "worker/adapter/peft.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static json_t *get(const json_t *root, const char *part, const char *key)
{
    char name[64];

    snprintf(name, sizeof name, "%s.%s", part, key);
    return json_object_get(root, name);
}

double ath_peft_alpha(const char *json, const char *part, double rank)
{
    json_t *root = json ? json_loads(json, 0, NULL) : NULL;
    const json_t *alpha = get(root, part, "lora_alpha");
    double value = json_is_number(alpha) ? json_number_value(alpha) : rank;

    /* rank-stabilized: alpha / sqrt(rank) */
    if (json_is_true(get(root, part, "use_rslora"))) value *= sqrt(rank);
    json_decref(root);
    return value;
}
