/* What was trained, as files of <run>/model. Where an average is kept, it is what is written. */
#include "core/io/file.h"
#include "core/log.h"
#include "core/time.h"
#include "worker/adapter/adapter_file.h"
#include "worker/adapter/metadata.h"
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"
#include "worker/model/folder.h"
#include "worker/model/save.h"
#include "worker/run/run_private.h"
#include "worker/run/trained.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static ath_st_dtype dtype_of(const Athanor__Job *job)
{
    static const ath_st_dtype dtypes[] = {[ATHANOR__DTYPE__F32] = ATH_ST_F32,
                                          [ATHANOR__DTYPE__BF16] = ATH_ST_BF16,
                                          [ATHANOR__DTYPE__F16] = ATH_ST_F16};
    return dtypes[job->save->dtype];
}

/* A single file of a whole model; adapters are one always. */
static bool is_single(const ath_run *r)
{
    const Athanor__Job *job = r->opts->job;

    return job->adapter->kind != ATHANOR__ADAPTER__KIND__NONE || !ath_folder_is(job->model->base_);
}

/* "runs/anna/model/anna-000003.safetensors", as kohya's scripts call them. */
static ath_err name_file(const ath_run *r, ath_export_when when, int64_t n_done,
                         char out[ATH_PATH_BYTES])
{
    char middle[32] = "";

    if (when == ATH_EXPORT_EPOCH) snprintf(middle, sizeof middle, "-%06" PRId64, r->epoch + 1);
    if (when == ATH_EXPORT_STEP) snprintf(middle, sizeof middle, "-step%08" PRId64, n_done);
    return ath_path_print(out, "%s/model/%s%s%s", r->opts->folder, r->opts->job->name, middle,
                          is_single(r) ? ".safetensors" : "");
}

static ath_err average_of(void *trainer, const char *name, const float **out)
{
    return ath_trainer_value(trainer, name, true, out);
}

static ath_err save_adapter(ath_run *r, const char *path, const ath_trained_as *as)
{
    ath_adapter_save save = {.lora = &r->lora,
                             .dtype = as->dtype,
                             .meta = as->meta,
                             .n_meta = as->n_meta,
                             .value = average_of,
                             .context = r->trainer};

    save.n_params = ath_trainer_params(r->trainer, &save.params);
    return ath_adapter_save_file(path, &save);
}

/* The base's file names it in the metadata: its hash is asked for once, where a file is written. */
static ath_err identify_base(ath_run *r, ath_trained *trained)
{
    const char *base = r->opts->job->model->base_, *slash = strrchr(base, '/');

    trained->base_name = slash && slash[1] ? slash + 1 : base;
    if (ath_folder_is(base)) return ATH_OK;
    if (!r->base_hash.sha256[0]) ATH_TRY(ath_model_hash_of_file(base, &r->base_hash));
    trained->base_hash = r->base_hash.window;
    trained->base_sha256 = r->base_hash.sha256;
    return ATH_OK;
}

static ath_err save_as(ath_run *r, const char *path, int64_t n_done)
{
    const Athanor__Job *job = r->opts->job;
    ath_trained trained = {.epoch = r->epoch + 1,
                           .step = n_done,
                           .started_ns = r->began_wall_ns,
                           .finished_ns = ath_time_wall_ns(),
                           .loss = r->n_losses ? r->loss_sum / (double)r->n_losses : (double)NAN};
    ath_arena arena = {0};
    const ath_trained_from from = {r->trainer, r->base};
    ath_trained_as as = {.dtype = dtype_of(job)};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(identify_base(r, &trained));
    ATH_TRY_OUT(ath_metadata_make(job, r->opts->plan, &trained, &arena, &as.meta, &as.n_meta));
    if (job->adapter->kind == ATHANOR__ADAPTER__KIND__NONE)
        ATH_TRY_OUT(ath_trained_save(&from, path, is_single(r), &as));
    else
        ATH_TRY_OUT(save_adapter(r, path, &as));
out:
    ath_arena_release(&arena);
    return err;
}

ath_err ath_export(ath_run *r, ath_export_when when, int64_t n_done)
{
    char path[ATH_PATH_BYTES] = "";
    ath_err err = ATH_OK;

    ath_stage_enter(ATH_STAGE_SAVE);
    if (ath_dist_rank() == 0) {
        ath_run_note(r, "saving");
        err = name_file(r, when, n_done, path);
        if (!err) err = save_as(r, path, n_done);
        if (!err) err = ath_record_mark(r, n_done, "saved", path);
    }
    return ath_dist_agree(err);
}
