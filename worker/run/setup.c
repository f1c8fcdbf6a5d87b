/* What a run needs before its first step. */
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "proto/job.h"
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"
#include "worker/model/params.h"
#include "worker/run/recipe_of.h"
#include "worker/run/run_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AHEAD = 8, NOTE_NS = 1000000000 }; /* micro-batches that wait; time between notes */

/* ---- what a job may ask for ---- */

ath_dtype ath_run_dtype(const Athanor__Job *job)
{
    return job->train->mixed == ATHANOR__DTYPE__F32 ? ATH_F32 : ATH_BF16;
}

ath_err ath_run_check(const Athanor__Job *job)
{
    ATH_NEED(job->model->base_[0], ATH_EJOB,
             "model.base is missing: the checkpoint to train, a .safetensors file or a diffusers "
             "folder");
    ATH_NEED(ath_job_trains_unet(job) || ath_job_trains_text(job), ATH_EJOB,
             "nothing would be trained: of U-Net and text encoder those that are wanted have "
             "learning rate 0 (optimizer.unet_lr, optimizer.text_encoder_lr)");
    return ATH_OK;
}

ath_err ath_run_open_unit(const Athanor__Job *job, ath_unit *out)
{
    _Static_assert((int)ATH_UNIT_AUTO == ATHANOR__TRAIN__DEVICE__AUTO &&
                       (int)ATH_UNIT_CPU == ATHANOR__TRAIN__DEVICE__CPU &&
                       (int)ATH_UNIT_CUDA == ATHANOR__TRAIN__DEVICE__CUDA,
                   "a wish is the job's value");
    return ath_unit_open((ath_unit_wish)job->train->device, ath_dist_local_rank(),
                         ath_dist_local_size(), out);
}

/* The U-Net halves its latents once a level. */
static ath_err check_buckets(const ath_run *r)
{
    const ath_model_spec *spec = ath_base_spec(r->base);
    const uint32_t unit = 1U << (spec->vae.n_levels - 1 + spec->unet.n_levels - 1);

    for (size_t i = 0; i < r->opts->plan->n_bucket; i++) {
        const Athanor__Shape *b = r->opts->plan->bucket[i];
        ATH_NEED(b->width % unit == 0 && b->height % unit == 0, ATH_EJOB,
                 "a bucket is %" PRIu32 "x%" PRIu32 ", wanted multiples of %" PRIu32
                 " for the model %s; set data.buckets.step",
                 b->width, b->height, unit, r->opts->job->model->base_);
    }
    return ATH_OK;
}

/* ---- the base ---- */

ath_err ath_run_load(void *base, const ath_plan *plan, ath_weights *weights, ath_slab *slab)
{
    return ath_base_load(base, plan, weights, slab);
}

ath_err ath_run_load_frozen(void *base, const ath_plan *plan, ath_weights *weights)
{
    return ath_base_load(base, plan, weights, NULL);
}

static ath_err open_base(ath_run *r)
{
    const Athanor__Job *job = r->opts->job;

    ATH_TRY(ath_run_check(job));
    ATH_TRY(ath_run_open_unit(job, &r->unit));
    ATH_TRY(ath_base_open_with(job->model->base_, job->model->vae, &r->base));
    ATH_TRY(check_buckets(r));
    return ath_record_create(r);
}

/* What of the autoencoder decides a latent: its encoder. Another decoder keeps the cache good. */
static bool decides(ath_part part, const char *name)
{
    return part != ATH_PART_VAE || strncmp(name, "encoder.", 8) == 0 ||
           strncmp(name, "quant_conv.", 11) == 0;
}

/* Of a part's weights, and of what else decides its answers. */
static ath_err identify(const ath_run *r, ath_part part, ath_hash *out)
{
    const Athanor__Job *job = r->opts->job;
    const int64_t settings[] = {job->train->threads, ath_run_dtype(job), job->train->clip_skip};
    const ath_param *param = NULL;
    const ath_st_tensor *t = NULL;
    ath_hasher *hasher = NULL;
    ath_arena arena = {0};
    int32_t n = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_hasher_create(&hasher));
    ATH_TRY_OUT(ath_params_list(ath_base_spec(r->base), part, &arena, &param, &n));
    for (int32_t i = 0; i < n; i++) {
        if (!decides(part, param[i].name)) continue;
        ATH_TRY_OUT(ath_base_find(r->base, part, param[i].name, &t));
        ath_hasher_put(hasher, param[i].name, strlen(param[i].name) + 1);
        ath_hasher_put(hasher, &t->dtype, sizeof t->dtype);
        ath_hasher_put(hasher, t->data, t->bytes);
    }
    /* latents are made in F32 and have no clip skip */
    ath_hasher_put(hasher, settings, part == ATH_PART_VAE ? sizeof *settings : sizeof settings);
    *out = ath_hasher_get(hasher);
out:
    ath_hasher_destroy(&hasher);
    ath_arena_release(&arena);
    return err;
}

/* ---- trainer, latents, texts, loader ---- */

static ath_err make_trainer(ath_run *r)
{
    ath_trainer_opts opts = ath_trainer_opts_of(r->opts->job, ath_base_spec(r->base), &r->lora);

    opts.backend = r->unit.backend;
    opts.device = r->unit.device;
    opts.n_leaves_max = (int32_t)r->opts->plan->micros_per_step;
    opts.load = ath_run_load;
    opts.load_context = r->base;
    return ath_trainer_create(&opts, &r->trainer);
}

static void note_encoded(void *run, int64_t done, int64_t n)
{
    char text[96];
    ath_run *r = run;
    const int64_t now = ath_time_mono_ns();

    if (now - r->noted_ns < NOTE_NS) return;
    r->noted_ns = now;
    snprintf(text, sizeof text, "pictures to latents: %" PRId64 " of %" PRId64, done, n);
    ath_run_note(run, text);
}

static ath_err make_latents(ath_run *r)
{
    const Athanor__Job *job = r->opts->job;
    ath_latents_opts opts = {.spec = ath_base_spec(r->base)->vae,
                             .backend = r->unit.backend,
                             .device = r->unit.device,
                             .n_threads = (int32_t)job->train->threads,
                             .folder = job->data->cache,
                             .plan = r->opts->plan,
                             .mirrored = job->data->flip,
                             .random_crop = job->data->random_crop,
                             .load = ath_run_load_frozen,
                             .load_context = r->base,
                             .progress = note_encoded,
                             .progress_context = r,
                             .cancel = r->opts->cancel};

    ATH_TRY(ath_dist_agree(identify(r, ATH_PART_VAE, &opts.vae)));
    return ath_latents_create(&opts, &r->latents);
}

static ath_err make_text(ath_run *r)
{
    const Athanor__Job *job = r->opts->job;
    const ath_text_states_opts opts = {.spec = ath_base_spec(r->base)->text,
                                       .backend = r->unit.backend,
                                       .dtype = ath_run_dtype(job),
                                       .n_threads = (int32_t)job->train->threads,
                                       .clip_skip = (int32_t)job->train->clip_skip,
                                       .n_chunks = (int32_t)(job->train->tokens / 75),
                                       .weights = ath_trainer_weights(r->trainer),
                                       .load = ath_run_load_frozen,
                                       .load_context = r->base};

    return ath_job_trains_text(job) ? ATH_OK : ath_text_states_create(&opts, &r->text);
}

ath_err ath_run_make_loader(ath_run *r)
{
    ath_loader_opts opts = {.job = r->opts->job,
                            .plan = r->opts->plan,
                            .spec = ath_base_spec(r->base),
                            .latents = r->latents,
                            .states = r->text ? ath_text_states_make : NULL,
                            .states_context = r->text,
                            .n_ahead = AHEAD};

    if (r->text) ATH_TRY(ath_dist_agree(identify(r, ATH_PART_TEXT, &opts.text)));
    return ath_loader_create(&opts, &r->loader);
}

static void log_part(const char *what, int64_t *since)
{
    const int64_t now = ath_time_mono_ns();

    ath_log(ATH_LOG_INFO, "run", ATH_KV("ready", what),
            ATH_KV("seconds", (double)(now - *since) * 1e-9));
    *since = now;
}

ath_err ath_run_open(ath_run *r)
{
    int64_t since = r->began_ns;

    ath_run_note(r, "opening the model");
    ATH_TRY(ath_dist_agree(open_base(r)));
    log_part("model", &since);
    ath_stage_enter(ATH_STAGE_CACHE);
    ath_run_note(r, "pictures to latents");
    ATH_TRY(ath_dist_agree(make_latents(r)));
    log_part("latents", &since);
    ATH_TRY(ath_dist_agree(ath_cancel_check(r->opts->cancel, "no step was done")));
    ath_stage_enter(ATH_STAGE_START);
    ath_run_note(r, "preparing to train");
    ATH_TRY(ath_dist_agree(make_trainer(r)));
    log_part("trainer", &since);
    ath_stage_enter(ATH_STAGE_CACHE);
    ATH_TRY(ath_dist_agree(make_text(r)));
    ATH_TRY(ath_dist_agree(ath_run_make_loader(r)));
    log_part("loader", &since);
    return ATH_OK;
}

void ath_run_close(ath_run *r)
{
    ath_loader_destroy(&r->loader);
    ath_text_states_destroy(&r->text);
    ath_latents_destroy(&r->latents);
    ath_trainer_destroy(&r->trainer);
    ath_base_close(&r->base);
    ath_unit_close(&r->unit);
    ath_mem_free(&r->own);
    ath_mem_free(&r->all);
    ath_mem_free(&r->concept);
    ath_mem_free(&r->leaf_seconds);
    ath_slow_release(&r->slow);
}
