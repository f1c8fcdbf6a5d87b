/* What plan prints: the budget, the learning rate, the shards, the forecast, advice. */
#ifndef ATH_CLI_REPORT_PLAN_H
#define ATH_CLI_REPORT_PLAN_H

#include "coordinator/forecast.h"
#include "core/str.h"
#include "worker/run/cost.h"

/* All borrowed. */
typedef struct ath_plan_report {
    const Athanor__Job *job;
    const ath_budget *budget;
    ath_rate rate;
    ath_forecast forecast;
    const ath_cost *cost; /* of a whole micro-batch of the largest shape; NULL: not known */
    double seconds;       /* of all steps, on ranks as fast as this machine; 0 without the cost */
    int64_t n_ranks;
    const ath_share *share; /* of each rank, in the first epoch */
    const char *advice;     /* lines */
} ath_plan_report;

/* Updates whose learning rate is worth telling, in order, each once: first, end of the warm-up,
 * quarters, last. */
enum { ATH_MILESTONES_MAX = 6 };
int ath_plan_milestones(const ath_rate *rate, int64_t at[ATH_MILESTONES_MAX]);

void ath_report_plan(const ath_plan_report *report, ath_str *to);
ATH_MUST ath_err ath_report_plan_json(const ath_plan_report *report, ath_str *to);

/* The largest shape of the budget: whose cost is wanted. */
ath_size ath_plan_largest(const ath_budget *budget);

/* All of it from job, budget and cost (NULL: not known), for people or as JSON. A run is refused for
 * errors in the data; a plan only tells. */
ATH_MUST ath_err ath_report_plan_make(const Athanor__Job *job, const ath_budget *budget,
                                      const ath_cost *cost, int64_t n_ranks, bool is_json,
                                      ath_str *to);

#endif
