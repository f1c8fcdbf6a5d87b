/* athanor plan: what a run will do, before it does. */
#include "cli/cmd.h"
#include "cli/report_plan.h"
#include "core/mem.h"
#include "proto/job.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef struct values {
    bool json;
    int64_t ranks;
} values;

static const ath_opt opts[] = {
    {"ranks", ATH_OPT_INT, offsetof(values, ranks), "1..65536", "1",
     "whose shards are shown; the budget is the same for all"},
    {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs"},
    {0},
};

static ath_err print(const values *v, const ath_plan_report *report)
{
    ath_str text = {0};
    ath_err err = ATH_OK;

    if (v->json)
        ATH_TRY_OUT(ath_report_plan_json(report, &text));
    else
        ath_report_plan(report, &text);
    ATH_TRY_OUT(ath_str_check(&text));
    fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
out:
    ath_str_release(&text);
    return err;
}

/* A run is refused for errors in the data; a plan only tells. */
static ath_err advise_check(const Athanor__Job *job, const ath_budget *budget, ath_str *to)
{
    const ath_doctor_rule rule = ath_doctor_rule_of(job, false);
    ath_diagnosis d = {0};

    ATH_TRY(ath_doctor_examine(budget->scan, &rule, &d));
    if (d.n_findings)
        ath_str_print(to,
                      "the data has %" PRId64 " errors, for which a run is refused, and %" PRId64
                      " warnings: athanor check tells which\n",
                      d.n_of[ATH_SEVERITY_ERROR], d.n_of[ATH_SEVERITY_WARNING]);
    ath_diagnosis_release(&d);
    return ath_str_check(to);
}

static ath_err report(const values *v, const Athanor__Job *job, const ath_budget *budget)
{
    ath_err err = ATH_OK;
    ath_epoch first = {0};
    ath_share *share = NULL;
    ath_str advice = {0};
    ath_plan_report r = {.job = job,
                         .budget = budget,
                         .forecast = ath_forecast_of(job, budget),
                         .n_ranks = v->ranks};

    ATH_TRY_OUT(ath_rate_of(job, budget->n_steps, &r.rate));
    ATH_TRY_OUT(ATH_NEW(v->ranks, "shards", &share));
    ATH_TRY_OUT(ath_epoch_make(budget, 0, &first));
    ATH_TRY_OUT(ath_budget_share(budget, &first, v->ranks, share));
    ATH_TRY_OUT(ath_advise(job, budget, v->ranks, &advice));
    ATH_TRY_OUT(advise_check(job, budget, &advice));
    r.share = share;
    r.advice = ath_str_text(&advice);
    ATH_TRY_OUT(print(v, &r));
out:
    ath_epoch_release(&first);
    ath_mem_free(&share);
    ath_str_release(&advice);
    return err;
}

static ath_err run(const void *given, int n_args, char **args)
{
    ath_err err = ATH_OK;
    Athanor__Job *job = NULL;
    ath_scan scan = {0};
    ath_budget *budget = NULL;

    (void)n_args;
    ATH_TRY_OUT(ath_job_read(args[0], NULL, 0, &job));
    ATH_TRY_OUT(ath_scan_job(job, &scan));
    const ath_budget_rule rule = ath_budget_rule_of(job);
    ATH_TRY_OUT(ath_budget_create(&scan, &rule, &budget));
    ATH_TRY_OUT(report(given, job, budget));
out:
    ath_budget_destroy(&budget);
    ath_scan_release(&scan);
    ath_job_free(&job);
    return err;
}

const ath_cmd ath_cmd_plan = {
    .name = "plan",
    .args = "JOB",
    .help = "what a run will do: samples, steps, learning rate, shards, bytes; trains nothing",
    .min_args = 1,
    .max_args = 1,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
