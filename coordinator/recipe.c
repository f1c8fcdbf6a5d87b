#include "coordinator/recipe.h"

#include "proto/job.h"
#include <inttypes.h>
#include <unistd.h>

/* Kinds of schedules are listed in the same order in both. */
_Static_assert((int)ATH_RATE_CONSTANT == (int)ATHANOR__OPTIMIZER__SCHEDULE__CONSTANT &&
                   (int)ATH_RATE_CONSTANT_WITH_WARMUP ==
                       (int)ATHANOR__OPTIMIZER__SCHEDULE__CONSTANT_WITH_WARMUP &&
                   (int)ATH_RATE_LINEAR == (int)ATHANOR__OPTIMIZER__SCHEDULE__LINEAR &&
                   (int)ATH_RATE_POLYNOMIAL == (int)ATHANOR__OPTIMIZER__SCHEDULE__POLYNOMIAL &&
                   (int)ATH_RATE_COSINE == (int)ATHANOR__OPTIMIZER__SCHEDULE__COSINE &&
                   (int)ATH_RATE_COSINE_WITH_RESTARTS ==
                       (int)ATHANOR__OPTIMIZER__SCHEDULE__COSINE_WITH_RESTARTS,
               "schedules");

ath_err ath_scan_job(const Athanor__Job *job, ath_scan *out)
{
    const Athanor__Data *d = job->data;
    const int64_t n_drawn = job->class_images->count;

    ATH_NEED(n_drawn == 0 || !*d->regularization || access(d->regularization, F_OK) == 0,
             ATH_EMISSING,
             "%s: there is no such folder yet; athanor train makes it, and draws its %" PRId64
             " class images",
             d->regularization, n_drawn);
    return ath_scan_folders(d->train, d->regularization, d->caption_extension, out);
}

ath_budget_rule ath_budget_rule_of(const Athanor__Job *job)
{
    const Athanor__Train *t = job->train;
    const Athanor__Size *size = job->data->resolution;
    const Athanor__Buckets *b = job->data->buckets;

    return (ath_budget_rule){
        .seed = (uint64_t)job->seed,
        .n_epochs = t->epochs,
        .n_steps = t->steps,
        .micro_batch = t->micro_batch,
        .global_batch = t->global_batch,
        .buckets = {.resolution = {(int32_t)size->width, (int32_t)size->height},
                    .is_off = !b->enabled,
                    .no_upscale = b->no_upscale,
                    .min_side = (int32_t)b->min,
                    .max_side = (int32_t)b->max,
                    .step = (int32_t)b->step}};
}

ath_doctor_rule ath_doctor_rule_of(const Athanor__Job *job, bool is_deep)
{
    const Athanor__Size *size = job->data->resolution;

    return (ath_doctor_rule){.side =
                                 (int32_t)(size->width < size->height ? size->width : size->height),
                             .n_tokens = job->train->tokens,
                             .trigger = "",
                             .separator = job->data->separator,
                             .is_deep = is_deep};
}

ath_err ath_rate_of(const Athanor__Job *job, int64_t n_updates, ath_rate *out)
{
    const Athanor__Optimizer *o = job->optimizer;
    const double lr = ath_recipe_lr(job), end = 1e-7; /* what others end a polynomial at */
    ath_rate rate = {.kind = (ath_rate_kind)o->schedule,
                     .n_updates = n_updates,
                     .n_cycles = o->cycles,
                     .power = o->power,
                     .end_ratio = lr > end ? end / lr : 0};

    ATH_TRY(ath_rate_warmup(o->warmup->steps, o->warmup->share, n_updates, &rate.n_warmup));
    ATH_TRY(ath_rate_check(&rate));
    *out = rate;
    return ATH_OK;
}

bool ath_recipe_trains_unet(const Athanor__Job *job)
{
    return ath_job_trains_unet(job);
}

bool ath_recipe_trains_text(const Athanor__Job *job)
{
    return ath_job_trains_text(job);
}

double ath_recipe_lr(const Athanor__Job *job)
{
    double unet = ath_recipe_trains_unet(job) ? job->optimizer->unet_lr : 0;
    double text = ath_recipe_trains_text(job) ? job->optimizer->text_encoder_lr : 0;

    return unet > text ? unet : text;
}
