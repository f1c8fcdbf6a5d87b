/*
 * The verdict on synthetic curves with the noise of diffusion training: each sample's loss is that of
 * its time step (0.4 down to 0.01) times exp of a normal number. Of 1000 runs that do not change at
 * most 1 % are called blown up, of runs whose loss doubles in their last part at least 95 %; the same
 * where the bands are not recorded, for a rise to six times. Levels get the words of their range. A
 * loss that is not a number from some step on is found there.
 */
#include "coordinator/curve.h"
#include "core/mem.h"
#include "core/rng.h"
#include "tests/harness.h"
#include <math.h>

enum { STEPS_MAX = 1200, BANDS = 10, BATCH_MAX = 4 };

typedef struct run {
    int64_t n;
    int32_t batch;
    double level, rise; /* times `rise` at the end */
    int64_t rises_at;   /* the step from which on it grows, evenly */
    bool has_no_bands;
} run;

static Athanor__Step steps[STEPS_MAX], *step[STEPS_MAX];
static Athanor__Share shares[STEPS_MAX][BANDS], *share[STEPS_MAX][BANDS];

static void make(const run *r, uint32_t seed, ath_curve *out)
{
    for (int64_t i = 0; i < r->n; i++) {
        Athanor__Step *s = step[i] = &steps[i];
        const double grown = i < r->rises_at ? 0 : (double)(i - r->rises_at);
        const double factor = 1 + (r->rise - 1) * grown / (double)(r->n - r->rises_at);
        double sum[BANDS] = {0}, all = 0;
        uint32_t count[BANDS] = {0};
        for (int32_t k = 0; k < r->batch; k++) {
            const uint32_t key[2] = {seed, 7}, at[4] = {(uint32_t)i, (uint32_t)k, 0, 0};
            uint32_t word[4];
            float normal[4];
            ath_philox(at, key, word);
            const double t = (double)ath_uniform_f32(word[0]);
            word[0] = word[2];
            ath_normal4(word, normal);
            const double loss = r->level * factor * (0.01 + 0.39 * exp(-4 * t)) / 0.1057 *
                                exp(0.4 * (double)normal[2] - 0.08);
            const int b = (int)(t * BANDS);
            sum[b] += loss;
            count[b]++;
            all += loss;
        }
        *s = (Athanor__Step)ATHANOR__STEP__INIT;
        s->step = (uint64_t)i;
        s->has_loss = true;
        s->loss = all / r->batch;
        s->samples = (uint32_t)r->batch;
        s->n_band = r->has_no_bands ? 0 : BANDS;
        s->band = share[i];
        for (int b = 0; b < BANDS; b++) {
            share[i][b] = &shares[i][b];
            shares[i][b] = (Athanor__Share)ATHANOR__SHARE__INIT;
            shares[i][b].samples = count[b];
            shares[i][b].has_loss = count[b] > 0;
            shares[i][b].loss = count[b] ? sum[b] / count[b] : 0;
        }
    }
    *out = (ath_curve){.n_steps = r->n, .step = step};
}

static int count_blown(const run *r, int n_seeds)
{
    int n = 0;

    for (int seed = 0; seed < n_seeds; seed++) {
        ath_curve c;
        ath_judgement j;
        make(r, (uint32_t)seed, &c);
        ath_curve_judge(&c, &j);
        n += j.verdict == ATH_VERDICT_BLOWN;
    }
    return n;
}

static void check_noise(void)
{
    static const run quiet[] = {
        {.n = 50, .batch = 1, .level = 0.1, .rise = 1},
        {.n = 300, .batch = 1, .level = 0.1, .rise = 1},
        {.n = 300, .batch = 4, .level = 0.1, .rise = 1},
        {.n = 300, .batch = 1, .level = 0.1, .rise = 1, .has_no_bands = true},
        {.n = 300, .batch = 1, .level = 0.1, .rise = 0.5}, /* falls, as it should */
    };

    ath_test_begin("noise is no rise");
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) {
        const int n = count_blown(&quiet[i], 1000);
        ath_test_note(n <= 10, __FILE__, __LINE__, "run %zu: %d of 1000 called blown up", i, n);
    }
}

static void check_rise(void)
{
    static const run rising[] = {
        {.n = 300, .batch = 1, .level = 0.1, .rise = 3, .rises_at = 150},
        {.n = 1200, .batch = 1, .level = 0.1, .rise = 2, .rises_at = 600},
        {.n = 300, .batch = 4, .level = 0.1, .rise = 2, .rises_at = 150},
        {.n = 300, .batch = 4, .level = 0.1, .rise = 8, .rises_at = 280}, /* at the very end */
        {.n = 600, .batch = 1, .level = 0.1, .rise = 6, .rises_at = 200, .has_no_bands = true},
    };
    ath_curve c;
    ath_judgement j;

    ath_test_begin("a rise is seen");
    for (size_t i = 0; i < sizeof rising / sizeof *rising; i++) {
        const int n = count_blown(&rising[i], 200);
        ath_test_note(n >= 190, __FILE__, __LINE__, "run %zu: %d of 200 called blown up", i, n);
    }
    make(&rising[2], 1, &c);
    ath_curve_judge(&c, &j);
    CHECK_HAS(j.text, "blown up: the loss rises");
    CHECK(j.lowest >= 0 && j.lowest < 240 && j.slope > 0 && j.loss > j.start_loss);
}

static void check_levels(void)
{
    static const struct {
        double level;
        ath_verdict verdict;
        const char *text;
    } rows[] = {{0.25, ATH_VERDICT_UNDER, "under-fitted: "},
                {0.05, ATH_VERDICT_HEALTHY, "healthy: "},
                {0.005, ATH_VERDICT_MEMORISING, "memorising: "}};
    ath_curve c;
    ath_judgement j;

    ath_test_begin("levels");
    for (int i = 0; i < 3; i++) {
        make(&(run){.n = 400, .batch = 4, .level = rows[i].level, .rise = 1}, 3, &c);
        ath_curve_judge(&c, &j);
        CHECK_EQ(j.verdict, rows[i].verdict);
        CHECK_HAS(j.text, rows[i].text);
        CHECK_HAS(j.text, ath_verdict_name(j.verdict));
        CHECK_NEAR(j.loss / rows[i].level, 1, 0.15);
        CHECK_NEAR(j.start_loss / rows[i].level, 1, 0.15);
    }
    make(&(run){.n = 19, .batch = 4, .level = 0.1, .rise = 1}, 3, &c);
    ath_curve_judge(&c, &j);
    CHECK_EQ(j.verdict, ATH_VERDICT_TOO_SHORT);
    c.n_steps = 0;
    ath_curve_judge(&c, &j);
    CHECK_STR(j.text, "too short: 0 steps so far, and a judgement wants 20.");
}

static void check_not_finite(void)
{
    ath_curve c;
    ath_judgement j;

    ath_test_begin("not a number");
    make(&(run){.n = 100, .batch = 4, .level = 0.1, .rise = 1}, 3, &c);
    steps[50].loss = (double)NAN; /* passed */
    ath_curve_judge(&c, &j);
    CHECK_EQ(j.verdict, ATH_VERDICT_HEALTHY);
    for (int i = 90; i < 100; i++) steps[i].loss = i % 2 ? (double)NAN : (double)INFINITY;
    ath_curve_judge(&c, &j);
    CHECK_EQ(j.verdict, ATH_VERDICT_BLOWN);
    CHECK_HAS(j.text, "not a number from step 91 on");
    c.n_steps = 91; /* however short */
    ath_curve_judge(&c, &j);
    CHECK_EQ(j.verdict, ATH_VERDICT_BLOWN);
}

int main(void)
{
    check_noise();
    check_rise();
    check_levels();
    check_not_finite();
    CHECK_EQ(ath_mem_get_stats().n_asked, 0);
    return ath_test_end();
}
