#include "worker/run/recipe_of.h"

#include "proto/job.h"
#include "worker/run/run_private.h"

ath_recipe ath_recipe_of(const Athanor__Job *job, const Athanor__Sample *sample)
{
    static const ath_sampler samplers[] = {
        [ATHANOR__SAMPLE__SAMPLER__EULER_A] = ATH_SAMPLER_EULER_A,
        [ATHANOR__SAMPLE__SAMPLER__EULER] = ATH_SAMPLER_EULER,
        [ATHANOR__SAMPLE__SAMPLER__DDIM] = ATH_SAMPLER_DDIM,
        [ATHANOR__SAMPLE__SAMPLER__DPMPP_2M] = ATH_SAMPLER_DPMPP_2M};
    const ath_sampler sampler = samplers[sample->sampler];

    return (ath_recipe){.prompt = sample->prompt,
                        .negative = sample->negative,
                        .cfg = sample->cfg,
                        .width = (int32_t)sample->size->width,
                        .height = (int32_t)sample->size->height,
                        .n_steps = (int32_t)sample->steps,
                        .sampler = sampler,
                        .spacing = ATH_SPACING_AUTO,
                        .prediction =
                            job->train->v_prediction ? ATH_PREDICTS_VELOCITY : ATH_PREDICTS_NOISE,
                        .eta = sampler == ATH_SAMPLER_EULER_A ? 1 : 0,
                        .noise = ATH_NOISE_OWN};
}

ath_networks_opts ath_networks_of(const Athanor__Job *job, const ath_model_spec *spec,
                                  const ath_unit *unit)
{
    return (ath_networks_opts){.spec = *spec,
                               .backend = unit->backend,
                               .device = unit->device,
                               .dtype = ath_run_dtype(job),
                               .n_threads = (int32_t)job->train->threads,
                               .clip_skip = (int32_t)job->train->clip_skip};
}

ath_trainer_opts ath_trainer_opts_of(const Athanor__Job *job, const ath_model_spec *spec,
                                     ath_lora *lora)
{
    const Athanor__Train *t = job->train;
    const Athanor__Optimizer *o = job->optimizer;
    const Athanor__Adapter *a = job->adapter;
    const double alpha = a->alpha > 0 ? a->alpha : (double)a->rank;

    *lora = (ath_lora){.rank = (int32_t)a->rank,
                       .alpha = (float)alpha,
                       .conv_rank = (int32_t)a->conv_rank,
                       .conv_alpha = (float)(alpha * (double)a->conv_rank / (double)a->rank)};
    return (ath_trainer_opts){.spec = *spec,
                              .backend = ATH_CPU,
                              .dtype = ath_run_dtype(job),
                              .n_threads = (int32_t)t->threads,
                              .recompute = t->recompute,
                              .trains_unet = ath_job_trains_unet(job),
                              .trains_text = ath_job_trains_text(job),
                              .lora = a->kind == ATHANOR__ADAPTER__KIND__LORA ? lora : NULL,
                              .clip_skip = (int32_t)t->clip_skip,
                              .n_chunks = (int32_t)(t->tokens / 75),
                              .digest_every = t->digest_every,
                              .reduces_fast = t->reduce == ATHANOR__TRAIN__REDUCE__FAST,
                              .max_norm = t->max_norm,
                              .beta1 = o->beta1,
                              .beta2 = o->beta2,
                              .eps = o->eps,
                              .weight_decay = o->weight_decay,
                              .ema_decay = t->ema_decay,
                              .seed = (uint64_t)job->seed};
}
