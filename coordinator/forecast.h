/*
 * What a run will need, before it runs: bytes on disk and in memory as far as they follow from the
 * recipe, and advice where the recipe is unusual. Numbers for SD 1.5; 0 for other networks, whose
 * sizes are not known here.
 */
#ifndef ATH_COORDINATOR_FORECAST_H
#define ATH_COORDINATOR_FORECAST_H

#include "coordinator/recipe.h"
#include "core/str.h"

typedef struct ath_forecast {
    int64_t n_params_unet, n_params_text; /* that train */
    int64_t latent_bytes; /* what the cache keeps of all pictures, f32, mirrored ones too */
    int64_t checkpoint_bytes, export_bytes; /* of one */
    int64_t n_exports;                      /* on schedule, with the last */
    int64_t frozen_bytes;                   /* of the base's weights, in each rank's memory */
    int64_t state_bytes;  /* trained parameters, gradients, moments, average: all ranks together
                          * hold the moments once */
    int64_t saving_bytes; /* on top, of rank 0: the moments of all ranks, and a copy of what goes on
                           * changing while it is written */
} ath_forecast;

ath_forecast ath_forecast_of(const Athanor__Job *job, const ath_budget *budget);

/* A line for each thing that a person may want to change; nothing where all is usual. */
ATH_MUST ath_err ath_advise(const Athanor__Job *job, const ath_budget *budget, int64_t n_ranks,
                            ath_str *to);

#endif
