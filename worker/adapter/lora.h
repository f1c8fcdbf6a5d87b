/*
 * LoRA (Hu et al. 2021):  layer(x) + alpha / rank * up(down(x)).  Parameters at a layer:
 * "<adapter>.lora_down.weight" and "<adapter>.lora_up.weight", shaped as in the files: [rank,in] and
 * [out,rank] at linears, with two trailing axes of 1 at 1x1 convolutions; at wider ones down sees the
 * layer's own window, [rank,in,k,k], and up is [out,rank,1,1]. A zero "up" changes nothing, bit for
 * bit.
 */
#ifndef ATH_ADAPTER_LORA_H
#define ATH_ADAPTER_LORA_H

#include "worker/graph/adapter_site.h"

/* At one layer; rank 0: none there. */
typedef struct ath_lora_size {
    int32_t rank;
    float alpha;
} ath_lora_size;

typedef struct ath_lora ath_lora;
/* `layer` is its key, without ".weight". */
typedef ath_lora_size ath_lora_size_fn(const ath_lora *lora, const char *layer,
                                       const ath_adapter_site *site);

/* {rank, alpha} alone is the common LoRA of SD 1.5: 192 layers of the U-Net, 72 of the text encoder. */
struct ath_lora {
    int32_t rank;
    float alpha;
    int32_t conv_rank; /* 0: none; else also at what has wider convolutions (ath_lora_size_of) */
    float conv_alpha;
    bool is_frozen;         /* its parameters are frozen, kept in the net's dtype: to sample with */
    ath_lora_size_fn *size; /* NULL: ath_lora_size_of */
    const void *context;    /* for `size` */
};

/* The layers that kohya's scripts choose: linears and 1x1 convolutions of the U-Net's transformers,
 * attention and inner layers of the text encoder. With conv_rank also the residual blocks' and the
 * down- and upsamplers': 3x3 convolutions with conv_rank, the others with rank. */
ath_lora_size ath_lora_size_of(const ath_lora *lora, const char *layer,
                               const ath_adapter_site *site);

/* An adapter over rows [row, row + n_rows) of the batch; n_rows 0: over all. `name` and `lora` are
 * borrowed while it is attached. */
ath_adapter ath_lora_adapter(const char *name, const ath_lora *lora, int64_t row, int64_t n_rows);

#endif
