#include "coordinator/recipe.h"

#include "proto/job.h"
#include <inttypes.h>
#include <stdio.h>
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

ath_err ath_class_folder_name(const Athanor__Job *job, char out[ATH_PATH_BYTES])
{
    const int n = snprintf(out, ATH_PATH_BYTES, "1_%s", job->class_images->prompt);

    ATH_NEED(n < ATH_PATH_BYTES, ATH_EJOB, "class_images.prompt: too long for a folder's name");
    for (char *at = out; *at; at++)
        if (*at == '/') *at = ' ';
    return ATH_OK;
}

ath_err ath_scan_job(const Athanor__Job *job, ath_scan *out)
{
    const Athanor__Data *d = job->data;
    const bool draws = job->class_images->count > 0;
    const bool is_there = !draws || access(d->regularization, F_OK) == 0;
    char folder[ATH_PATH_BYTES];
    ath_scan_wish wish = {.root = d->regularization,
                          .folder = folder,
                          .count = job->class_images->count,
                          .width = (int32_t)d->resolution->width,
                          .height = (int32_t)d->resolution->height};
    ath_err err = ATH_OK;

    if (draws) ATH_TRY(ath_class_folder_name(job, folder));
    ATH_TRY(
        ath_scan_folders(d->train, is_there ? d->regularization : "", d->caption_extension, out));
    if (draws) err = ath_scan_add_missing(out, &wish);
    if (err) ath_scan_release(out);
    return err;
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
