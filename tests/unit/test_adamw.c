/* The optimizer step and the norm it clips by: closed forms, what is left alone, and equal bits for
 * slices, threads and instruction sets. */
#include "kernels/adamw.h"
#include "kernels/isa.h"
#include "kernels/norm2.h"
#include "kernels/ops.h"
#include "kernels/span.h"
#include "tests/harness.h"

enum { N = 3 * SPAN + 77 };

ATH_ISA_DECLARE(adamw_fwd);
ATH_ISA_DECLARE(norm2_fwd);

typedef ath_err run_function(const ath_call *c);

typedef struct state {
    float p[N], m[N], v[N];
} state;

static float g[N];
static state start, got, want;

static void fill(void)
{
    for (int i = 0; i < N; i++) {
        g[i] = (float)sin(i * 0.37) * (i % 11 == 0 ? 1e-4f : 1.0f);
        start.p[i] = (float)cos(i * 0.11);
        start.m[i] = (float)sin(i * 0.05) * 0.1f;
        start.v[i] = (float)(1 + cos(i * 0.23)) * 0.01f;
    }
}

/* Elements from .. from+n-1 of `s`, with squared norms of two buckets. */
static void step(run_function *run, const ath_adamw_attr *attr, int from, int n, int n_threads,
                 const float *hyper, const double *norms, state *s)
{
    ath_site site = {.op = &ath_op_adamw, .attr = attr, .n_threads = n_threads};

    site.in[0] = (ath_desc){ATH_F32, 1, {n}};
    site.in[1] = (ath_desc){ATH_F32, 1, {4}};
    site.in[2] = (ath_desc){ATH_F64, 1, {2}};
    CHECK_OK(ath_op_infer(site.op, attr, site.in, site.out, site.saved));
    ath_call call = {.site = &site,
                     .in = {g + from, hyper, norms},
                     .out = {s->p + from, s->m + from, s->v + from}};
    CHECK_OK(run(&call));
}

/* From nothing, with a constant gradient and matching corrections, the mean is g and the root of the
 * mean square |g|: each of 50 steps is rate * sign(g), up to eps. Decay alone shrinks p. */
static void check_closed_form(run_function *run)
{
    const ath_adamw_attr attr = {.rest1 = 0.1f, .rest2 = 0.001f, .eps = 1e-12f};
    double b1 = 1, b2 = 1, worst = 0, worst_decay = 0;

    memset(&got, 0, sizeof got);
    for (int t = 1; t <= 50; t++) {
        b1 *= 1 - (double)attr.rest1;
        b2 *= 1 - (double)attr.rest2;
        const float hyper[4] = {1e-3f, 0, (float)(1 - b1), (float)(1 - b2)};
        step(run, &attr, 1, 1000, 1, hyper, (const double[2]){1, 1}, &got);
    }
    for (int i = 1; i <= 1000; i++)
        worst = fmax(worst, fabs((double)got.p[i] + (g[i] > 0 ? 0.05 : -0.05)));
    CHECK_NEAR(worst, 0, 5e-6);
    CHECK(got.p[0] == 0.0f && got.p[1001] == 0.0f);

    got = start;
    memset(got.m, 0, sizeof got.m);
    const float saved = g[5];
    g[5] = 0;
    step(run, &attr, 5, 1, 1, (const float[4]){0.1f, 0.5f, 0.1f, 0.001f}, (const double[2]){1, 1},
         &got);
    g[5] = saved;
    worst_decay = (double)got.p[5] - 0.95 * (double)start.p[5];
    CHECK_NEAR(worst_decay, 0, 1e-7);
}

/* Clipping acts as the same step on a gradient that was scaled before. */
static void check_clipping(run_function *run)
{
    ath_adamw_attr attr = {.rest1 = 0.5f, .rest2 = 0.75f, .eps = 1e-8f, .max_norm = 2};
    static const float hyper[4] = {1e-2f, 0.1f, 0.5f, 0.75f};

    got = want = start;
    step(run, &attr, 0, N, 1, hyper, (const double[2]){7, 9}, &got); /* norm 4: halved */
    attr.max_norm = 0;
    for (int i = 0; i < N; i++) g[i] *= 0.5f;
    step(run, &attr, 0, N, 1, hyper, (const double[2]){7, 9}, &want);
    fill();
    double worst = 0;
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs((double)got.m[i] - (double)want.m[i]));
    CHECK_NEAR(worst, 0, 3e-7);

    got = want = start; /* norm 1: left alone, to the bit */
    step(run, &attr, 0, N, 1, hyper, (const double[2]){1, 0}, &want);
    attr.max_norm = 2;
    step(run, &attr, 0, N, 1, hyper, (const double[2]){1, 0}, &got);
    CHECK_BITS(&got, &want, sizeof got);
}

static void check_not_finite(run_function *run)
{
    static const double nan = (double)NAN, inf = (double)INFINITY;
    const double bad[][2] = {{1, nan}, {inf, 1}, {inf, -inf}};
    static const float hyper[4] = {1e-2f, 0.1f, 0.5f, 0.75f};

    for (int k = 0; k < 6; k++) {
        const ath_adamw_attr attr = {0.9f, 0.999f, 1e-8f, k % 2 ? 1.0f : 0.0f};
        got = start;
        step(run, &attr, 0, N, 2, hyper, bad[k / 2], &got);
        CHECK_BITS(&got, &start, sizeof got);
    }
}

static void check_bits(run_function *run)
{
    const ath_adamw_attr attr = {0.9f, 0.999f, 1e-8f, 1};
    static const float hyper[4] = {1e-3f, 0.01f, 0.19f, 0.001999f};
    static const double norms[2] = {3, 4};

    want = got = start;
    step(ath_op_adamw.fwd[ATH_REF].run, &attr, 0, N, 1, hyper, norms, &want);
    step(run, &attr, 0, N, 3, hyper, norms, &got);
    CHECK_BITS(&got, &want, sizeof got);
    got = start;
    for (int from = 0, n = 1; from < N; from += n, n = n * 2 + 3)
        step(run, &attr, from, from + n < N ? n : N - from, 1, hyper, norms, &got);
    CHECK_BITS(&got, &want, sizeof got);
}

static double norm2(run_function *run, int n, int n_threads)
{
    static double scratch[16];
    double y = -1;
    ath_site site = {.op = &ath_op_norm2, .n_threads = n_threads};
    ath_bound bound;

    site.in[0] = (ath_desc){ATH_F32, 1, {n}};
    CHECK_OK(ath_op_infer(site.op, NULL, site.in, site.out, site.saved));
    CHECK_OK(ath_site_bind(&site, &ath_op_norm2.fwd[ATH_CPU], &bound));
    CHECK(bound.scratch_bytes <= sizeof scratch);
    ath_call call = {.site = &site, .bound = &bound, .in = {g}, .out = {&y}, .scratch = scratch};
    CHECK_OK(run(&call));
    return y;
}

static void check_norm2(run_function *run)
{
    static const int lengths[] = {1, 15, 16, 17, SPAN, SPAN + 1, N};

    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        const int n = lengths[k];
        const double exact = norm2(ath_op_norm2.fwd[ATH_REF].run, n, 1), y = norm2(run, n, 1);
        CHECK_NEAR(y, exact, 1e-14 * exact * sqrt(n));
        CHECK(norm2(run, n, 3) == y);
        CHECK(norm2(ath_norm2_fwd_base, n, 1) == y);
    }
    g[N - 1] = NAN;
    CHECK(isnan(norm2(run, N, 1)));
    g[N - 1] = 3e38f;
    CHECK_NEAR(norm2(run, N, 1) / 9e76, 1, 1e-6); /* no float could hold it */
    fill();
}

int main(void)
{
    static run_function *const adamw[ATH_N_ISAS] = {ath_adamw_fwd_base, ath_adamw_fwd_v3,
                                                    ath_adamw_fwd_v4};
    static run_function *const norm[ATH_N_ISAS] = {ath_norm2_fwd_base, ath_norm2_fwd_v3,
                                                   ath_norm2_fwd_v4};

    fill();
    for (ath_isa isa = ATH_ISA_BASE; isa <= ath_isa_get(); isa++) {
        ath_test_begin(ath_isa_name(isa));
        check_closed_form(adamw[isa]);
        check_clipping(adamw[isa]);
        check_not_finite(adamw[isa]);
        check_bits(adamw[isa]);
        check_norm2(norm[isa]);
    }
    return ath_test_end();
}
