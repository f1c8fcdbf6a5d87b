/*
 * The budget on its way to the ranks: unpacked, a Plan and its Epochs say what the budget says; equal
 * budgets give equal bytes; mirrors and caption seeds are drawn by sample, half of them mirrored where
 * the job flips and none where it does not.
 */
#include "coordinator/wire.h"
#include "core/mem.h"
#include "proto/job.h"
#include "proto/message.h"
#include "proto/plan.pb-c.h"
#include "tests/data_folder.h"
#include "tests/harness.h"

static ath_data_folder data;

typedef struct run {
    Athanor__Job *job;
    ath_scan scan;
    ath_budget *budget;
} run;

/* The budget borrows the scan: both stay where they are. */
static void make(const char *flip, run *r)
{
    char text[1024];
    const char *sets[] = {flip, "train.epochs=4", "train.global_batch=6", "train.micro_batch=3",
                          "train.train_text_encoder=false"};

    int n = snprintf(text, sizeof text,
                     "[model]\nbase = \"b\"\n[data]\ntrain = \"%s/t\"\nregularization = \"%s/r\"\n",
                     data.path, data.path);
    CHECK_OK(ath_job_read_text(text, (size_t)n, "x.toml", sets, 5, &r->job));
    CHECK_OK(ath_scan_job(r->job, &r->scan));
    const ath_budget_rule rule = ath_budget_rule_of(r->job);
    CHECK_OK(ath_budget_create(&r->scan, &rule, &r->budget));
}

static void release(run *r)
{
    ath_budget_destroy(&r->budget);
    ath_scan_release(&r->scan);
    ath_job_free(&r->job);
}

static void check_plan(const run *r)
{
    uint8_t *bytes = NULL, *again = NULL;
    size_t n = 0, n_again = 0;
    ProtobufCMessage *m = NULL;

    ath_test_begin("plan");
    CHECK_OK(ath_budget_pack(r->budget, r->job, &bytes, &n));
    CHECK_OK(ath_budget_pack(r->budget, r->job, &again, &n_again));
    CHECK(n == n_again && memcmp(bytes, again, n) == 0);
    CHECK_OK(ath_message_unpack(&athanor__plan__descriptor, bytes, n, &m));
    const Athanor__Plan *p = (const Athanor__Plan *)(const void *)m;
    const ath_budget *b = r->budget;
    CHECK_EQ(p->hash.len, 16);
    CHECK_BITS(p->hash.data, &b->hash.lo, 8);
    CHECK_EQ(p->seed, 42);
    CHECK_EQ(p->steps, b->n_steps);
    CHECK_EQ(p->samples, b->n_samples);
    CHECK_EQ(p->micro_batch, 3);
    CHECK_EQ(p->micros_per_step, 2);
    CHECK_EQ(p->n_bucket, b->n_buckets);
    CHECK_EQ(p->n_first_step, b->n_epochs + 1);
    CHECK_EQ(p->n_unet_rate, b->n_steps);
    CHECK_NEAR(p->unet_rate[0], 1e-4, 0);
    CHECK_NEAR(p->text_encoder_rate[0], 0, 0);
    CHECK_EQ(p->n_image, r->scan.n_images);
    for (size_t i = 0; i < p->n_image; i++) {
        CHECK_STR(p->image[i]->path, r->scan.image[i].path);
        CHECK_STR(p->image[i]->caption, r->scan.image[i].caption);
        CHECK_EQ(p->image[i]->bucket, b->bucket_of[i]);
        CHECK_EQ(p->image[i]->resized_width, b->fit[i].resized.width);
        CHECK_EQ(p->image[i]->is_regularization, i >= 5);
    }
    ath_message_drop(m);
    ath_mem_free(&bytes);
    ath_mem_free(&again);
}

static void check_epoch(const run *r, bool flips)
{
    const ath_budget *b = r->budget;
    int64_t n_flips = 0, n_all = 0;

    ath_test_begin("epoch");
    for (int64_t i = 0; i < b->n_epochs; i++) {
        uint8_t *bytes = NULL;
        size_t n = 0, at = 0;
        ProtobufCMessage *m = NULL;
        ath_epoch e = {0};
        CHECK_OK(ath_epoch_make(b, i, &e));
        CHECK_OK(ath_epoch_pack(b, r->job, i, &bytes, &n));
        CHECK_OK(ath_message_unpack(&athanor__epoch__descriptor, bytes, n, &m));
        const Athanor__Epoch *p = (const Athanor__Epoch *)(const void *)m;
        CHECK_BITS(p->plan.data, &b->hash.lo, 8);
        CHECK_EQ(p->first_step, b->first_step[i]);
        CHECK_EQ(p->n_micro_samples, e.n_micros);
        CHECK_EQ(p->n_image, e.n_samples);
        for (size_t k = 0; k < p->n_micro_samples; k++) {
            CHECK_EQ(p->micro_bucket[k], e.micro[k].bucket);
            CHECK_EQ(p->micro_samples[k], e.micro[k].n);
            for (int32_t j = 0; j < e.micro[k].n; j++, at++) {
                CHECK_EQ(p->image[at], e.sample[e.micro[k].first + j].image);
                CHECK_EQ(p->id[at], e.sample[e.micro[k].first + j].id);
                n_flips += p->flip[at];
                CHECK(at == 0 || p->caption_seed[at] != p->caption_seed[at - 1]);
            }
        }
        n_all += e.n_samples;
        ath_message_drop(m);
        ath_mem_free(&bytes);
        ath_epoch_release(&e);
    }
    /* 400 draws of a half: five deviations either way */
    CHECK_EQ(n_all, 400);
    CHECK(flips ? n_flips > 150 && n_flips < 250 : n_flips == 0);
}

static void check_refusals(const run *r)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    ath_err err;

    ath_test_begin("refusals");
    CHECK_ERR(ath_epoch_pack(r->budget, r->job, 4, &bytes, &n), ATH_EINVAL);
    CHECK_ERR(ath_epoch_pack(r->budget, r->job, -1, &bytes, &n), ATH_EINVAL);
    for (int k = 0; k < 2; k++) {
        int64_t i = 0;
        do {
            ath_mem_fail_from(++i);
            err = k ? ath_epoch_pack(r->budget, r->job, 0, &bytes, &n)
                    : ath_budget_pack(r->budget, r->job, &bytes, &n);
            ath_mem_fail_from(0);
            CHECK(err == ATH_OK || err == ATH_ENOMEM);
        } while (err && i < 100);
        CHECK(i > 1 && bytes != NULL);
        ath_mem_free(&bytes);
    }
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    for (int i = 0; i < 12; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%d.png", i < 5 ? "t/10_dog" : "r/1_dog", i);
        CHECK_OK(ath_data_put_picture(&data, name, i % 3 ? 64 : 110, 66, 1));
    }
    run r = {0};
    make("data.flip=true", &r);
    check_plan(&r);
    check_epoch(&r, true);
    check_refusals(&r);
    release(&r);
    make("data.flip=false", &r);
    check_epoch(&r, false);
    release(&r);
    ath_data_folder_remove(&data);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
