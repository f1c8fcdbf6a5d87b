/* athanor plan: what a run will do, before it does. */
#include "cli/cmd.h"
#include "cli/report_plan.h"
#include "proto/job.h"

#include <stddef.h>
#include <stdio.h>

typedef struct values {
    bool json;
    int64_t ranks;
    ath_opt_list sets;
} values;

static const ath_opt opts[] = {
    {"ranks", ATH_OPT_INT, offsetof(values, ranks), "1..65536", "1",
     "whose shards are shown; the budget is the same for all"},
    {"set", ATH_OPT_LIST, offsetof(values, sets), "KEY=VALUE", NULL,
     "puts a value over the job's, as in train.steps=100; as often as wanted"},
    {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs"},
    {0},
};

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    ath_err err = ATH_OK;
    Athanor__Job *job = NULL;
    ath_scan scan = {0};
    ath_budget *budget = NULL;
    ath_str text = {0};

    (void)n_args;
    ATH_TRY_OUT(ath_job_read(args[0], v->sets.item, (int)v->sets.n, &job));
    ATH_TRY_OUT(ath_scan_job(job, &scan));
    const ath_budget_rule rule = ath_budget_rule_of(job);
    ATH_TRY_OUT(ath_budget_create(&scan, &rule, &budget));
    ATH_TRY_OUT(ath_report_plan_make(job, budget, v->ranks, v->json, &text));
    fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
out:
    ath_str_release(&text);
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
