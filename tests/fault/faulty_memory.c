/*
 * The program, with a bit of its memory turned over: in rank FLIP_RANK, before step FLIP_STEP, one of a
 * trained weight. For test_flip.sh.
 */
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"
#include "worker/train/trainer.h"

#include <stdint.h>
#include <stdlib.h>

ath_err __real_ath_trainer_begin(ath_trainer *trainer, int32_t n_leaves);
ath_err __wrap_ath_trainer_begin(ath_trainer *trainer, int32_t n_leaves);

static ath_err flip(ath_trainer *trainer)
{
    const ath_plan_param *param = NULL;
    const float *value = NULL;
    const int32_t n = ath_trainer_params(trainer, &param);

    ATH_TRY(ath_trainer_value(trainer, param[n / 2].name, false, &value));
    *(uint8_t *)(uintptr_t)value ^= 1; /* the least that can be */
    return ATH_OK;
}

ath_err __wrap_ath_trainer_begin(ath_trainer *trainer, int32_t n_leaves)
{
    const char *rank = getenv("FLIP_RANK"), *step = getenv("FLIP_STEP");

    if (rank && step && strtoll(rank, NULL, 10) == ath_dist_rank() &&
        ath_stage_place(ath_stage_word()).step == strtoll(step, NULL, 10))
        ATH_TRY(flip(trainer));
    return __real_ath_trainer_begin(trainer, n_leaves);
}
