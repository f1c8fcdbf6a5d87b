/* athanor plan: what a run will do, before it does. */
#include "cli/cmd.h"
#include "cli/report_plan.h"
#include "core/thread.h"
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

/* What steps cost is known for the one kind whose other sizes are. */
static ath_err find_cost(const Athanor__Job *job, const ath_budget *budget, ath_cost *cost,
                         bool *is_known)
{
    const ath_size most = ath_plan_largest(budget);

    *is_known = job->model->spec == ATHANOR__MODEL__SPEC__SD15 &&
                (ath_job_trains_unet(job) || ath_job_trains_text(job));
    if (!*is_known) return ATH_OK;
    return ath_cost_of(job, job->train->micro_batch, most.width, most.height, cost);
}

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    ath_err err = ATH_OK;
    Athanor__Job *job = NULL;
    ath_scan scan = {0};
    ath_budget *budget = NULL;
    ath_str text = {0};
    ath_cost cost;
    bool is_known = false;

    (void)n_args;
    ATH_TRY_OUT(ath_job_read(args[0], v->sets.item, (int)v->sets.n, &job));
    ATH_TRY_OUT(ath_scan_job(job, &scan));
    const ath_budget_rule rule = ath_budget_rule_of(job);
    ATH_TRY_OUT(ath_budget_create(&scan, &rule, &budget));
    if (job->train->threads == 0) job->train->threads = ath_cores();
    ATH_TRY_OUT(find_cost(job, budget, &cost, &is_known));
    ATH_TRY_OUT(
        ath_report_plan_make(job, budget, is_known ? &cost : NULL, v->ranks, v->json, &text));
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
