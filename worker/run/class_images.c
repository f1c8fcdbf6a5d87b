#include "worker/run/class_images.h"

#include "core/io/file.h"
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"
#include "worker/run/recipe_of.h"
#include "worker/run/run_private.h"

#include <inttypes.h>

static ath_err draw_one(const ath_class_images *c, ath_pipeline *pipeline, const ath_recipe *recipe,
                        int64_t number)
{
    const uint64_t seed = (uint64_t)c->job->seed + (uint64_t)number;
    char path[ATH_PATH_BYTES];
    ath_image image = {0};

    ATH_TRY(ath_path_print(path, "%s/%05" PRId64 ".png", c->folder, number));
    ATH_TRY(ath_pipeline_draw(pipeline, recipe, 1, &seed, &image));
    ath_err err = ath_png_write(path, &image, NULL, NULL);
    ath_image_release(&image);
    return err;
}

static ath_err draw_own(const ath_class_images *c, ath_base *base, const ath_unit *unit)
{
    const int32_t rank = ath_dist_rank(), size = ath_dist_size();
    const int64_t n = (c->count - rank + size - 1) / size;
    const Athanor__Size *pixels = c->job->data->resolution;
    Athanor__Sample sample = ATHANOR__SAMPLE__INIT;
    Athanor__Size area = *pixels;
    ath_pipeline *pipeline = NULL;
    ath_err err = ATH_OK;

    if (n <= 0) return ATH_OK;
    sample.prompt = c->job->class_images->prompt;
    sample.size = &area;
    const ath_recipe recipe = ath_recipe_of(c->job, &sample);
    ath_pipeline_opts opts = {.networks = ath_networks_of(c->job, ath_base_spec(base), unit)};
    opts.networks.load = ath_run_load_frozen;
    opts.networks.load_context = base;
    ATH_TRY_OUT(ath_pipeline_create(&opts, &pipeline));
    for (int64_t i = 0; i < n; i++) {
        ATH_TRY_OUT(ath_cancel_check(c->cancel, "some class images are still to be drawn"));
        ATH_TRY_OUT(draw_one(c, pipeline, &recipe, c->first + rank + i * size));
        if (c->progress) c->progress(c->context, i + 1, n);
    }
out:
    ath_pipeline_destroy(&pipeline);
    return err;
}

ath_err ath_class_images_draw(const ath_class_images *images)
{
    const Athanor__Model *model = images->job->model;
    ath_base *base = NULL;
    ath_unit unit = {0};
    ath_err err = ath_run_check(images->job);

    ath_stage_enter(ATH_STAGE_SAMPLE);
    if (!err) err = ath_run_open_unit(images->job, &unit);
    if (!err) err = ath_base_open_with(model->base_, model->vae, &base);
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_agree(draw_own(images, base, &unit)));
out:
    ath_base_close(&base);
    ath_unit_close(&unit);
    return err;
}
