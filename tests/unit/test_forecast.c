/*
 * From a job to rules, bytes and advice: a job's keys reach the coordinator's rules; bytes are those of
 * spec/adapters-and-formats 4.0.1; advice comes where a recipe is unusual and not otherwise.
 */
#include "coordinator/forecast.h"
#include "core/mem.h"
#include "proto/job.h"
#include "tests/data_folder.h"
#include "tests/harness.h"

static ath_data_folder data;

typedef struct plan {
    Athanor__Job *job;
    ath_scan scan;
    ath_budget *budget;
    ath_forecast forecast;
    ath_str advice;
} plan;

static void release(plan *p)
{
    ath_str_release(&p->advice);
    ath_budget_destroy(&p->budget);
    ath_scan_release(&p->scan);
    ath_job_free(&p->job);
}

/* A plan of the job with these keys besides its data. Its budget borrows a scan that moves: what looks
 * at pictures is asked here. */
static plan make(const char *const *sets, int n_sets, int64_t n_ranks)
{
    plan p = {0};
    char text[1024];

    int n = snprintf(text, sizeof text,
                     "name = \"x\"\n[model]\nbase = \"b\"\n[data]\ntrain = \"%s/t\"\n", data.path);
    CHECK_OK(ath_job_read_text(text, (size_t)n, "x.toml", sets, n_sets, &p.job));
    CHECK_OK(ath_scan_job(p.job, &p.scan));
    const ath_budget_rule rule = ath_budget_rule_of(p.job);
    CHECK_OK(ath_budget_create(&p.scan, &rule, &p.budget));
    p.forecast = ath_forecast_of(p.job, p.budget);
    CHECK_OK(ath_advise(p.job, p.budget, n_ranks, &p.advice));
    return p;
}
#define MAKE(n_ranks, ...)                   \
    make((const char *const[]){__VA_ARGS__}, \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), (n_ranks))

static void check_rules(void)
{
    ath_rate rate;

    ath_test_begin("rules");
    plan p = MAKE(1, "seed=7", "train.epochs=3", "train.global_batch=6", "train.micro_batch=3",
                  "data.resolution=[768, 576]", "data.buckets.min=192", "data.buckets.step=192",
                  "optimizer.schedule=\"linear\"", "optimizer.warmup=\"50%\"", "train.tokens=150");
    const ath_budget_rule *r = &p.budget->rule;
    CHECK(r->seed == 7 && r->n_epochs == 3 && r->n_steps == 0);
    CHECK(r->global_batch == 6 && r->micro_batch == 3);
    CHECK(r->buckets.resolution.width == 768 && r->buckets.resolution.height == 576);
    CHECK(!r->buckets.no_upscale && !r->buckets.is_off && r->buckets.step == 192);
    CHECK(r->buckets.min_side == 192 && r->buckets.max_side == 1152);
    const ath_doctor_rule doctor = ath_doctor_rule_of(p.job, true);
    CHECK(doctor.side == 576 && doctor.n_tokens == 150 && doctor.is_deep);
    CHECK_OK(ath_rate_of(p.job, 11, &rate));
    CHECK_EQ(rate.kind, ATH_RATE_LINEAR);
    CHECK_EQ(rate.n_warmup, 5);
    release(&p);
    p = MAKE(1, "train.steps=5", "data.buckets.no_upscale=true");
    CHECK(p.budget->n_steps == 5 && p.budget->rule.buckets.no_upscale);
    CHECK_ERR(ath_rate_of(p.job, 0, &rate), ATH_EJOB);
    release(&p);
    p = MAKE(1, "data.buckets.enabled=false");
    CHECK(p.budget->n_buckets == 1 && p.budget->bucket[0].size.width == 512);
    release(&p);
}

/* Files as sd-scripts writes them, without metadata; headers are estimated. */
static void check_bytes(void)
{
    static const struct {
        int64_t rank;
        double bytes;
    } files[] = {{4, 4829008}, {32, 37861176}, {64, 75610144}, {128, 151108832}};

    ath_test_begin("bytes");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char rank[64];
        snprintf(rank, sizeof rank, "adapter.rank=%d", (int)files[i].rank);
        plan p = MAKE(1, rank);
        const ath_forecast *f = &p.forecast;
        CHECK_EQ(f->n_params_unet, 423936 * files[i].rank);
        CHECK_EQ(f->n_params_text, 165888 * files[i].rank);
        CHECK_NEAR((double)f->export_bytes / files[i].bytes, 1, 1e-3);
        CHECK_EQ(f->checkpoint_bytes, 12 * 589824 * files[i].rank);
        CHECK_EQ(f->state_bytes, 16 * 589824 * files[i].rank);
        CHECK_EQ(f->saving_bytes, 12 * 589824 * files[i].rank);
        CHECK_EQ(f->frozen_bytes, 2 * 1066235307LL);
        CHECK_EQ(f->n_exports, 10);
        /* 3 of 512x512, 2 of 640x384 */
        CHECK_EQ(f->latent_bytes, 8 * 4 * (3 * 64 * 64 + 2 * 80 * 48));
        release(&p);
    }
    plan p = MAKE(1, "adapter.rank=128", "adapter.conv_rank=128", "data.flip=true");
    CHECK_NEAR((double)p.forecast.export_bytes / 311623300, 1, 1e-3);
    CHECK_EQ(p.forecast.latent_bytes, 2 * 8 * 4 * (3 * 64 * 64 + 2 * 80 * 48));
    release(&p);
    p = MAKE(1, "adapter.rank=128", "train.train_text_encoder=false", "save.every_epochs=0",
             "save.every_steps=100");
    CHECK_EQ(p.forecast.n_params_text, 0);
    CHECK_NEAR((double)p.forecast.export_bytes / 108527616, 1, 2e-3);
    CHECK_EQ(p.forecast.n_exports, 1);
    release(&p);
    p = MAKE(1, "adapter.rank=4", "train.ema_decay=0.9");
    CHECK_EQ(p.forecast.checkpoint_bytes, 16 * 589824 * 4);
    CHECK_EQ(p.forecast.state_bytes, 20 * 589824 * 4);
    CHECK_EQ(p.forecast.saving_bytes, 16 * 589824 * 4);
    release(&p);
    p = MAKE(1, "adapter.rank=4", "save.state_minutes=0");
    CHECK_EQ(p.forecast.saving_bytes, 8 * 589824 * 4);
    release(&p);
    p = MAKE(1, "adapter.kind=\"none\"");
    CHECK_EQ(p.forecast.export_bytes, 2 * 1066235307LL);
    CHECK_EQ(p.forecast.frozen_bytes, 2 * 83653863LL);
    release(&p);
    p = MAKE(1, "model.spec=\"tiny\"");
    CHECK(p.forecast.export_bytes == 0 && p.forecast.latent_bytes > 0);
    release(&p);
}

static void check_advice(void)
{
    ath_test_begin("advice");
    plan p = MAKE(3, "train.global_batch=2");
    CHECK_HAS(ath_str_text(&p.advice), "\"dog\" is seen 7.5 times as often as \"cat\"; 15 repeats");
    CHECK_HAS(ath_str_text(&p.advice), "at least 1000 for a person");
    CHECK_HAS(ath_str_text(&p.advice), "a warm-up of 0 steps is 0.0%");
    CHECK_HAS(ath_str_text(&p.advice), "1 of 3 ranks have nothing to do");
    release(&p);
    p = MAKE(3, "train.global_batch=4", "train.micro_batch=1");
    CHECK_HAS(ath_str_text(&p.advice), "4 micro-batches a step are no multiple of 3 ranks");
    release(&p);
    p = MAKE(1, "train.global_batch=64", "train.micro_batch=64");
    CHECK_HAS(ath_str_text(&p.advice), "2 of 2 micro-batches of an epoch are short");
    release(&p);
    p = MAKE(2, "train.steps=4000", "optimizer.warmup=\"5%\"");
    CHECK(strstr(ath_str_text(&p.advice), "steps") == NULL);
    CHECK(strstr(ath_str_text(&p.advice), "ranks") == NULL);
    release(&p);
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    for (int i = 0; i < 5; i++) {
        char name[64];
        bool is_dog = i < 3;
        snprintf(name, sizeof name, "t/%s/%d.png", is_dog ? "10_dog" : "2_cat", i);
        CHECK_OK(ath_data_put_picture(&data, name, is_dog ? 64 : 110, is_dog ? 64 : 66, 1));
    }
    check_rules();
    check_bytes();
    check_advice();
    ath_data_folder_remove(&data);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
