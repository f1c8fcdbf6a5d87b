/*
 * LoRA (Hu et al. 2021):  layer(x) + alpha / rank * up(down(x)),  at linears and 1x1 convolutions.
 * Parameters at a layer: "<adapter>.lora_down.weight" [rank,in] and "<adapter>.lora_up.weight"
 * [out,rank], with two trailing axes of 1 at convolutions, as in the files. A zero "up" changes
 * nothing, bit for bit.
 */
#ifndef ATH_ADAPTER_LORA_H
#define ATH_ADAPTER_LORA_H

#include "worker/graph/adapter_site.h"

typedef struct ath_lora {
    int32_t rank;
    float alpha;
} ath_lora;

/* An adapter over rows [row, row + n_rows) of the batch; n_rows 0: over all. `name` and `lora` are
 * borrowed while it is attached. */
ath_adapter ath_lora_adapter(const char *name, const ath_lora *lora, int64_t row, int64_t n_rows);

#endif
