/*
 * The pure numerics of a training step against diffusers, torch and formulas in double
 * (tests/reference/make_train.py), to 1e-6; and what no fixture can show: draws are apart, every time
 * is as likely as the others, one sample's noise has deviation one.
 *
 *     test_train FIXTURES
 */
#include "core/io/safetensors.h"
#include "kernels/ops.h"
#include "tests/harness.h"
#include "worker/train/ddpm.h"
#include "worker/train/draws.h"
#include "worker/train/ema.h"
#include "worker/train/extra_noise.h"
#include "worker/train/loss_weight.h"
#include "worker/train/posterior.h"

#include <math.h>
#include <stdlib.h>

enum { H = 13, W = 22, C = 4, N = H * W * C };

static ath_st *st;
static const uint64_t seed = 0x123456789;
static const ath_latent_shape shape = {H, W, C};

/* A tensor of the fixtures, in memory aligned for anything; freed at the end. */
static void *held[64];
static int n_held;

static void *load(const char *name, size_t bytes)
{
    const ath_st_tensor *t = NULL;

    CHECK_OK(ath_st_need(st, name, &t));
    ATH_ASSERT(t && t->bytes == bytes && n_held < 64);
    void *copy = held[n_held++] = malloc(bytes);
    ATH_ASSERT(copy);
    return memcpy(copy, t->data, bytes);
}

static void check_within(double bound, const char *name, const float *found, int64_t n)
{
    const float *want = load(name, (size_t)n * sizeof *want);
    double worst = 0;
    int64_t at = 0;

    ath_test_begin(name);
    for (int64_t i = 0; i < n; i++) {
        const double off =
            fabs((double)found[i] - (double)want[i]) / fmax(1, fabs((double)want[i]));
        if (!(off <= worst)) {
            worst = off;
            at = i;
        }
    }
    ath_test_note(worst <= bound, __FILE__, __LINE__, "%s[%" PRId64 "] is %.9g, wanted %.9g", name,
                  at, (double)found[at], (double)want[at]);
}

static void check_near(const char *name, const float *found, int64_t n)
{
    check_within(1e-6, name, found, n);
}

static void check_draws(void)
{
    const int32_t *times = load("draws/times", 200 * sizeof *times);
    float all[3][37], more[40];
    static int hits[10];

    ath_test_begin("draws");
    for (uint32_t s = 0; s < 200; s++)
        CHECK_EQ(ath_draw_time(&(ath_draw){seed, 3, s}, (ath_times){20, 980}), times[s]);
    for (uint32_t s = 0; s < 3; s++)
        ath_draw_normals(&(ath_draw){seed, 3, s}, ATH_DRAW_NOISE, 0, 37, all[s]);
    check_near("draws/normals", all[0], 3L * 37);
    ath_draw_normals(&(ath_draw){seed, 3, 1}, ATH_DRAW_NOISE, 2, 29, more);
    CHECK_BITS(more, all[1] + 8, 29 * sizeof *more);

    ath_test_begin("draws are apart");
    const ath_draw names[] = {{1, 0, 0}, {2, 0, 0}, {1ull << 32, 0, 0}, {1, 1, 0}, {1, 0, 1}};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++)
            CHECK(ath_draw_uniform(&names[i], ATH_DRAW_FLIP, 0) !=
                  ath_draw_uniform(&names[k], ATH_DRAW_FLIP, 0));
    CHECK(ath_draw_uniform(names, ATH_DRAW_FLIP, 0) != ath_draw_uniform(names, ATH_DRAW_CROP, 0));
    CHECK(ath_draw_uniform(names, ATH_DRAW_FLIP, 0) != ath_draw_uniform(names, ATH_DRAW_FLIP, 1));

    ath_test_begin("times are even");
    for (uint32_t s = 0; s < 100000; s++)
        hits[ath_draw_time(&(ath_draw){7, 0, s}, (ath_times){0, 10})]++;
    for (int i = 0; i < 10; i++) CHECK(abs(hits[i] - 10000) < 500); /* 5 sigma */
    CHECK_EQ(ath_draw_time(&(ath_draw){7, 0, 0}, (ath_times){500, 500}), 500);

    ath_test_begin("times refused");
    CHECK_OK(ath_times_check((ath_times){0, 1000}));
    CHECK_OK(ath_times_check((ath_times){999, 999}));
    CHECK_ERR(ath_times_check((ath_times){0, 1001}), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "max_timestep 1001");
    CHECK_ERR(ath_times_check((ath_times){-1, 10}), ATH_EJOB);
    CHECK_ERR(ath_times_check((ath_times){1000, 1000}), ATH_EJOB);
    CHECK_ERR(ath_times_check((ath_times){10, -3}), ATH_EJOB);
}

static void check_table(const char *name, const double *found)
{
    const double *want = load(name, ATH_DDPM_TIMES * sizeof *want);

    ath_test_begin(name);
    for (int t = 0; t < ATH_DDPM_TIMES; t++) CHECK_NEAR(found[t], want[t], 1e-14);
}

/* The last bits of torch's even row depend on its vector width: 2 units in the last place. */
static void check_table_f32(const char *name, const float *found, double bound)
{
    const float *want = load(name, ATH_DDPM_TIMES * sizeof *want);
    int n_equal = 0;

    ath_test_begin(name);
    for (int t = 0; t < ATH_DDPM_TIMES; t++) {
        CHECK_NEAR(found[t], want[t], bound);
        n_equal += found[t] == want[t];
    }
    printf("%s: %d of %d entries have the same bits\n", name, n_equal, ATH_DDPM_TIMES);
}

static void check_vectors(const ath_ddpm *d)
{
    /* spec/training-semantics 5.1, made from the table in float: near 1 its 1 - alpha_bar is coarse */
    static const struct {
        int t;
        double alpha_bar, snr;
    } rows[] = {{0, 0.99915, 1175.44},
                {100, 0.8942232, 8.45387},
                {500, 0.2763326, 0.38185},
                {999, 0.00466009, 0.00468195}};

    ath_test_begin("known values");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_NEAR(d->alpha_bar[rows[i].t] / rows[i].alpha_bar, 1, 3e-6);
        CHECK_NEAR(d->snr[rows[i].t] / rows[i].snr, 1, 3e-5);
    }
}

static void check_ddpm(void)
{
    enum { SAMPLE = 3 * 5 * 4, N_TIMES = 8 };
    static ath_ddpm d, zero;
    float noisy[N_TIMES * SAMPLE], velocity[N_TIMES * SAMPLE];
    const int32_t *t = load("ddpm/t", N_TIMES * sizeof *t);
    const float *x = load("ddpm/x", sizeof noisy), *z = load("ddpm/z", sizeof noisy);

    ath_ddpm_init(&d, (ath_ddpm_opts){0});
    ath_ddpm_init(&zero, (ath_ddpm_opts){.zero_terminal_snr = true});
    check_vectors(&d);
    check_table("ddpm/alpha_bar", d.alpha_bar);
    check_table("ddpm/zero", zero.alpha_bar);
    check_table_f32("ddpm/alpha_bar_f32", d.alpha_bar_f32, 2.4e-7);
    check_table_f32("ddpm/zero_f32", zero.alpha_bar_f32, 1e-6);
    ath_test_begin("zero");
    CHECK_EQ(zero.alpha_bar[999] == 0 && zero.alpha_bar_f32[999] == 0, 1);
    CHECK_NEAR(zero.alpha_bar[100], 0.886761, 1e-6);
    CHECK_NEAR(zero.alpha_bar[500], 0.241019, 1e-6);
    CHECK_BITS(zero.snr, d.snr, sizeof d.snr);
    for (int like = 0; like < 2; like++) {
        d.like_diffusers = like;
        for (int i = 0; i < N_TIMES; i++) {
            const ath_ddpm_mix mix = ath_ddpm_mix_of(&d, t[i]);
            const int64_t at = (int64_t)i * SAMPLE;
            ath_ddpm_add_noise(mix, SAMPLE, x + at, z + at, noisy + at);
            ath_ddpm_velocity(mix, SAMPLE, x + at, z + at, velocity + at);
        }
        /* in double the table itself is another one, by what float lost */
        check_within(like ? 1e-6 : 5e-6, "ddpm/noisy", noisy, N_TIMES * SAMPLE);
        check_within(like ? 1e-6 : 5e-6, "ddpm/velocity", velocity, N_TIMES * SAMPLE);
    }
}

static void check_noise(void)
{
    const ath_draw draw = {seed, 3, 5};
    const float *white = load("noise/white", N * sizeof *white);
    const float *x0 = load("noise/x0", N * sizeof *x0);
    float noise[N], scratch[N];

    const struct {
        const char *name;
        ath_offset_opts opts;
    } offsets[] = {{"noise/offset", {0.1, 0, false}},
                   {"noise/offset_random", {0.1, 0, true}},
                   {"noise/offset_adaptive", {0.1, -0.08, false}},
                   {"noise/white", {0, 1, true}}};
    for (int i = 0; i < 4; i++) {
        memcpy(noise, white, sizeof noise);
        ath_noise_offset(&draw, offsets[i].opts, shape, x0, noise);
        check_near(offsets[i].name, noise, N);
    }
    for (int i = 0; i < 2; i++) {
        memcpy(noise, white, sizeof noise);
        ath_noise_perturb(&draw, 0.05, i, N, noise);
        check_near(i ? "noise/perturbed_random" : "noise/perturbed", noise, N);
    }
    memcpy(noise, white, sizeof noise);
    ath_noise_pyramid(&draw, (ath_pyramid_opts){2, 0.8}, shape, scratch, noise);
    check_near("noise/pyramid_two", noise, N);
    memcpy(noise, white, sizeof noise);
    ath_noise_pyramid(&draw, (ath_pyramid_opts){8, 0.3}, shape, scratch, noise);
    check_near("noise/pyramid", noise, N);
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++)
        sum += (double)noise[i], square += (double)noise[i] * (double)noise[i];
    CHECK_NEAR((square - sum * sum / N) / (N - 1), 1, 1e-5);
    memcpy(noise, white, sizeof noise);
    ath_noise_pyramid(&draw, (ath_pyramid_opts){0, 0.3}, shape, scratch, noise);
    CHECK_BITS(noise, white, sizeof noise);
}

static void check_weights(void)
{
    enum { ROWS = 11, TIMES = 7 };
    const double(*rows)[7] = load("weight/rows", ROWS * sizeof *rows);
    const double(*want)[TIMES] = load("weight/weight", ROWS * sizeof *want);
    const int32_t *t = load("weight/t", TIMES * sizeof *t);
    static ath_ddpm d;

    ath_ddpm_init(&d, (ath_ddpm_opts){0});
    ath_test_begin("weights");
    for (int i = 0; i < ROWS; i++) {
        const double *r = rows[i];
        const ath_loss_opts opts = {r[0] != 0, r[1], r[2], r[3] != 0, r[4], r[5] != 0};
        CHECK_OK(ath_loss_check(&opts));
        for (int k = 0; k < TIMES; k++)
            CHECK_NEAR(ath_loss_weight(&opts, d.snr[t[k]], r[6] != 0) / want[i][k], 1, 1e-9);
    }
    const ath_loss_opts gamma = {.prior_weight = 1, .min_snr_gamma = 5};
    CHECK_NEAR(ath_loss_weight(&gamma, d.snr[0], false), 0.00425373, 2e-7);
    CHECK_NEAR(ath_loss_weight(&gamma, d.snr[100], false), 0.591445, 2e-6);
    CHECK(ath_loss_weight(&gamma, d.snr[250], false) == 1);

    ath_test_begin("weights refused");
    const ath_loss_opts bad[] = {{.prior_weight = -1},         {.prior_weight = (double)NAN},
                                 {.min_snr_gamma = -5},        {.v_like = (double)INFINITY},
                                 {.scale_v_like_noise = true}, {.v_prediction = true, .v_like = 1}};
    for (int i = 0; i < 6; i++) CHECK_ERR(ath_loss_check(&bad[i]), ATH_EJOB);

    ath_test_begin("huber");
    const double widths[] = {0.949709, 0.598297, 0.231284, 0.103691};
    const int32_t times[] = {0, 100, 500, 999};
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(ath_huber_width(&(ath_huber_opts){ATH_HUBER_SNR, 0.1, 3}, times[i],
                                   d.alpha_bar[times[i]]),
                   widths[i], 1e-6);
    CHECK_NEAR(ath_huber_width(&(ath_huber_opts){ATH_HUBER_SNR, 0.1, 1}, 999, 0), 0.1, 0);
    CHECK_NEAR(ath_huber_width(&(ath_huber_opts){ATH_HUBER_EXPONENTIAL, 0.1, 2}, 0, 1), 2, 0);
    CHECK_NEAR(ath_huber_width(&(ath_huber_opts){ATH_HUBER_EXPONENTIAL, 0.1, 2}, 500, 1),
               2 * sqrt(0.1), 1e-12);
    CHECK_NEAR(ath_huber_width(&(ath_huber_opts){ATH_HUBER_CONSTANT, 0.1, 2}, 5, 1), 0.2, 1e-15);
}

static void update(double decay, const float *value, float *average)
{
    const float rest = (float)(1 - decay);
    const ath_site site = {
        .op = &ath_op_average, .n_threads = 1, .in = {{ATH_F32, 1, {37}}, {ATH_F32, 1, {1}}}};
    const ath_call call = {.site = &site, .in = {value, &rest}, .out = {average}};

    CHECK_OK(ath_op_kernel(&ath_op_average, ATH_FWD, ATH_CPU)->run(&call));
}

/* A hundred steps beside a random walk. */
static void follow(ath_ema_opts opts, const char *name, const float *first,
                   const float (*values)[37])
{
    char decay_name[64];
    float ema[37], trace[100][37];

    snprintf(decay_name, sizeof decay_name, "%s_decay", name);
    const double *decay = load(decay_name, 100 * sizeof *decay);
    ath_test_begin(decay_name);
    memcpy(ema, first, sizeof ema);
    for (int step = 0; step < 100; step++) {
        const double found = ath_ema_decay(&opts, step + 1);
        CHECK_NEAR(found, decay[step], 1e-15);
        update(found, values[step], ema);
        memcpy(trace[step], ema, sizeof ema);
    }
    check_near(name, trace[0], 100L * 37);
}

static void check_ema(void)
{
    const float *first = load("ema/first", 37 * sizeof *first);
    const float(*values)[37] = load("ema/values", 100 * sizeof *values);

    follow((ath_ema_opts){.decay = 0.95}, "ema/plain", first, values);
    follow((ath_ema_opts){.decay = 0.95, .min_decay = 0.2, .after = 5}, "ema/late", first, values);
    follow((ath_ema_opts){.decay = 0.95, .warmup = true, .inv_gamma = 1, .power = 2.0 / 3},
           "ema/warm", first, values);
}

static void check_posterior(void)
{
    const float *moments = load("posterior/moments", 30 * 8 * sizeof *moments);
    const float *noise = load("posterior/noise", 30 * 4 * sizeof *noise);
    float sample[30 * 4], nan[8] = {0};

    ath_posterior_sample(30, 4, moments, noise, sample);
    check_near("posterior/sample", sample, 30 * 4);
    ath_test_begin("posterior of NaN");
    nan[5] = NAN;
    ath_posterior_sample(1, 4, nan, noise, sample);
    CHECK(isnan(sample[1]) && !isnan(sample[0]) && !isnan(sample[2]));
}

int main(int argc, char **argv)
{
    ATH_ASSERT(argc == 2);
    ath_test_begin("fixtures");
    CHECK_OK(ath_st_open(argv[1], &st));
    if (st) {
        check_draws();
        check_ddpm();
        check_noise();
        check_weights();
        check_ema();
        check_posterior();
    }
    while (n_held > 0) free(held[--n_held]);
    ath_st_close(&st);
    return ath_test_end();
}
