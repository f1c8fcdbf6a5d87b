/* What no range of a single key can say. */
#include "proto/job_private.h"

#include "core/text/prompt.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A run lasts epochs or steps: `steps` alone means steps, and what a --set says wins over the file. */
static ath_err settle_length(ath_job_reader *r, Athanor__Train *t)
{
    if (t->steps > 0 && !t->has_epochs) t->epochs = 0;
    const bool sets_steps = ath_job_is_set(r, "train.steps");
    const bool sets_epochs = ath_job_is_set(r, "train.epochs");
    if (t->steps > 0 && sets_steps && !sets_epochs) t->epochs = 0;
    if (t->epochs > 0 && sets_epochs && !sets_steps) t->steps = 0;
    if (t->steps > 0 && t->epochs > 0)
        return ath_job_complain_of(r, "train.steps",
                                   "train.steps is %" PRId64 " and train.epochs is %" PRId64
                                   ": leave one out",
                                   t->steps, t->epochs);
    if (t->steps == 0 && t->epochs == 0)
        return ath_job_complain_of(r, "train.epochs",
                                   "train.epochs and train.steps are both 0: nothing would happen");
    return ATH_OK;
}

static ath_err check_train(ath_job_reader *r, const Athanor__Job *job)
{
    const Athanor__Train *t = job->train;
    bool none = job->adapter->kind == ATHANOR__ADAPTER__KIND__NONE;

    if (t->global_batch % t->micro_batch != 0)
        ATH_TRY(ath_job_complain_of(r, "train.global_batch",
                                    "train.global_batch is %" PRId64
                                    ", wanted a multiple of train.micro_batch, %" PRId64,
                                    t->global_batch, t->micro_batch));
    if (!t->train_unet && !t->train_text_encoder)
        ATH_TRY(ath_job_complain_of(r, "train.train_unet",
                                    "train.train_unet and train.train_text_encoder are both false: "
                                    "nothing would be trained"));
    if (t->mixed == ATHANOR__DTYPE__F16)
        ATH_TRY(ath_job_complain_of(r, "train.mixed",
                                    "train.mixed: found \"f16\", wanted \"f32\" or \"bf16\": "
                                    "gradients do not fit the range of f16"));
    for (size_t i = 0; !none && i < job->adapter->n_targets; i++) {
        bool unet = job->adapter->targets[i] == ATHANOR__ADAPTER__TARGET__UNET;
        if (unet ? t->train_unet : t->train_text_encoder) continue;
        ATH_TRY(ath_job_complain_of(
            r, "adapter.targets", "adapter.targets names \"%s\", but train.%s is false",
            unet ? "unet" : "text", unet ? "train_unet" : "train_text_encoder"));
    }
    return ATH_OK;
}

static ath_err check_pixels(ath_job_reader *r, const char *key, int64_t pixels)
{
    if (pixels % 64 == 0) return ATH_OK;
    return ath_job_complain_of(
        r, key, "%s: found %" PRId64 ", wanted a multiple of 64 for the model sd15", key, pixels);
}

static ath_err check_sizes(ath_job_reader *r, const Athanor__Job *job)
{
    const Athanor__Size *s = job->data->resolution;
    const Athanor__Buckets *b = job->data->buckets;
    int64_t least = s->width < s->height ? s->width : s->height;
    int64_t most = s->width < s->height ? s->height : s->width;

    if (b->enabled && b->min > b->max)
        ATH_TRY(ath_job_complain_of(r, "data.buckets.min",
                                    "data.buckets.min is %" PRId64 ", more than data.buckets.max, "
                                    "%" PRId64,
                                    b->min, b->max));
    if (b->enabled && (least < b->min || most > b->max))
        ATH_TRY(ath_job_complain_of(r, "data.resolution",
                                    "data.resolution: a side of %" PRId64
                                    " is outside the buckets, %" PRId64 " to %" PRId64,
                                    least < b->min ? least : most, b->min, b->max));
    if (job->model->spec != ATHANOR__MODEL__SPEC__SD15) return ATH_OK;
    if (b->enabled) return check_pixels(r, "data.buckets.step", b->step);
    ATH_TRY(check_pixels(r, "data.resolution", s->width));
    if (s->height != s->width) ATH_TRY(check_pixels(r, "data.resolution", s->height));
    return ATH_OK;
}

static ath_err check_optimizer(ath_job_reader *r, const Athanor__Optimizer *o)
{
    bool constant = o->schedule == ATHANOR__OPTIMIZER__SCHEDULE__CONSTANT;

    if (constant && (o->warmup->steps > 0 || o->warmup->share > 0))
        return ath_job_complain_of(r, "optimizer.warmup",
                                   "optimizer.warmup: the schedule \"constant\" has none; wanted "
                                   "optimizer.schedule = \"constant_with_warmup\"");
    return ATH_OK;
}

static ath_err check_class_images(ath_job_reader *r, const Athanor__Job *job)
{
    if (job->class_images->count == 0) return ATH_OK;
    if (!job->class_images->prompt[0])
        ATH_TRY(ath_job_complain_of(r, "class_images.count",
                                    "class_images.count wants class_images.prompt, such as \"a "
                                    "person\""));
    if (!job->data->regularization[0])
        ATH_TRY(ath_job_complain_of(r, "class_images.count",
                                    "class_images.count wants data.regularization, the folder the "
                                    "pictures go to"));
    return ATH_OK;
}

static ath_err check_samples(ath_job_reader *r, const Athanor__Job *job)
{
    char key[40];
    int n = 0;

    for (size_t i = 0; i < job->n_sample; i++) {
        const char *network = ath_prompt_find_network(job->sample[i]->prompt, &n);
        if (!network) continue;
        snprintf(key, sizeof key, "sample.%zu.prompt", i);
        ATH_TRY(ath_job_complain_of(r, key,
                                    "%s has \"%.*s\", which nothing here acts on; wanted the "
                                    "prompt alone: what is trained takes part in it",
                                    key, n < 80 ? n : 80, network));
    }
    return ATH_OK;
}

ath_err ath_job_rules(ath_job_reader *r, Athanor__Job *job)
{
    if (strchr(job->name, '/') || job->name[0] == '.')
        ATH_TRY(ath_job_complain_of(r, "name",
                                    "name: found \"%.40s\", wanted the name of a folder: no slash, "
                                    "no dot in front",
                                    job->name));
    if (!job->data->train[0])
        ATH_TRY(ath_job_complain_of(r, "data.train",
                                    "data.train is missing: the folder that holds the folders "
                                    "N_concept"));
    if (job->noise->min_timestep >= job->noise->max_timestep)
        ATH_TRY(ath_job_complain_of(r, "noise.min_timestep",
                                    "noise.min_timestep is %" PRId64
                                    ", wanted less than noise.max_timestep, %" PRId64,
                                    job->noise->min_timestep, job->noise->max_timestep));
    ATH_TRY(settle_length(r, job->train));
    ATH_TRY(check_train(r, job));
    ATH_TRY(check_sizes(r, job));
    ATH_TRY(check_optimizer(r, job->optimizer));
    ATH_TRY(check_samples(r, job));
    return check_class_images(r, job);
}

/* Targets that are not named are those that the job trains. */
static bool is_target(const Athanor__Adapter *a, Athanor__Adapter__Target target)
{
    if (a->kind == ATHANOR__ADAPTER__KIND__NONE || a->n_targets == 0) return true;
    for (size_t i = 0; i < a->n_targets; i++)
        if (a->targets[i] == target) return true;
    return false;
}

bool ath_job_trains_unet(const Athanor__Job *job)
{
    return job->train->train_unet && job->optimizer->unet_lr > 0 &&
           is_target(job->adapter, ATHANOR__ADAPTER__TARGET__UNET);
}

bool ath_job_trains_text(const Athanor__Job *job)
{
    return job->train->train_text_encoder && job->optimizer->text_encoder_lr > 0 &&
           is_target(job->adapter, ATHANOR__ADAPTER__TARGET__TEXT);
}
