/* The job's samples, drawn with the model as it is: <run>/samples/<step>-<index>.png. */
#include "core/io/file.h"
#include "core/log.h"
#include "core/str.h"
#include "core/time.h"
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"
#include "worker/run/recipe_of.h"
#include "worker/run/run_private.h"
#include "worker/run/trained.h"
#include "worker/sample/parameters.h"

#include <inttypes.h>
#include <unistd.h>

static ath_err name_file(const ath_run *r, int64_t n_done, size_t i, char out[ATH_PATH_BYTES])
{
    return ath_path_print(out, "%s/samples/%06" PRId64 "-%02zu.png", r->opts->folder, n_done, i);
}

static ath_err draw(ath_run *r, ath_pipeline *pipeline, int64_t n_done, size_t i)
{
    const Athanor__Job *job = r->opts->job;
    const Athanor__Sample *sample = job->sample[i];
    const ath_recipe recipe = ath_recipe_of(job, sample);
    const uint64_t seed = (uint64_t)sample->seed;
    const ath_parameters parameters = {.recipe = &recipe,
                                       .seed = seed,
                                       .model = job->name,
                                       .clip_skip = (int32_t)job->train->clip_skip,
                                       .batch = 1};
    char path[ATH_PATH_BYTES];
    ath_image image = {0};
    ath_str text = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(name_file(r, n_done, i, path));
    ATH_TRY_OUT(ath_pipeline_draw(pipeline, &recipe, 1, &seed, &image));
    ath_parameters_print(&parameters, &text);
    ATH_TRY_OUT(ath_str_check(&text));
    ATH_TRY_OUT(ath_png_write(path, &image, "parameters", ath_str_text(&text)));
out:
    ath_str_release(&text);
    ath_image_release(&image);
    return err;
}

/* This rank's samples: each is the same whoever draws it. */
static ath_err draw_own(ath_run *r, int64_t n_done)
{
    const Athanor__Job *job = r->opts->job;
    const size_t size = (size_t)ath_dist_size();
    const bool has_adapter = job->adapter->kind != ATHANOR__ADAPTER__KIND__NONE;
    ath_trained_from from = {r->trainer, r->base};
    ath_pipeline *pipeline = NULL;
    ath_lora lora = r->lora;
    ath_err err = ATH_OK;

    if ((size_t)ath_dist_rank() >= job->n_sample) return ATH_OK;
    lora.is_frozen = true;
    lora.size = ath_trained_size;
    lora.context = r->trainer;
    const ath_adapter adapter = ath_lora_adapter(ATH_TRAIN_ADAPTER, &lora, 0, 0);
    ath_pipeline_opts opts = {.networks = ath_networks_of(job, ath_base_spec(r->base), &r->unit)};
    if (has_adapter) { /* the base is the trainer's; what is trained in full is not to be mixed up */
        opts.networks.adapters = &adapter;
        opts.networks.n_adapters = 1;
        opts.networks.weights = ath_trainer_weights(r->trainer);
    }
    opts.networks.load = ath_trained_load;
    opts.networks.load_context = &from;
    ATH_TRY_OUT(ath_pipeline_create(&opts, &pipeline));
    for (size_t i = (size_t)ath_dist_rank(); i < job->n_sample; i += size) {
        ATH_TRY_OUT(ath_cancel_check(r->opts->cancel, "pictures are left out"));
        ATH_TRY_OUT(draw(r, pipeline, n_done, i));
    }
out:
    ath_pipeline_destroy(&pipeline);
    return err;
}

static ath_err mark(const ath_run *r, int64_t n_done)
{
    char path[ATH_PATH_BYTES];
    int64_t bytes = 0;

    for (size_t i = 0; i < r->opts->job->n_sample; i++) {
        ATH_TRY(name_file(r, n_done, i, path));
        const ath_err err = ath_file_size(path, &bytes);
        if (err == ATH_EMISSING) {
            ath_err_clear(); /* left out for a signal */
            continue;
        }
        ATH_TRY(err);
        ATH_TRY(ath_record_mark(r, n_done, "sampled", path));
    }
    return ATH_OK;
}

ath_err ath_preview(ath_run *r, int64_t n_done)
{
    const int64_t began = ath_time_mono_ns();

    if (!r->opts->job->n_sample || r->i_drawn == n_done) return ATH_OK;
    ath_stage_enter(ATH_STAGE_SAMPLE);
    ath_run_note(r, "drawing samples");
    const ath_err err = ath_dist_agree(draw_own(r, n_done));
    r->i_drawn = n_done;
    if (err && err != ATH_ECANCELED) return err;
    if (err) { /* the run ends in its own way */
        r->is_canceled = r->lacks_pictures = true;
        ath_err_clear();
    }
    ath_log(ATH_LOG_INFO, "run", ATH_KV("sampled", (int64_t)r->opts->job->n_sample),
            ATH_KV("seconds", (double)(ath_time_mono_ns() - began) * 1e-9));
    return ath_dist_agree(ath_dist_rank() == 0 ? mark(r, n_done) : ATH_OK);
}

ath_err ath_preview_again(ath_run *r, int64_t n_done)
{
    char path[ATH_PATH_BYTES];
    bool is_missing = false;
    ath_err err = ATH_OK;

    for (size_t i = 0; i < r->opts->job->n_sample && !err && ath_dist_rank() == 0; i++) {
        err = name_file(r, n_done, i, path);
        if (!err && access(path, F_OK) < 0) is_missing = true;
    }
    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(ath_dist_share(&is_missing, sizeof is_missing));
    return is_missing ? ath_preview(r, n_done) : ATH_OK;
}
