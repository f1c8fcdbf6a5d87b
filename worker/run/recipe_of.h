/* How a job wants pictures drawn. */
#ifndef ATH_RUN_RECIPE_OF_H
#define ATH_RUN_RECIPE_OF_H

#include "proto/job.pb-c.h"
#include "worker/sample/pipeline.h"

/* Borrows texts of both. */
ath_recipe ath_recipe_of(const Athanor__Job *job, const Athanor__Sample *sample);

/* All but where the weights come from. */
ath_networks_opts ath_networks_of(const Athanor__Job *job, const ath_model_spec *spec);

#endif
