#include "core/mem.h"
#include "kernels/attention.h"
#include "kernels/ops.h"
#include "tests/harness.h"
#include <math.h>

/* What opcheck's random operands do not reach: scores beyond the range of exp, causality as an
 * absence of influence, and the way of a NaN. One head, so that rows are plain. */
enum { T = 150, D = 12, COUNT = T * D };

typedef struct operands {
    float q[COUNT], k[COUNT], v[COUNT], o[COUNT], lse[T];
    float dout[COUNT], dq[COUNT], dk[COUNT], dv[COUNT];
} operands;

static ath_attention_attr attr;

static operands random_operands(uint32_t seed)
{
    operands x = {0};
    for (int i = 0; i < COUNT; i++) {
        float *const to[] = {&x.q[i], &x.k[i], &x.v[i], &x.dout[i]};
        for (int j = 0; j < 4; j++) {
            seed = seed * 1664525u + 1013904223u;
            *to[j] = (float)(seed >> 8) / (float)(1 << 23) - 1;
        }
    }
    return x;
}

static void run_pass(operands *x, ath_pass pass, bool causal, float scale)
{
    const ath_desc rows = {ATH_F32, 3, {1, T, D}};
    ath_site site = {.op = &ath_op_attention,
                     .attr = &attr,
                     .pass = pass,
                     .n_threads = 2,
                     .in = {rows, rows, rows},
                     .din = {rows, rows, rows}};
    const ath_kernel *kernel = ath_op_kernel(site.op, pass, ATH_CPU);
    ath_bound bound = {0};
    char *scratch = NULL;

    attr = (ath_attention_attr){.heads = 1, .causal = causal, .scale = scale};
    CHECK_OK(ath_op_infer(site.op, &attr, site.in, site.out, site.saved));
    CHECK_OK(ath_site_bind(&site, kernel, &bound));
    CHECK_OK(ATH_NEW(bound.scratch_bytes, "scratch of a test", &scratch));
    memset(scratch, 0xff, bound.scratch_bytes); /* NaN */
    const ath_call call = {.site = &site,
                           .bound = &bound,
                           .in = {x->q, x->k, x->v},
                           .out = {x->o},
                           .saved = {x->lse},
                           .dout = {x->dout},
                           .din = {x->dq, x->dk, x->dv},
                           .scratch = scratch};
    CHECK_OK(kernel->run(&call));
    ath_mem_free(&scratch);
    ath_bound_release(&bound);
}

static void run(operands *x, bool causal, float scale)
{
    run_pass(x, ATH_FWD, causal, scale);
    run_pass(x, ATH_BWD, causal, scale);
}

/* With scores this far apart each query takes the value of its best key, and lse is that score.
 * Weights made again from a lse that large mean little, but they are weights: gradients are finite. */
static void test_large_scores(void)
{
    ath_test_begin("large scores");
    operands x = random_operands(1);
    run(&x, false, 1e9f);
    for (int t = 0; t < T; t++) {
        double best = -HUGE_VAL;
        int key = 0;
        for (int s = 0; s < T; s++) {
            double score = 0;
            for (int d = 0; d < D; d++) score += (double)x.q[t * D + d] * (double)x.k[s * D + d];
            if (score > best) best = score, key = s;
        }
        CHECK_BITS(&x.o[t * D], &x.v[key * D], D * sizeof(float));
        CHECK_NEAR((double)x.lse[t] / (best * 1e9), 1, 1e-5);
    }
    for (int i = 0; i < COUNT; i++)
        CHECK(isfinite(x.dq[i]) && isfinite(x.dk[i]) && isfinite(x.dv[i]));
}

static void test_causal(void)
{
    const int cut = 70;
    ath_test_begin("the future has no influence");
    operands x = random_operands(2), y = x;
    for (int i = cut * D; i < COUNT; i++) y.k[i] = 1e6f, y.v[i] = -3;
    run(&x, true, 0.3f);
    run(&y, true, 0.3f);
    CHECK_BITS(x.o, x.v, D * sizeof(float)); /* the first query sees one key */
    CHECK_BITS(x.o, y.o, (size_t)(cut * D) * sizeof(float));
    CHECK_BITS(x.lse, y.lse, (size_t)cut * sizeof(float));
    for (int i = cut * D; i < COUNT; i++) x.dout[i] = 0;
    run(&x, true, 0.3f);
    for (int i = 0; i < COUNT; i++) CHECK((x.dk[i] == 0 && x.dv[i] == 0) == (i >= cut * D));
    CHECK(memcmp(&x.o[cut * D], &y.o[cut * D], D * sizeof(float)) != 0);
}

static void test_nan(void)
{
    const int at = 99;
    ath_test_begin("a NaN is seen by those who see its key");
    operands x = random_operands(3);
    x.k[at * D + 5] = NAN;
    run(&x, true, 0.3f);
    for (int t = 0; t < T; t++) {
        CHECK((x.o[t * D] != x.o[t * D]) == (t >= at));
        CHECK((x.lse[t] != x.lse[t]) == (t >= at));
        CHECK((x.dq[t * D] != x.dq[t * D]) == (t >= at));
    }
}

int main(void)
{
    test_large_scores();
    test_causal();
    test_nan();
    return ath_test_end();
}
