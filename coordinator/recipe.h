/* The coordinator's rules as a job states them: the one place that reads a job's keys for them. */
#ifndef ATH_COORDINATOR_RECIPE_H
#define ATH_COORDINATOR_RECIPE_H

#include "coordinator/budget.h"
#include "coordinator/doctor.h"
#include "coordinator/rates.h"
#include "core/io/file.h"
#include "proto/job.pb-c.h"

/* Scans the data that a job names, with the class images that are still to be drawn (is_missing). `job`
 * must outlive nothing. */
ATH_MUST ath_err ath_scan_job(const Athanor__Job *job, ath_scan *out);

/* Where class images are drawn, within the regularization folder: "1_<prompt>", so that the prompt is
 * their caption. */
ATH_MUST ath_err ath_class_folder_name(const Athanor__Job *job, char out[ATH_PATH_BYTES]);

ath_budget_rule ath_budget_rule_of(const Athanor__Job *job);

/* The rule borrows texts of the job. No trigger is asked for: the trainer puts it before captions. */
ath_doctor_rule ath_doctor_rule_of(const Athanor__Job *job, bool is_deep);

/* The schedule over a run of so many updates. EJOB where it cannot be followed. */
ATH_MUST ath_err ath_rate_of(const Athanor__Job *job, int64_t n_updates, ath_rate *out);

/* The highest learning rate that anything trains at. */
double ath_recipe_lr(const Athanor__Job *job);

/* Whether these are trained, directly or by an adapter. */
bool ath_recipe_trains_unet(const Athanor__Job *job);
bool ath_recipe_trains_text(const Athanor__Job *job);

#endif
