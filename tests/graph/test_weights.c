/*
 * Promises of the frozen weights: an exec draws what it misses from the source, once; plain bytes that
 * no step reads go back, and come again for a plan that reads them; a weight that is put again gives
 * execs that stand the bits of fresh ones, plain and packed; another shape is refused; any allocation
 * may fail.
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/graph/exec.h"
#include "worker/graph/layer.h"
#include <string.h>

enum { SIDE = 8, WIDTH = 64, N_OUT = SIDE * SIDE * WIDTH, N_WEIGHT = WIDTH * WIDTH * 9 };

static const ath_desc image = {ATH_BF16, 4, {1, SIDE, SIDE, WIDTH}};
static const ath_desc kernel = {ATH_BF16, 4, {WIDTH, WIDTH, 3, 3}};

/* A convolution: the cpu reads its weight packed and its bias plain, ref reads both plain. */
static ath_err compile(ath_backend backend, ath_plan **out)
{
    const ath_plan_opts opts = {.backend = backend};
    ath_net *n = NULL;

    ATH_TRY(ath_net_create(ATH_BF16, &n));
    ath_net_keep(n, "y", ath_conv2d(n, "conv", ath_net_input(n, "x", image), WIDTH, 3));
    ath_err err = ath_plan_create(n, &opts, out);
    ath_net_destroy(&n);
    return err;
}

/* `scale` says which values. */
static ath_err put(ath_weights *weights, const char *name, ath_desc desc, float scale)
{
    static float host[N_WEIGHT];

    for (int64_t i = 0; i < ath_desc_count(&desc); i++) host[i] = scale * (float)(i % 23 - 11);
    return ath_weights_put(weights, name, desc, ATH_F32, host);
}

static int n_drawn; /* weights that the source was asked for */

static ath_err draw(const void *context, const ath_plan_param *p, ath_weights *weights)
{
    n_drawn++;
    return put(weights, p->name, p->desc, *(const float *)context);
}

typedef struct setup {
    ath_device *device;
    ath_weights *weights;
    ath_plan *plan;
    ath_exec *exec;
} setup;

static void release(setup *s)
{
    ath_exec_destroy(&s->exec);
    ath_weights_destroy(&s->weights);
    ath_plan_destroy(&s->plan);
    ath_device_destroy(&s->device);
}

static ath_err begin(ath_backend backend, bool is_sim, const float *scale, setup *s)
{
    *s = (setup){0};
    ATH_TRY(compile(backend, &s->plan));
    ATH_TRY(is_sim ? ath_device_create_sim(7, &s->device) : ath_device_create_host(&s->device));
    ATH_TRY(ath_weights_create(s->device, &s->weights));
    ath_weights_draw_from(s->weights, draw, scale);
    const ath_exec_opts opts = {.weights = s->weights};
    return ath_exec_create(s->plan, s->device, &opts, &s->exec);
}

static void answer(ath_exec *exec, uint16_t out[N_OUT])
{
    static uint16_t x[N_OUT];

    for (int i = 0; i < N_OUT; i++) x[i] = ath_bf16_from_f32((float)(i % 17 - 8) / 8);
    CHECK_OK(ath_exec_write(exec, "x", x, sizeof x));
    CHECK_OK(ath_exec_run(exec, ATH_PHASE_ALL));
    CHECK_OK(ath_exec_read(exec, "y", out, N_OUT * sizeof *out));
}

/* What a fresh exec of that backend answers with values of that scale. */
static void expect(ath_backend backend, float scale, uint16_t out[N_OUT])
{
    setup s = {0};

    CHECK_OK(begin(backend, false, &scale, &s));
    answer(s.exec, out);
    release(&s);
}

static void test_replace(ath_backend backend, bool is_sim)
{
    static uint16_t first[N_OUT], second[N_OUT], got[N_OUT];
    const ath_desc wrong = {ATH_BF16, 4, {WIDTH, WIDTH, 1, 1}};
    const float scale = 0.01f;
    setup s = {0};

    ath_test_begin(is_sim ? "put again, on the sim" : "put again");
    expect(backend, 0.01f, first);
    expect(backend, 0.02f, second);
    CHECK(memcmp(first, second, sizeof first) != 0);
    CHECK_OK(begin(backend, is_sim, &scale, &s));
    answer(s.exec, got);
    CHECK(memcmp(got, first, sizeof got) == 0);
    CHECK_OK(put(s.weights, "conv.weight", kernel, 0.02f));
    CHECK_OK(put(s.weights, "conv.bias", (ath_desc){ATH_F32, 1, {WIDTH}}, 0.02f));
    answer(s.exec, got);
    CHECK(memcmp(got, second, sizeof got) == 0);
    CHECK_ERR(put(s.weights, "conv.weight", wrong, 0.01f), ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "bf16[64,64,3,3], put again as bf16[64,64,1,1]");

    /* with no exec the packing is nobody's: it must not serve the next one with old values */
    ath_exec_destroy(&s.exec);
    CHECK_OK(put(s.weights, "conv.weight", kernel, 0.01f));
    CHECK_OK(put(s.weights, "conv.bias", (ath_desc){ATH_F32, 1, {WIDTH}}, 0.01f));
    const ath_exec_opts opts = {.weights = s.weights};
    CHECK_OK(ath_exec_create(s.plan, s.device, &opts, &s.exec));
    answer(s.exec, got);
    CHECK(memcmp(got, first, sizeof got) == 0);
    release(&s);
}

/* Plans of two backends over one set of weights. */
static void test_draw(void)
{
    static uint16_t want[N_OUT], got[N_OUT];
    const float scale = 0.01f;
    ath_plan *ref = NULL;
    ath_exec *of_ref = NULL;
    setup s = {0};

    ath_test_begin("drawn once, given back, drawn again");
    expect(ATH_REF, scale, want);
    n_drawn = 0;
    CHECK_OK(begin(ATH_CPU, false, &scale, &s));
    CHECK_EQ(n_drawn, 2);
    const size_t held = ath_mem_get_stats().bytes_held;
    const ath_exec_opts opts = {.weights = s.weights};
    ath_exec_destroy(&s.exec);
    CHECK_OK(ath_exec_create(s.plan, s.device, &opts, &s.exec));
    CHECK_EQ(n_drawn, 2); /* what is packed serves the next exec */
    CHECK_OK(compile(ATH_REF, &ref));
    const size_t before = ath_mem_get_stats().bytes_held;
    CHECK_OK(ath_exec_create(ref, s.device, &opts, &of_ref));
    CHECK_EQ(n_drawn, 3); /* ref reads the kernel plain, which had gone */
    CHECK(ath_mem_get_stats().bytes_held >= before + ath_desc_bytes(&kernel));
    answer(of_ref, got);
    CHECK(memcmp(got, want, sizeof got) == 0);

    /* while ref reads it, it stays for all */
    ath_exec_destroy(&s.exec);
    CHECK_OK(ath_exec_create(s.plan, s.device, &opts, &s.exec));
    answer(of_ref, got);
    CHECK(memcmp(got, want, sizeof got) == 0);
    ath_exec_destroy(&of_ref);
    ath_plan_destroy(&ref);
    ath_exec_destroy(&s.exec);
    CHECK_OK(ath_exec_create(s.plan, s.device, &opts, &s.exec));
    CHECK_EQ(n_drawn, 3);
    CHECK(ath_mem_get_stats().bytes_held < held + 4096);
    release(&s);
}

static void test_allocations(void)
{
    const float scale = 0.01f;
    const int64_t before = ath_mem_get_stats().n_held;
    ath_err err = ATH_ENOMEM;
    int64_t n = 0;

    ath_test_begin("every allocation fails once");
    while (err == ATH_ENOMEM && n < 10000) {
        setup s = {0};
        ath_mem_fail_from(++n);
        err = begin(ATH_CPU, false, &scale, &s);
        if (!err) err = put(s.weights, "conv.weight", kernel, 0.02f);
        ath_mem_fail_from(0);
        release(&s);
        CHECK_EQ(ath_mem_get_stats().n_held, before);
    }
    CHECK_EQ(err, ATH_OK);
    CHECK(n > 20);
}

int main(void)
{
    test_replace(ATH_REF, false);
    test_replace(ATH_CPU, false);
    test_replace(ATH_CPU, true);
    test_draw();
    test_allocations();
    return ath_test_end();
}
