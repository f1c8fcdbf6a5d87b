#include "cli/train_boss.h"

#include "cli/report_plan.h"
#include "coordinator/wire.h"
#include "core/log.h"
#include "core/mem.h"
#include "proto/job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the data ---- */

/* Errors refuse: the first stands for all. */
static ath_err refuse(const ath_scan *scan, const ath_diagnosis *d)
{
    const int64_t n = d->n_of[ATH_SEVERITY_ERROR];

    if (n == 0) return ATH_OK;
    const ath_finding *first = &d->finding[0];
    const ath_finding_text *text = ath_finding_describe(first->kind);
    return ath_raise(ATH_EFORMAT, "%s: %s%s%s%s; %s%s", first->path[0] ? first->path : scan->root,
                     text->found, first->detail[0] ? " (" : "", first->detail,
                     first->detail[0] ? ")" : "", text->mend,
                     n > 1 ? "; athanor check tells of more errors" : "");
}

static ath_err examine(const Athanor__Job *job, const ath_scan *scan, int64_t *n_warnings)
{
    const ath_doctor_rule rule = ath_doctor_rule_of(job, false);
    ath_diagnosis d = {0};

    ATH_TRY(ath_doctor_examine(scan, &rule, &d));
    ath_err err = refuse(scan, &d);
    *n_warnings = d.n_of[ATH_SEVERITY_WARNING];
    ath_diagnosis_release(&d);
    return err;
}

ath_err ath_train_boss_look(const Athanor__Job *job)
{
    ath_scan scan = {0};
    int64_t n_warnings = 0;

    ATH_TRY(ath_scan_folders(job->data->train, NULL, job->data->caption_extension, &scan));
    ath_err err = examine(job, &scan, &n_warnings);
    ath_scan_release(&scan);
    return err;
}

/* ---- class images ---- */

static ath_err make_class_folder(const Athanor__Job *job, char out[ATH_PATH_BYTES])
{
    char name[ATH_PATH_BYTES];

    ATH_TRY(ath_class_folder_name(job, name));
    ATH_TRY(ath_path_print(out, "%s/%s", job->data->regularization, name));
    return ath_folders_make(out);
}

ath_err ath_lacking_find(const Athanor__Job *job, ath_lacking *out)
{
    ath_scan scan = {0};

    *out = (ath_lacking){0};
    ATH_TRY(make_class_folder(job, out->folder));
    ATH_TRY(ath_scan_job(job, &scan));
    out->n = scan.n_missing;
    out->first = scan.first_missing;
    ath_scan_release(&scan);
    return ATH_OK;
}

/* ---- the plan ---- */

static void print_short(const ath_train_boss *b, int64_t n_ranks, int64_t n_warnings)
{
    const ath_budget *g = b->budget;
    char hash[ATH_HASH_TEXT];

    printf("%s: %" PRId64 " pictures, %" PRId64 " epochs, %" PRId64 " steps of %" PRId64
           " samples, %" PRId64 " samples in all, %" PRId64 " rank%s of %" PRId64
           " threads\nplan %s\n",
           b->job->name, g->n_train_images + g->n_reg_images, g->n_epochs, g->n_steps,
           g->rule.global_batch, g->n_samples, n_ranks, n_ranks == 1 ? "" : "s",
           b->job->train->threads, ath_hash_print(g->hash, hash));
    if (n_warnings)
        printf("%" PRId64 " warning%s about the data: athanor check tells which\n", n_warnings,
               n_warnings == 1 ? "" : "s");
    if (b->lacks_gpu) printf("no GPU, using cpu\n");
    fflush(stdout); /* main looks whether it was written */
}

ath_err ath_train_boss_plan(ath_train_boss *b, const Athanor__Job *job, int64_t n_ranks,
                            uint8_t **plan, size_t *n)
{
    const ath_budget_rule rule = ath_budget_rule_of(job);
    int64_t n_warnings = 0;

    b->job = job;
    ATH_TRY(ath_scan_job(job, &b->scan));
    ATH_TRY(examine(job, &b->scan, &n_warnings));
    ATH_TRY(ath_budget_create(&b->scan, &rule, &b->budget));
    ATH_TRY(ath_report_plan_make(job, b->budget, NULL, n_ranks, false, &b->report));
    ATH_TRY(ath_budget_pack(b->budget, job, plan, n));
    print_short(b, n_ranks, n_warnings);
    return ATH_OK;
}

/* ---- the folder ---- */

static ath_err put_text(const ath_train_boss *b, const char *name, const ath_str *text)
{
    char path[ATH_PATH_BYTES];

    ATH_TRY(ath_str_check(text));
    ATH_TRY(ath_path_print(path, "%s/%s", b->folder.path, name));
    return ath_file_publish(path, ath_str_text(text), text->n);
}

static ath_err put_job(const ath_train_boss *b)
{
    ath_str text = {0};

    ath_job_print(b->job, &text);
    ath_err err = put_text(b, "job.toml", &text);
    ath_str_release(&text);
    return err;
}

/* The log is locked as long as this process lives: a run is trained by one at a time. */
static ath_err open_log(ath_train_boss *b)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* of all of it */
    char path[ATH_PATH_BYTES];

    ATH_TRY(ath_path_print(path, "%s/log.txt", b->folder.path));
    b->log = fopen(path, "a");
    ATH_TRY(ath_sys(b->log ? 0 : -1, path));
    const int locked = fcntl(fileno(b->log), F_SETLK, &lock);
    ATH_NEED(locked == 0 || (errno != EACCES && errno != EAGAIN), ATH_EJOB,
             "%s: another process is training this run; wait for its end, or stop it",
             b->folder.path);
    setvbuf(b->log, NULL, _IOLBF, BUFSIZ); /* whole lines, however the run ends */
    ath_log_to_file(b->log, false);
    return ATH_OK;
}

ath_err ath_train_boss_open(ath_train_boss *b, const char *resumed)
{
    char path[ATH_PATH_BYTES];

    if (resumed)
        snprintf(b->folder.path, sizeof b->folder.path, "%s", resumed);
    else
        ATH_TRY(ath_run_folder_make(b->job, &b->folder));
    ATH_TRY(open_log(b));
    ATH_TRY(put_job(b)); /* from now on it is a run */
    ATH_TRY(ath_run_folder_fill(&b->folder));
    ATH_TRY(put_text(b, "plan.txt", &b->report));
    ATH_TRY(ath_path_print(path, "%s/curve.log", b->folder.path));
    ath_progress_begin(&b->progress, b->budget->n_steps, true);
    return ath_curve_log_open(path, &b->curve);
}

/* ---- what the run calls ---- */

static ath_err give_epoch(void *boss, int64_t epoch, uint8_t **out, size_t *n)
{
    const ath_train_boss *b = boss;

    return ath_epoch_pack(b->budget, b->job, epoch, out, n);
}

static ath_err write_h5(const ath_train_boss *b)
{
    char log[ATH_PATH_BYTES], h5[ATH_PATH_BYTES];
    ath_curve curve = {0};

    ATH_TRY(ath_path_print(log, "%s/curve.log", b->folder.path));
    ATH_TRY(ath_path_print(h5, "%s/curve.h5", b->folder.path));
    ATH_TRY(ath_curve_read(log, &curve));
    ath_err err = ath_curve_write_h5(&curve, h5);
    ath_curve_release(&curve);
    return err;
}

static ath_err take_mark(ath_train_boss *b, const Athanor__Mark *mark)
{
    const char *path = mark->path ? mark->path : "";

    ath_log(ATH_LOG_INFO, "run", ATH_KV("mark", mark->what), ATH_KV("path", path));
    if (strcmp(mark->what, "saved") != 0) return ATH_OK;
    snprintf(b->model, sizeof b->model, "%s", path);
    ATH_TRY(ath_curve_log_sync(b->curve));
    return write_h5(b);
}

static ath_err take_record(void *boss, const Athanor__Record *record)
{
    ath_train_boss *b = boss;

    ATH_TRY(ath_curve_log_put(b->curve, record));
    if (record->is_case == ATHANOR__RECORD__IS_MARK) return take_mark(b, record->mark);
    if (record->is_case != ATHANOR__RECORD__IS_STEP) return ATH_OK;
    b->n_done++;
    ath_progress_train(&b->progress, record->step, b->budget->n_steps);
    return ATH_OK;
}

static ath_err sync_records(void *boss)
{
    const ath_train_boss *b = boss;

    return ath_curve_log_sync(b->curve);
}

void ath_train_boss_note(void *boss, const char *text)
{
    ath_train_boss *b = boss;

    ath_progress_note(&b->progress, text);
}

ath_boss ath_train_boss_face(ath_train_boss *boss)
{
    return (ath_boss){.epoch = give_epoch,
                      .record = take_record,
                      .sync = sync_records,
                      .note = ath_train_boss_note,
                      .context = boss};
}

/* ---- the end ---- */

static ath_err finish(ath_train_boss *b, ath_err err)
{
    ath_str text = {0};

    if (!err) {
        ATH_TRY(write_h5(b));
        ath_progress_done(&b->progress, b->model);
        return ATH_OK;
    }
    /* the first cause is told, whatever becomes of the curve */
    ath_log(ATH_LOG_ERROR, "run", ATH_KV("ended", ath_err_text()));
    ath_str_print(&text, "%s", ath_err_text());
    if (b->n_done > 0 && write_h5(b)) ath_log(ATH_LOG_WARN, "run", ATH_KV("curve", "not written"));
    if (!ath_str_check(&text)) err = ath_err_restore(err, ath_str_text(&text));
    ath_str_release(&text);
    return err;
}

ath_err ath_train_boss_close(ath_train_boss *b, ath_err err)
{
    ath_progress_end(&b->progress);
    if (b->curve) err = finish(b, err);
    ath_curve_log_close(&b->curve);
    ath_log_to_sink(NULL, NULL);
    if (b->log) fclose(b->log);
    /* what a signal stopped early is a run to go on with */
    if (err && err != ATH_ECANCELED && b->n_done == 0) ath_run_folder_withdraw(&b->folder);
    ath_str_release(&b->report);
    ath_budget_destroy(&b->budget);
    ath_scan_release(&b->scan);
    *b = (ath_train_boss){0};
    return err;
}
