/* What a job says, in the terms of those who draw and train. */
#ifndef ATH_RUN_RECIPE_OF_H
#define ATH_RUN_RECIPE_OF_H

#include "proto/job.pb-c.h"
#include "worker/graph/unit.h"
#include "worker/sample/pipeline.h"
#include "worker/train/trainer.h"

/* Borrows texts of both. */
ath_recipe ath_recipe_of(const Athanor__Job *job, const Athanor__Sample *sample);

/* All but where the weights come from. */
ath_networks_opts ath_networks_of(const Athanor__Job *job, const ath_model_spec *spec,
                                  const ath_unit *unit);

/* All but n_leaves_max and where the weights come from. `lora` gets the job's, and is borrowed where
 * there is one. */
ath_trainer_opts ath_trainer_opts_of(const Athanor__Job *job, const ath_model_spec *spec,
                                     ath_lora *lora);

#endif
