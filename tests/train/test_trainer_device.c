/*
 * Training on a device whose memory the host cannot read changes the parameters as on the host, bit for bit:
 * steps of one to five micro-batches, exact and fast, one of them not finite, in any order of the device's
 * streams. Weights, their average and the norm of each step are compared. Nobody fetches weights but who
 * asks: a step tells their digest where the next one looks at memory, and else none. A bit that flips in the
 * device's memory between those two is found, before an update hides it.
 *
 *     test_trainer_device REFERENCE_FOLDER
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "tests/train/feed.h"

#include <math.h>
#include <string.h>

enum {
    SEEDS = 3,
    N_STEPS = 7,
    N_LEAVES = 5,
    DIGEST_EVERY = 3,
    NOT_FINITE = 2, /* the step */
    PATH = 256
};

static ath_st *base;
static const ath_lora lora = {.rank = 2, .alpha = 2};
static const ath_trainer_rates rates = {2e-3, 1e-3};
static feed leaf_data;
static ath_slab *slab; /* of the trainer that was made last */

static ath_err load(void *context, const ath_plan *plan, ath_weights *weights, ath_slab *its)
{
    slab = its;
    return feed_load(context, plan, weights, its);
}

typedef struct result {
    ath_trainer_step step[N_STEPS];
    ath_hash value[N_STEPS], average;
} result;

static ath_err create(ath_device *device, bool is_fast, ath_trainer **out)
{
    ath_trainer_opts opts = feed_opts(base, &lora, N_LEAVES);

    opts.device = device;
    opts.reduces_fast = is_fast;
    opts.digest_every = DIGEST_EVERY;
    opts.bucket_bytes = 16 << 10;
    opts.load = load;
    return ath_trainer_create(&opts, out);
}

/* A number of an input of the last micro-batch may not be one. */
static ath_err run_leaf(ath_trainer *t, int32_t step, int32_t leaf, int32_t n_leaves)
{
    double losses[FEED_SAMPLES];

    feed_make(&leaf_data, step, leaf, 2 * n_leaves, 1);
    if (step == NOT_FINITE && leaf == n_leaves - 1) leaf_data.x[5] = (float)NAN;
    return ath_trainer_micro(t, leaf, &leaf_data.in, losses);
}

static ath_err run_step(ath_trainer *t, int32_t step, ath_trainer_step *out)
{
    static const int32_t counts[N_STEPS] = {1, 2, 3, 3, 4, 5, 1};

    ATH_TRY(ath_trainer_begin(t, counts[step]));
    for (int32_t leaf = 0; leaf < counts[step]; leaf++)
        ATH_TRY(run_leaf(t, step, leaf, counts[step]));
    return ath_trainer_finish(t, ATH_OK, &rates, out);
}

/* Looks at the values after each step, or after the last alone. */
static ath_err train(ath_device *device, bool is_fast, bool peeks, result *out)
{
    ath_trainer *t = NULL;
    ath_err err = ATH_OK;

    *out = (result){0};
    ATH_TRY(create(device, is_fast, &t));
    for (int32_t i = 0; i < N_STEPS; i++) {
        ATH_TRY_OUT(run_step(t, i, &out->step[i]));
        if (peeks || i + 1 == N_STEPS) ATH_TRY_OUT(ath_trainer_digest(t, &out->value[i]));
    }
    ATH_TRY_OUT(ath_trainer_average_digest(t, &out->average));
out:
    ath_trainer_destroy(&t);
    return err;
}

static void compare(const result *is, const result *want)
{
    for (int32_t i = 0; i < N_STEPS; i++) {
        CHECK(is->step[i].skipped == (i == NOT_FINITE));
        CHECK_BITS(&is->value[i], &want->value[i], sizeof is->value[i]);
        if (i != NOT_FINITE)
            CHECK_BITS(&is->step[i].norm, &want->step[i].norm, sizeof is->step[i].norm);
    }
    CHECK_BITS(&is->average, &want->average, sizeof is->average);
}

static void check_bits(bool is_fast)
{
    result host, is;

    CHECK_OK(train(NULL, is_fast, true, &host));
    CHECK(!ath_hash_is_equal(host.average, (ath_hash){0}));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ath_device *sim = NULL;
        CHECK_OK(ath_device_create_sim(seed, &sim));
        CHECK_OK(train(sim, is_fast, true, &is));
        compare(&is, &host);
        ath_device_destroy(&sim);
    }
}

/* Only the steps before a look say what they left. */
static void check_fetching(void)
{
    ath_device *sim = NULL;
    result host, is;

    CHECK_OK(train(NULL, false, false, &host));
    CHECK_OK(ath_device_create_sim(5, &sim));
    CHECK_OK(train(sim, false, false, &is));
    compare(&is, &host);
    for (int32_t i = 0; i < N_STEPS; i++) {
        const bool is_told = (i + 1) % DIGEST_EVERY == 0;
        const ath_hash want = is_told ? host.step[i].digest : (ath_hash){0};
        CHECK_BITS(&is.step[i].digest, &want, sizeof want);
    }
    ath_device_destroy(&sim);
}

static void check_flip(void)
{
    const ath_plan_param *p = NULL;
    ath_device *sim = NULL;
    ath_trainer *t = NULL;
    ath_trainer_step out;
    float *values = NULL;

    CHECK_OK(ath_device_create_sim(5, &sim));
    CHECK_OK(create(sim, false, &t));
    if (!t) return;
    for (int32_t i = 0; i < DIGEST_EVERY; i++) CHECK_OK(run_step(t, i, &out));
    ath_trainer_params(t, &p);
    const size_t bytes = ath_desc_bytes(&p->desc);
    CHECK_OK(ath_mem_new(bytes, 1, "values", (void **)&values));
    CHECK_OK(ath_slab_read(slab, ATH_VALUE, p->name, values, bytes));
    values[3] = -values[3];
    CHECK_OK(ath_slab_write(slab, ATH_VALUE, p->name, values, bytes));
    CHECK_ERR(run_step(t, DIGEST_EVERY, &out), ATH_EPEER);
    CHECK_HAS(ath_err_text(), "the trained weights changed by themselves");
    ath_mem_free(&values);
    ath_trainer_destroy(&t);
    ath_device_destroy(&sim);
}

int main(int argc, char **argv)
{
    char path[PATH];

    ATH_ASSERT(argc == 2);
    snprintf(path, sizeof path, "%s/models.safetensors", argv[1]);
    ATH_ASSERT(!ath_st_open(path, &base));
    ath_test_begin("exact");
    check_bits(false);
    ath_test_begin("fast");
    check_bits(true);
    ath_test_begin("fetching");
    check_fetching();
    ath_test_begin("flipped bit");
    check_flip();
    ath_st_close(&base);
    return ath_test_end();
}
