/*
 * Learning rates: every factor of transformers' and torch's schedulers to 1e-6 (rates.safetensors),
 * the vectors of spec/training-semantics 17, warm-ups as people write them, and what is refused.
 */
#include "coordinator/rates.h"
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "tests/harness.h"

#include <stdlib.h>

/* "kind/updates/warmup/cycles/power/end" */
static ath_rate parse(const char *name)
{
    ath_rate rate = {0};
    char kind[64];
    char *at = NULL;
    size_t n = strcspn(name, "/");

    snprintf(kind, sizeof kind, "%.*s", (int)n, name);
    CHECK_OK(ath_rate_find(kind, &rate.kind));
    rate.n_updates = strtoll(name + n + 1, &at, 10);
    rate.n_warmup = strtoll(at + 1, &at, 10);
    rate.n_cycles = strtoll(at + 1, &at, 10);
    rate.power = strtod(at + 1, &at);
    rate.end_ratio = strtod(at + 1, &at);
    return rate;
}

static void check_reference(void)
{
    ath_st *st = NULL;
    bool seen[ATH_N_RATE_KINDS] = {false};

    CHECK_OK(ath_st_open("tests/reference/rates.safetensors", &st));
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        ath_test_begin(t->name);
        ath_rate rate = parse(t->name);
        CHECK_OK(ath_rate_check(&rate));
        CHECK_EQ(t->dtype, ATH_ST_F64);
        CHECK_EQ(t->bytes, 8 * rate.n_updates);
        seen[rate.kind] = true;
        for (int64_t k = 0; k < rate.n_updates; k++) {
            double want;
            memcpy(&want, (const char *)t->data + 8 * k, sizeof want);
            CHECK_NEAR(ath_rate_at(&rate, k), want, 1e-6);
        }
    }
    ath_st_close(&st);
    for (int i = 0; i < ATH_N_RATE_KINDS; i++) CHECK(seen[i]);
}

static void check_vectors(void)
{
    const ath_rate restarts = {ATH_RATE_COSINE_WITH_RESTARTS, 100, 0, 2, 1, 0};
    const ath_rate linear = {ATH_RATE_LINEAR, 110, 10, 1, 1, 0};
    const ath_rate poly = {ATH_RATE_POLYNOMIAL, 100, 0, 1, 2, 1e-3};

    ath_test_begin("vectors");
    CHECK_NEAR(ath_rate_at(&restarts, 25), 0.5, 1e-12);
    CHECK_NEAR(ath_rate_at(&restarts, 49), 0.00098664, 1e-8);
    CHECK_NEAR(ath_rate_at(&restarts, 50), 1, 1e-12);
    CHECK_NEAR(ath_rate_at(&restarts, 100), 0, 0);
    CHECK_NEAR(ath_rate_at(&linear, 0), 0, 0);
    CHECK_NEAR(ath_rate_at(&linear, 5), 0.5, 0);
    CHECK_NEAR(ath_rate_at(&linear, 109), 0.01, 1e-15);
    CHECK_NEAR(ath_rate_at(&linear, 200), 0, 0);
    CHECK_NEAR(ath_rate_at(&poly, 50), 0.25075, 1e-12);
    CHECK_NEAR(ath_rate_at(&poly, 101), 1e-3, 0);
}

static void check_warmup(void)
{
    static const struct {
        int64_t steps;
        double share;
        int64_t want; /* of 199 updates; -1: refused */
    } rows[] = {{0, 0, 0},   {0, 0.05, 9},  {100, 0, 100}, {100, 0.05, 9},
                {0, 1, 199}, {0, 0.005, 0}, {199, 0, 199}, {200, 0, -1},
                {-1, 0, -1}, {0, 1.01, -1}, {0, -0.05, -1}};
    int64_t n = -1;

    ath_test_begin("warm-up");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        n = -1;
        ath_err err = ath_rate_warmup(rows[i].steps, rows[i].share, 199, &n);
        CHECK_EQ(n, rows[i].want);
        CHECK_EQ(err, rows[i].want < 0 ? ATH_EJOB : ATH_OK);
    }
    /* every whole percentage of 100, as doubles have it */
    for (int64_t i = 0; i <= 100; i++) {
        CHECK_OK(ath_rate_warmup(0, (double)i / 100, 100, &n));
        CHECK_EQ(n, i);
    }
}

static void check_refusals(void)
{
    const ath_rate bad[] = {
        {ATH_RATE_COSINE, 0, 0, 1, 1, 0},       {ATH_RATE_CONSTANT, 10, 1, 1, 1, 0},
        {ATH_RATE_LINEAR, 10, 11, 1, 1, 0},     {ATH_RATE_COSINE_WITH_RESTARTS, 10, 0, 0, 1, 0},
        {ATH_RATE_POLYNOMIAL, 10, 0, 1, 0, 0},  {ATH_RATE_POLYNOMIAL, 10, 0, 1, 1, 1},
        {ATH_RATE_POLYNOMIAL, 10, 0, 1, 1, -1}, {ATH_RATE_LINEAR, 10, -1, 1, 1, 0}};
    ath_rate_kind kind;

    ath_test_begin("refusals");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ath_rate_check(&bad[i]), ATH_EJOB);
    CHECK_ERR(ath_rate_find("cosin", &kind), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "did you mean \"cosine\"?");
    CHECK_ERR(ath_rate_find("xyzzy", &kind), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "cosine_with_restarts");
}

int main(void)
{
    check_reference();
    check_vectors();
    check_warmup();
    check_refusals();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
