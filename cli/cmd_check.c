/* athanor check: the dataset doctor. */
#include "cli/cmd.h"
#include "cli/report.h"
#include "coordinator/recipe.h"
#include "proto/job.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

typedef struct values {
    bool json, deep;
    const char *reg, *trigger, *separator, *caption_end;
    int64_t resolution, tokens;
    ath_opt_list sets;
} values;

/* What a job says itself, these say for a folder. */
static const ath_opt opts[] = {
    {"deep", ATH_OPT_SWITCH, offsetof(values, deep),
     .help = "decode every picture: finds truncated files and pictures that look alike"},
    {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs"},
    {"regularization", ATH_OPT_TEXT, offsetof(values, reg), "FOLDER", "",
     "of class images; this and the following go with FOLDER, a JOB has its own"},
    {"trigger", ATH_OPT_TEXT, offsetof(values, trigger), "WORD", "", "that captions should have"},
    {"separator", ATH_OPT_TEXT, offsetof(values, separator), "TEXT", ",", "of tags"},
    {"caption-extension", ATH_OPT_TEXT, offsetof(values, caption_end), "TEXT", ".txt",
     "of caption files; .txt and .caption are read where there is none of it"},
    {"resolution", ATH_OPT_INT, offsetof(values, resolution), "16..4096", "512", "of training"},
    {"tokens", ATH_OPT_INT, offsetof(values, tokens), "75..225", "75", "that a caption may have"},
    {"set", ATH_OPT_LIST, offsetof(values, sets), "KEY=VALUE", NULL,
     "with a JOB: puts a value over the job's; as often as wanted"},
    {0},
};

static ath_err show(const values *v, const ath_scan *scan, const ath_diagnosis *d)
{
    ath_str text = {0};
    ath_err err = ATH_OK;

    if (v->json)
        ATH_TRY_OUT(ath_report_diagnosis_json(scan, d, &text));
    else
        ath_report_diagnosis(scan, d, &text);
    ATH_TRY_OUT(ath_str_check(&text));
    fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
out:
    ath_str_release(&text);
    return err;
}

/* Takes over the scan. */
static ath_err check(const values *v, const ath_doctor_rule *rule, ath_scan *scan)
{
    ath_err err = ATH_OK;
    ath_diagnosis d = {0};

    ATH_TRY_OUT(ath_doctor_examine(scan, rule, &d));
    ATH_TRY_OUT(show(v, scan, &d));
    if (d.n_of[ATH_SEVERITY_ERROR])
        err =
            ath_raise(ATH_EFORMAT, "%s: a run would be refused for %" PRId64 " error%s", scan->root,
                      d.n_of[ATH_SEVERITY_ERROR], d.n_of[ATH_SEVERITY_ERROR] == 1 ? "" : "s");
out:
    ath_diagnosis_release(&d);
    ath_scan_release(scan);
    return err;
}

static ath_err check_job(const values *v, const char *path)
{
    ath_err err = ATH_OK;
    Athanor__Job *job = NULL;
    ath_scan scan = {0};

    ATH_TRY_OUT(ath_job_read(path, v->sets.item, (int)v->sets.n, &job));
    ATH_TRY_OUT(ath_scan_job(job, &scan));
    const ath_doctor_rule rule = ath_doctor_rule_of(job, v->deep);
    ATH_TRY_OUT(check(v, &rule, &scan));
out:
    ath_job_free(&job);
    return err;
}

static ath_err check_folder(const values *v, const char *path)
{
    const ath_doctor_rule rule = {.side = (int32_t)v->resolution,
                                  .n_tokens = v->tokens,
                                  .trigger = v->trigger,
                                  .separator = v->separator,
                                  .is_deep = v->deep};
    ath_scan scan = {0};

    ATH_TRY(ath_scan_folders(path, v->reg, v->caption_end, &scan));
    return check(v, &rule, &scan);
}

static ath_err run(const void *given, int n_args, char **args)
{
    struct stat st;

    (void)n_args;
    if (stat(args[0], &st) == 0 && S_ISREG(st.st_mode)) return check_job(given, args[0]);
    return check_folder(given, args[0]);
}

const ath_cmd ath_cmd_check = {
    .name = "check",
    .args = "JOB|FOLDER",
    .help = "look for faults in the data; exit 4 where a run would be refused",
    .min_args = 1,
    .max_args = 1,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
