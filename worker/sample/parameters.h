/*
 * What a picture was made with, as text: the WebUI's form, which it and its relatives read back.
 *
 *     a cat in the rain
 *     Negative prompt: blurry
 *     Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, ...
 */
#ifndef ATH_SAMPLE_PARAMETERS_H
#define ATH_SAMPLE_PARAMETERS_H

#include "worker/sample/pipeline.h"

typedef struct ath_parameters {
    const ath_recipe *recipe;
    uint64_t seed;
    const char *model_hash; /* ten digits; NULL: not known */
    const char *model;      /* its file's name, without folder and suffix */
    const char *loras;      /* "name: hash, name: hash"; NULL: none */
    int32_t clip_skip;
    int32_t batch, place; /* pictures made at once, and which of them; left out where batch is 1 */
} ath_parameters;

void ath_parameters_print(const ath_parameters *p, ath_str *to);

/* "model" of "folder/model.safetensors", "folder" of "folder/". */
void ath_model_name_print(const char *path, ath_str *to);

#endif
