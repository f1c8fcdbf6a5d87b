/* A LoRA of made-up values for the tiny model, as tests/reference/lora_tiny.safetensors holds it. */
#ifndef ATH_TESTS_ADAPTER_MADE_H
#define ATH_TESTS_ADAPTER_MADE_H

#include "core/arena.h"
#include "worker/adapter/adapter_file.h"

/* Rank 4 and alpha 2, at wide convolutions 2 and 1. */
extern const ath_lora made_lora;

/* The trainables of a model with a LoRA named "own", in `arena`. */
ATH_MUST ath_err made_params(const ath_model_spec *spec, const ath_lora *lora, ath_arena *arena,
                             ath_plan_param **out, int32_t *n);

/* An ath_adapter_value_fn: the same numbers for the same name; the context is ignored. */
ath_err made_value(void *context, const char *name, const float **out);

/* Writes the LoRA in F16. */
ATH_MUST ath_err made_write(const char *path);

#endif
