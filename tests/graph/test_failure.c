/*
 * What goes wrong: every error names the node, what was found and what was wanted; every allocation
 * made to fail in turn while recording, compiling and making memory gives ATH_ENOMEM and leaks
 * nothing; a number that is not finite is named with its node; no NaN reaches the weights.
 */
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"
#include "worker/graph/layer.h"
#include <math.h>

static const ath_desc image = {ATH_F32, 4, {1, 4, 4, 6}};

/* ---- sentences ---- */

static ath_net *begin(void)
{
    ath_net *net = NULL;

    CHECK_OK(ath_net_create(ATH_F32, &net));
    ath_enter(net, "down_blocks.1");
    return net;
}

/* The latched error has this code and says all of these things. */
static void check_latched(ath_net *net, ath_err code, const char *const *says)
{
    ath_plan *plan = NULL;
    const ath_plan_opts opts = {.backend = ATH_REF};

    ath_err_clear();
    CHECK_ERR(ath_plan_create(net, &opts, &plan), code);
    CHECK(plan == NULL);
    for (; *says; says++) CHECK_HAS(ath_err_text(), *says);
    ath_net_destroy(&net);
}

#define SAYS(...)                            \
    (const char *const[])                    \
    {                                        \
        __VA_ARGS__, "test_failure.c:", NULL \
    }

static void check_sentences(void)
{
    ath_test_begin("sentences");
    ath_net *n = begin();
    ath_val x = ath_net_input(n, "x", image);
    ath_group_norm(n, "norm1", x, 4, 1e-5f, ATH_ACT_NONE);
    check_latched(n, ATH_ESHAPE, SAYS("down_blocks.1.norm1", "group_norm", "4"));

    n = begin();
    x = ath_net_input(n, "x", image);
    ath_add(n, x, ath_conv2d(n, "conv", x, 5, 1));
    check_latched(n, ATH_ESHAPE, SAYS("at down_blocks.1", "add", "f32[1,4,4,6]", "f32[1,4,4,5]"));

    n = begin();
    x = ath_net_input(n, "x", (ath_desc){ATH_I32, 4, {1, 4, 4, 6}});
    ath_silu(n, x);
    check_latched(n, ATH_EDTYPE, SAYS("silu", "i32", "f32, bf16 or f64"));

    n = begin();
    ath_linear(n, "to_q", (ath_val){0}, 8, false);
    check_latched(n, ATH_EMISSING, SAYS("down_blocks.1.to_q", "linear", "missing"));

    n = begin();
    x = ath_net_input(n, "x", image);
    ath_linear(n, "proj", x, 8, false);
    ath_linear(n, "proj", x, 9, false);
    check_latched(n, ATH_ESHAPE, SAYS("down_blocks.1.proj.weight", "f32[8,6]", "f32[9,6]"));
}

static void check_memory_sentences(void)
{
    const ath_plan_opts opts = {.backend = ATH_CPU};
    const ath_desc wrong = {ATH_F32, 2, {8, 5}}, right = {ATH_F32, 2, {8, 6}};
    const float zeros[64] = {0};
    ath_net *n = begin();
    ath_plan *plan = NULL;
    ath_device *host = NULL;
    ath_weights *weights = NULL;
    ath_exec *exec = NULL;

    ath_test_begin("missing and misshapen weights, missing inputs");
    ath_net_keep(n, "y", ath_linear(n, "to_q", ath_net_input(n, "x", image), 8, false));
    CHECK_OK(ath_plan_create(n, &opts, &plan));
    CHECK_OK(ath_device_create_host(&host));
    CHECK_OK(ath_weights_create(host, &weights));
    CHECK_ERR(ath_exec_create(plan, host, &(ath_exec_opts){.weights = weights}, &exec),
              ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "down_blocks.1.to_q.weight is missing, wanted f32[8,6]");
    CHECK_OK(ath_weights_put(weights, "down_blocks.1.to_q.weight", wrong, ATH_F32, zeros));
    CHECK_ERR(ath_exec_create(plan, host, &(ath_exec_opts){.weights = weights}, &exec), ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "down_blocks.1.to_q.weight is f32[8,5], wanted f32[8,6]");
    ath_weights_destroy(&weights);
    CHECK_OK(ath_weights_create(host, &weights));
    CHECK_OK(ath_weights_put(weights, "down_blocks.1.to_q.weight", right, ATH_F32, zeros));
    CHECK_OK(ath_exec_create(plan, host, &(ath_exec_opts){.weights = weights}, &exec));
    CHECK_ERR(ath_exec_run(exec, ATH_PHASE_ALL), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "input x was not written");
    CHECK_ERR(ath_exec_write(exec, "x", zeros, 12), ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "input x is f32[1,4,4,6]: 12 bytes given, wanted 384");
    CHECK_ERR(ath_exec_write(exec, "z", zeros, 12), ATH_EINVAL);
    ath_exec_destroy(&exec);
    ath_weights_destroy(&weights);
    ath_device_destroy(&host);
    ath_plan_destroy(&plan);
    ath_net_destroy(&n);
}

/* A slab has moments where its plan updates; one without is refused where they are wanted. */
static void check_moments(void)
{
    const ath_desc x = {ATH_F32, 2, {2, 3}}, row = {ATH_F32, 1, {2}};
    ath_plan *plan[2] = {NULL, NULL};
    ath_slab *slab[2] = {NULL, NULL};
    ath_device *host = NULL;
    ath_exec *exec = NULL;
    ath_net *n = NULL;
    float weight[9] = {0};

    ath_test_begin("moments");
    CHECK_OK(ath_device_create_host(&host));
    CHECK_OK(ath_net_create(ATH_F32, &n));
    ath_net_train(n, true);
    ath_val y = ath_linear(n, "layer", ath_net_input(n, "x", x), 3, false);
    ath_net_loss(n, ath_mse(n, y, ath_net_input(n, "target", x), ath_net_input(n, "w", row)));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(
            ath_plan_create(n, &(ath_plan_opts){.backend = ATH_REF, .update = i == 1}, &plan[i]));
        CHECK_OK(ath_slab_create(host, plan[i], &slab[i]));
    }
    CHECK_ERR(ath_slab_read(slab[0], ATH_MOMENT1, "layer.weight", weight, sizeof weight),
              ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "layer.weight: the slab has no moments");
    CHECK_OK(ath_slab_read(slab[0], ATH_GRAD, "layer.weight", weight, sizeof weight));
    CHECK_OK(ath_slab_read(slab[1], ATH_MOMENT2, "layer.weight", weight, sizeof weight));
    CHECK_ERR(ath_exec_create(plan[1], host, &(ath_exec_opts){.slab = slab[0]}, &exec),
              ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "slab: has no moments");
    CHECK_OK(ath_exec_create(plan[0], host, &(ath_exec_opts){.slab = slab[1]}, &exec));
    ath_exec_destroy(&exec);
    for (int i = 0; i < 2; i++) {
        ath_slab_destroy(&slab[i]);
        ath_plan_destroy(&plan[i]);
    }
    ath_net_destroy(&n);
    ath_device_destroy(&host);
}

/* ---- allocations ---- */

/* Every kind of thing a plan is made of, in few nodes: a region, an adapter-like product, a cast, a
 * view, trainables in two buckets, a packed frozen weight, an update. */
static ath_err make_all(ath_device *host, ath_net **net, ath_plan **plan, ath_weights **weights,
                        ath_slab **slab, ath_exec **exec)
{
    const ath_plan_opts opts = {
        .backend = ATH_CPU, .recompute = true, .update = true, .bucket_bytes = 64};
    static const uint16_t frozen[8 * 6 * 9];
    const ath_desc conv = {ATH_BF16, 4, {8, 6, 3, 3}}, bias = {ATH_F32, 1, {8}};
    const ath_desc x16 = {ATH_BF16, 4, {1, 4, 4, 6}}, target = {ATH_BF16, 4, {1, 4, 4, 6}};

    ATH_TRY(ath_net_create(ATH_BF16, net));
    ath_net *n = *net;
    ath_val x = ath_net_input(n, "x", x16);
    ath_region_begin(n);
    ath_val h = ath_conv2d(n, "frozen", x, 8, 3);
    ath_net_train(n, true);
    h = ath_image(n, ath_linear(n, "trained", ath_tokens(n, h), 6, true), 4, 4);
    ath_region_end(n);
    ath_net_loss(n, ath_mse(n, ath_add(n, x, h), ath_net_input(n, "target", target),
                            ath_net_input(n, "w", (ath_desc){ATH_F32, 1, {1}})));
    ATH_TRY(ath_plan_create(n, &opts, plan));
    ATH_TRY(ath_weights_create(host, weights));
    ATH_TRY(ath_weights_put(*weights, "frozen.weight", conv, ATH_BF16, frozen));
    ATH_TRY(ath_weights_put(*weights, "frozen.bias", bias, ATH_BF16, frozen));
    ATH_TRY(ath_slab_create(host, *plan, slab));
    return ath_exec_create(*plan, host, &(ath_exec_opts){.weights = *weights, .slab = *slab}, exec);
}

static void check_allocations(void)
{
    ath_device *host = NULL;
    ath_err err = ATH_ENOMEM;
    int64_t n = 0;

    ath_test_begin("every allocation fails once");
    CHECK_OK(ath_device_create_host(&host));
    const int64_t before = ath_mem_get_stats().n_held;
    while (err == ATH_ENOMEM && n < 100000) {
        ath_net *net = NULL;
        ath_plan *plan = NULL;
        ath_weights *weights = NULL;
        ath_slab *slab = NULL;
        ath_exec *exec = NULL;
        ath_mem_fail_from(++n);
        err = make_all(host, &net, &plan, &weights, &slab, &exec);
        ath_mem_fail_from(0);
        if (err) CHECK_HAS(ath_err_text(), "ENOMEM");
        ath_exec_destroy(&exec);
        ath_slab_destroy(&slab);
        ath_weights_destroy(&weights);
        ath_plan_destroy(&plan);
        ath_net_destroy(&net);
        CHECK_EQ(ath_mem_get_stats().n_held, before);
    }
    CHECK_EQ(err, ATH_OK);
    CHECK(n > 50);
    printf("allocations made to fail: %d\n", (int)n - 1);
    ath_device_destroy(&host);
}

/* ---- numbers ---- */

static void check_nan(void)
{
    toy_opts opts = {.compute = ATH_F32,
                     .plan = {.backend = ATH_CPU, .update = true, .max_norm = 1},
                     .has_a = true,
                     .trains_base = true,
                     .checks_nan = true,
                     .x_scale = 3e38f};
    size_t bytes = 0;
    void *before = NULL, *after = NULL;
    double norm = 0;
    toy t;

    ath_test_begin("not finite");
    CHECK_OK(toy_create(&opts, &t));
    CHECK_ERR(ath_exec_run(t.exec, ATH_PHASE_ALL), ATH_ENAN);
    CHECK_HAS(ath_err_text(), "forward: the value of");
    CHECK_HAS(ath_err_text(), "unet.c:");
    toy_release(&t);

    opts.checks_nan = false;
    CHECK_OK(toy_create(&opts, &t));
    CHECK_OK(toy_read(&t, ATH_VALUE, "", &before, &bytes));
    CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
    CHECK_OK(ath_exec_read_norm(t.exec, &norm));
    CHECK(!isfinite(norm));
    CHECK_OK(toy_read(&t, ATH_VALUE, "", &after, &bytes));
    CHECK_BITS(before, after, bytes);
    ath_mem_free(&before);
    ath_mem_free(&after);
    toy_release(&t);
}

int main(void)
{
    check_sentences();
    check_memory_sentences();
    check_moments();
    check_allocations();
    check_nan();
    return ath_test_end();
}
