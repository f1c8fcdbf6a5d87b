/*
 * What a sample is fed with: x0 is the scaled mean where the variance is nothing, the noisy latent and
 * both targets follow from it and the noise by the formulas of spec/training-semantics 5.2 and 5.4
 * (computed here in double), the weight is 5.6's; everything follows its key and nothing else.
 */
#include "proto/job.h"
#include "tests/harness.h"
#include "worker/train/noising.h"

#include <math.h>

enum { H = 6, W = 5, C = 4, N = H * W * C };

static float moments[2 * N], scratch[N];

typedef struct made {
    float x[N], target[N];
    ath_noising_out out;
} made;

static ath_noising init(const char *const *sets, int n_sets)
{
    static const char text[] = "[model]\nbase = \"b\"\n[data]\ntrain = \"t\"\n";
    Athanor__Job *job = NULL;
    ath_noising noising;

    memset(&noising, 0, sizeof noising);
    CHECK_OK(ath_job_read_text(text, sizeof text - 1, "x.toml", (const char **)(uintptr_t)sets,
                               n_sets, &job));
    if (job) CHECK_OK(ath_noising_init(job, 0.18215f, &noising));
    ath_job_free(&job);
    return noising;
}

static void fill(float log_variance)
{
    for (int i = 0; i < N; i++) {
        moments[i / C * 2 * C + i % C] = sinf((float)i);
        moments[i / C * 2 * C + C + i % C] = log_variance;
    }
}

static ath_noising_in use(uint64_t seed, uint32_t epoch, uint32_t sample)
{
    return (ath_noising_in){.shape = {H, W, C},
                            .moments = moments,
                            .draw = {seed, epoch, sample},
                            .latent = {seed, 0, 77}};
}

static made make(const ath_noising *noising, ath_noising_in in)
{
    made m;

    m.out = (ath_noising_out){.x = m.x, .target = m.target, .scratch = scratch};
    ath_noising_make(noising, &in, &m.out);
    return m;
}

static double alpha_bar(int t)
{
    const double first = sqrt(0.00085), last = sqrt(0.012);
    double product = 1;

    for (int i = 0; i <= t; i++) {
        const double root = first + (last - first) * i / 999;
        product *= 1 - root * root;
    }
    return product;
}

static void check_formulas(void)
{
    static const char *const v_set[] = {"train.v_prediction=true", "train.min_snr_gamma=5"};
    static const char *const snr[] = {"train.min_snr_gamma=5", "train.prior_loss_weight=0.25"};
    const ath_noising eps = init(NULL, 0), v = init(v_set, 2), weighed = init(snr, 2);

    ath_test_begin("formulas");
    fill(-1000);
    for (uint32_t k = 0; k < 20; k++) {
        ath_noising_in in = use(3, 1, k);
        const made a = make(&eps, in), b = make(&v, in);
        const double bar = alpha_bar(a.out.time), keep = sqrt(bar), add = sqrt(1 - bar);
        const double ratio = bar / (1 - bar);
        CHECK_EQ(a.out.time, b.out.time);
        CHECK_BITS(a.x, b.x, sizeof a.x);
        for (int i = 0; i < N; i += 7) {
            const double x0 = 0.18215 * sin(i), z = (double)a.target[i];
            CHECK_NEAR(a.x[i], keep * x0 + add * z, 2e-6);
            CHECK_NEAR(b.target[i], keep * z - add * x0, 2e-6);
        }
        CHECK_NEAR(a.out.weight, 1, 0);
        CHECK_NEAR(b.out.weight, fmin(ratio, 5) / (ratio + 1), 1e-6);
        in.is_regularization = true;
        CHECK_NEAR(make(&weighed, in).out.weight, 0.25 * fmin(ratio, 5) / ratio, 1e-6);
    }
}

static bool is_same(const float a[N], const float b[N])
{
    return memcmp(a, b, N * sizeof(float)) == 0;
}

static void check_keys(void)
{
    static const char *const rich[] = {"noise.offset=0.1", "noise.pyramid_iterations=4"};
    static const char *const offset[] = {"noise.offset=0.1"};
    static const char *const times[] = {"noise.min_timestep=300", "noise.max_timestep=303"};
    const ath_noising plain = init(NULL, 0), all = init(rich, 2), some = init(offset, 1),
                      few = init(times, 2);
    int n_seen[3] = {0};

    ath_test_begin("keys");
    fill(0);
    const made a = make(&all, use(3, 1, 5)), again = make(&all, use(3, 1, 5));
    CHECK(is_same(a.x, again.x) && is_same(a.target, again.target));
    const made others[] = {make(&all, use(4, 1, 5)), make(&all, use(3, 2, 5)),
                           make(&all, use(3, 1, 6)), make(&plain, use(3, 1, 5)),
                           make(&some, use(3, 1, 5))};
    for (int i = 0; i < 5; i++) CHECK(!is_same(a.target, others[i].target));
    ath_noising_in in = use(3, 1, 5);
    in.latent.sample++; /* another sample of the autoencoder, the same noise */
    const made other = make(&all, in);
    CHECK(!is_same(a.x, other.x) && is_same(a.target, other.target));
    CHECK_EQ(a.out.time, other.out.time);
    in = use(3, 1, 5);
    in.is_mirrored = true;
    CHECK(!is_same(a.x, make(&all, in).x));
    for (uint32_t k = 0; k < 60; k++) {
        const int32_t t = make(&few, use(3, 0, k)).out.time - 300;
        CHECK(t >= 0 && t < 3);
        if (t >= 0 && t < 3) n_seen[t]++;
    }
    CHECK(n_seen[0] > 5 && n_seen[1] > 5 && n_seen[2] > 5);
}

int main(void)
{
    check_formulas();
    check_keys();
    return ath_test_end();
}
