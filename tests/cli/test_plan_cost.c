/*
 * The forecast of time and of memory for activations: a micro-batch's work is what bench/step counts,
 * the time is that work on as many ranks as have something to do.
 */
#include "cli/report_plan.h"
#include "core/mem.h"
#include "proto/job.h"
#include "tests/data_folder.h"
#include "tests/harness.h"

static ath_data_folder data;

typedef struct plan {
    Athanor__Job *job;
    ath_scan scan;
    ath_budget *budget;
} plan;

static void make(const char *const *sets, int n_sets, plan *p)
{
    char text[1024];
    const int n = snprintf(text, sizeof text,
                           "name = \"x\"\n[model]\nbase = \"b\"\n[data]\ntrain = \"%s/t\"\n"
                           "[train]\nthreads = 1\n",
                           data.path);

    CHECK_OK(ath_job_read_text(text, (size_t)n, "x.toml", sets, n_sets, &p->job));
    CHECK_OK(ath_scan_job(p->job, &p->scan));
    const ath_budget_rule rule = ath_budget_rule_of(p->job);
    CHECK_OK(ath_budget_create(&p->scan, &rule, &p->budget));
}

static void release(plan *p)
{
    ath_budget_destroy(&p->budget);
    ath_scan_release(&p->scan);
    ath_job_free(&p->job);
}

/* Has 30 samples of 512x512 and 4 of 640x384 an epoch. */
static void check_seconds(const char *const *sets, int n_sets, int64_t n_ranks, const char *wanted)
{
    const ath_cost cost = {.flop = 4e12, .activation_bytes = 5000000, .flop_per_s = 1e12};
    ath_str text = {0}, json = {0};
    plan p = {0};

    ath_test_begin(wanted);
    make(sets, n_sets, &p);
    CHECK_OK(ath_report_plan_make(p.job, p.budget, &cost, n_ranks, true, &json));
    CHECK_HAS(ath_str_text(&json), wanted);
    CHECK_HAS(ath_str_text(&json), "\"activation_bytes\": 5000000");
    CHECK_OK(ath_report_plan_make(p.job, p.budget, &cost, n_ranks, false, &text));
    CHECK_HAS(ath_str_text(&text), "activations            5.0 MB  in memory of every rank");
    ath_str_release(&text);
    CHECK_OK(ath_report_plan_make(p.job, p.budget, NULL, n_ranks, false, &text));
    CHECK_HAS(ath_str_text(&text), "activations come on top");
    ath_str_release(&text);
    ath_str_release(&json);
    release(&p);
}
#define SECONDS(n_ranks, wanted, ...)                                                         \
    check_seconds((const char *const[]){__VA_ARGS__},                                         \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), n_ranks, \
                  wanted)

/* 1875.4 GFLOP for LoRA of rank 32 on both networks at 512 px (bench/step --text). */
static void check_cost(void)
{
    const char *const sets[] = {"adapter.rank=32"};
    ath_cost one = {0}, two = {0};
    plan p = {0};

    ath_test_begin("cost");
    make(sets, 1, &p);
    const ath_size largest = ath_plan_largest(p.budget);
    CHECK(largest.width == 512 && largest.height == 512);
    CHECK_OK(ath_cost_of(p.job, 1, 512, 512, &one));
    CHECK_NEAR(one.flop / 1875.4e9, 1, 1e-3);
    CHECK(one.activation_bytes > 700000000 && one.activation_bytes < 1000000000);
    CHECK(one.flop_per_s > 0);
    CHECK_OK(ath_cost_of(p.job, 2, 512, 512, &two));
    CHECK_NEAR(two.flop / one.flop, 2, 1e-3);
    CHECK(two.activation_bytes > one.activation_bytes * 3 / 2);
    release(&p);
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    for (int i = 0; i < 5; i++) {
        char name[64];
        const bool is_dog = i < 3;
        snprintf(name, sizeof name, "t/%s/%d.png", is_dog ? "10_dog" : "2_cat", i);
        CHECK_OK(ath_data_put_picture(&data, name, is_dog ? 64 : 110, is_dog ? 64 : 66, 1));
    }
    /* 34 samples of (30 + 4 * 15/16) / 34 of the largest shape, two in a micro-batch of 4 s */
    SECONDS(1, "\"seconds\": 67.5", "train.epochs=1", "train.global_batch=4",
            "train.micro_batch=2");
    SECONDS(2, "\"seconds\": 33.75", "train.epochs=1", "train.global_batch=4",
            "train.micro_batch=2");
    SECONDS(9, "\"seconds\": 33.75", "train.epochs=1", "train.global_batch=4",
            "train.micro_batch=2");
    SECONDS(2, "\"seconds\": 90.0", "train.epochs=1", "train.global_batch=3",
            "train.micro_batch=1");
    check_cost();
    ath_data_folder_remove(&data);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
