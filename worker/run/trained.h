/* A model of trained values over its base: to be saved, to be drawn with. The average's values where
 * one is kept. */
#ifndef ATH_RUN_TRAINED_H
#define ATH_RUN_TRAINED_H

#include "worker/model/base.h"
#include "worker/model/save.h"
#include "worker/train/trainer.h"

typedef struct ath_trained_from {
    ath_trainer *trainer;
    const ath_base *base;
} ath_trained_from;

/* An ath_lora_size_fn with the trainer as context: the adapter is where it was trained. */
ath_lora_size ath_trained_size(const ath_lora *lora, const char *layer,
                               const ath_adapter_site *site);

/* An ath_networks_load_fn over an ath_trained_from. */
ATH_MUST ath_err ath_trained_load(void *from, const ath_plan *plan, ath_weights *weights);

typedef struct ath_trained_as {
    ath_st_dtype dtype;
    const ath_st_meta *meta;
    int32_t n_meta;
} ath_trained_as;

/* The whole model; the autoencoder as the base has it, all else in `dtype`. */
ATH_MUST ath_err ath_trained_save(const ath_trained_from *from, const char *path, bool is_single,
                                  const ath_trained_as *as);

#endif
