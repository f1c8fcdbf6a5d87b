/* A model after training, for ath_model_save: what was trained from the trainer, the rest from the base. */
#ifndef ATH_MODEL_FINETUNED_H
#define ATH_MODEL_FINETUNED_H

#include "worker/model/base.h"
#include "worker/model/save.h"

typedef struct ath_finetuned {
    const ath_base *base;
    const ath_plan_param *params; /* what was trained, as the trainer lists it */
    int32_t n_params;
    /* the value of one of them, in F32; borrowed until the model is saved */
    ath_err (*value)(void *context, const char *name, const float **out);
    void *context;
} ath_finetuned;

/* An ath_save_find; the context is the ath_finetuned. */
ATH_MUST ath_err ath_finetuned_find(void *context, ath_part part, const char *name,
                                    ath_st_tensor *out);

#endif
