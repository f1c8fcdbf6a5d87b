#include "cli/begun.h"

#include "coordinator/curve.h"
#include "core/str.h"
#include "proto/job.h"
#include "worker/run/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static ath_err take_change(void *refused, const char *key, const char *was, const char *is)
{
    ath_str *s = refused;

    if (ath_job_is_free(key)) {
        const bool is_short = !strchr(was, '\n') && !strchr(is, '\n'); /* else whole tables */
        if (is_short)
            fprintf(stderr, "changed: %s was %s, is %s\n", key, was, is);
        else
            fprintf(stderr, "changed: %s\n", key);
        return ATH_OK;
    }
    ath_str_print(s, "%s%s was %s, is %s", s->n ? "; " : "", key, was, is);
    return ath_str_check(s);
}

ath_err ath_begun_check(const char *folder, Athanor__Job *job)
{
    char path[ATH_PATH_BYTES];
    Athanor__Job *was = NULL;
    ath_str refused = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_path_print(path, "%s/job.toml", folder));
    ATH_TRY_OUT(ath_job_read(path, NULL, 0, &was));
    if (job->train->threads == 0) job->train->threads = was->train->threads;
    if (job->train->device == ATHANOR__TRAIN__DEVICE__AUTO) job->train->device = was->train->device;
    ATH_TRY_OUT(ath_job_changes(was, job, take_change, &refused));
    if (refused.n)
        err = ath_raise(ATH_EJOB,
                        "%s: this run is there already, and was begun with another job: %s; give "
                        "the new one another name (--set name=...), or take back what changed",
                        folder, ath_str_text(&refused));
out:
    ath_str_release(&refused);
    ath_job_free(&was);
    return err;
}

static bool is_mark(const Athanor__Mark *mark, const char *what)
{
    return mark->what && strcmp(mark->what, what) == 0;
}

ath_err ath_begun_is_finished(const char *folder, bool *out, char model[ATH_PATH_BYTES])
{
    char path[ATH_PATH_BYTES];
    struct stat s;
    ath_curve curve = {0};

    *out = false;
    model[0] = 0;
    ATH_TRY(ath_path_print(path, "%s/curve.log", folder));
    if (stat(path, &s) != 0) return ATH_OK; /* stopped before its first record */
    ATH_TRY(ath_curve_read(path, &curve));
    for (int64_t i = 0; i < curve.n_marks; i++) {
        const Athanor__Mark *mark = curve.mark[i];
        if (is_mark(mark, ATH_RUN_FINISHED)) *out = true;
        if (is_mark(mark, "saved") && mark->path) snprintf(model, ATH_PATH_BYTES, "%s", mark->path);
    }
    ath_curve_release(&curve);
    return ATH_OK;
}
