/*
 * The compile passes: no two live buffers share bytes; every step reads only what an earlier one
 * wrote; buckets are reduced after their last write and cover the slab once; frozen weights take no
 * gradient; the explained plan of a small net is the golden text; a run allocates nothing.
 */
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"
#include "worker/graph/layer.h"
#include "worker/graph/plan_private.h"
#include "worker/model/unet.h"
#include <stdlib.h>

/* ---- invariants, found again from the steps alone ---- */

typedef struct walk {
    const ath_plan *plan;
    int32_t at;
    int32_t *first, *last; /* by buffer */
    bool *is_written;
    int32_t n_unwritten;
} walk;

static void see(void *context, int32_t b, bool is_write)
{
    walk *w = context;
    const home place = w->plan->bufs[b].home;

    if (w->first[b] == NONE) w->first[b] = w->at;
    w->last[b] = w->at;
    if (!is_write && place == IN_ARENA && !w->is_written[b]) w->n_unwritten++;
    if (is_write) w->is_written[b] = true;
}

static int32_t count_overlaps(const walk *w)
{
    int32_t n = 0;

    for (int32_t a = 0; a < w->plan->n_bufs; a++) {
        const buf *x = &w->plan->bufs[a];
        if (x->home != IN_ARENA || w->first[a] == NONE) continue;
        const int32_t x_last = x->keep ? w->plan->n_steps : w->last[a];
        for (int32_t b = 0; b < a; b++) {
            const buf *y = &w->plan->bufs[b];
            if (y->home != IN_ARENA || w->first[b] == NONE) continue;
            const int32_t y_last = y->keep ? w->plan->n_steps : w->last[b];
            const bool live = w->first[a] <= y_last && w->first[b] <= x_last;
            n += live && x->offset < y->offset + y->bytes && y->offset < x->offset + x->bytes;
        }
    }
    return n;
}

/* A gradient is reduced once, after its last write; a frozen weight takes none. */
static void check_order(const ath_plan *plan)
{
    int32_t n_reduced = 0;

    for (int32_t i = 0; i < plan->n_steps; i++) {
        const step *s = &plan->steps[i];
        if (s->kind == STEP_REDUCE) CHECK_EQ(s->bucket, n_reduced++);
        for (int k = 0; k < ATH_MAX_IN; k++) {
            if (s->din[k] == NONE) continue;
            CHECK(!(s->site.frozen >> k & 1));
            const buf *grad = &plan->bufs[s->din[k]];
            const size_t done = n_reduced ? (size_t)(plan->buckets[n_reduced - 1].first +
                                                     plan->buckets[n_reduced - 1].count) *
                                                ath_dtype_bytes(plan->full)
                                          : 0;
            if (grad->home == IN_GRAD) CHECK(grad->offset >= done);
        }
    }
    CHECK_EQ(n_reduced, plan->n_buckets);
}

static void check_plan(const ath_plan *plan)
{
    walk w = {.plan = plan};
    int64_t covered = 0;

    CHECK_OK(ATH_NEW(plan->n_bufs, "first", &w.first));
    CHECK_OK(ATH_NEW(plan->n_bufs, "last", &w.last));
    CHECK_OK(ATH_NEW(plan->n_bufs, "written", &w.is_written));
    memset(w.first, 0xff, (size_t)plan->n_bufs * sizeof *w.first);
    for (w.at = 0; w.at < plan->n_steps; w.at++)
        if (plan->steps[w.at].kind == STEP_RUN) ath_step_each_use(&plan->steps[w.at], see, &w);
    CHECK_EQ(w.n_unwritten, 0);
    CHECK_EQ(count_overlaps(&w), 0);
    for (int32_t k = 0; k < plan->n_buckets; k++) {
        CHECK_EQ(plan->buckets[k].first, covered);
        covered += plan->buckets[k].count;
    }
    check_order(plan);
    ath_mem_free(&w.first);
    ath_mem_free(&w.last);
    ath_mem_free(&w.is_written);
}

static void check_toys(void)
{
    ath_test_begin("toy plans");
    for (int bits = 0; bits < 32; bits++) {
        toy_opts opts = {.compute = bits & 1 ? ATH_BF16 : ATH_F32,
                         .plan = {.backend = ATH_CPU,
                                  .recompute = bits & 2,
                                  .update = bits & 4,
                                  .bucket_bytes = bits & 8 ? 2048 : 0},
                         .has_a = true,
                         .trains_base = bits & 16,
                         .wants_input = bits & 1};
        toy t = {0};
        CHECK_OK(toy_record(&opts, &t));
        CHECK_OK(ath_plan_create(t.net, &opts.plan, &t.plan));
        if (t.plan) check_plan(t.plan);
        toy_release(&t);
    }
}

/* ---- random nets ---- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* A net of unary and binary ops over [2,3,4,8] and [2,12,8], values drawn from all recorded ones. */
static void record_random(ath_net *n, uint64_t seed)
{
    enum { N = 40 };
    ath_val v[N];
    uint64_t state = seed * 2 + 1;
    bool open = false;

    v[0] = ath_net_input(n, "x", (ath_desc){ATH_F32, 4, {2, 3, 4, 8}});
    for (int i = 1; i < N; i++) {
        const ath_val a = v[next_random(&state) % (uint64_t)i], b = v[i - 1];
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        if (!open && next_random(&state) % 5 == 0) ath_region_begin(n), open = true;
        ath_net_train(n, next_random(&state) % 2);
        switch (next_random(&state) % 6) {
        case 0:
            v[i] = ath_conv2d(n, name, a, 8, 3);
            break;
        case 1:
            v[i] = ath_group_norm(n, name, a, 4, 1e-5f, ATH_ACT_SILU);
            break;
        case 2:
            v[i] = a.i == b.i ? ath_silu(n, a) : ath_add(n, a, b);
            break;
        case 3:
            v[i] = ath_image(n, ath_linear(n, name, ath_tokens(n, a), 8, true), 3, 4);
            break;
        case 4:
            v[i] = ath_gelu(n, b, true);
            break;
        default:
            v[i] = ath_conv2d(n, name, ath_concat(n, ath_silu(n, a), b), 8, 1);
            break;
        }
        if (open && next_random(&state) % 4 == 0) ath_region_end(n), open = false;
    }
    if (open) ath_region_end(n);
    const ath_desc one = {ATH_F32, 1, {2}}, full = {ATH_F32, 4, {2, 3, 4, 8}};
    ath_net_loss(
        n, ath_mse(n, v[N - 1], ath_net_input(n, "target", full), ath_net_input(n, "weight", one)));
}

static void check_random(void)
{
    ath_test_begin("random nets");
    for (uint64_t seed = 0; seed < 60; seed++) {
        ath_plan_opts opts = {
            .backend = ATH_CPU, .recompute = seed & 1, .update = seed & 2, .bucket_bytes = 1024};
        ath_net *net = NULL;
        ath_plan *plan = NULL;
        CHECK_OK(ath_net_create(ATH_F32, &net));
        record_random(net, seed);
        CHECK_OK(ath_plan_create(net, &opts, &plan));
        if (plan)
            check_plan(plan);
        else
            printf("seed %d\n", (int)seed);
        ath_plan_destroy(&plan);
        ath_net_destroy(&net);
    }
}

/* ---- the golden text ---- */

static void record_small(ath_net *n)
{
    const ath_desc image = {ATH_F32, 4, {1, 4, 4, 4}}, one = {ATH_F32, 1, {1}};
    ath_val x = ath_net_input(n, "x", image);

    ath_net_train(n, true);
    ath_enter(n, "block");
    ath_region_begin(n);
    ath_val h = ath_group_norm(n, "norm", x, 2, 1e-5f, ATH_ACT_SILU);
    h = ath_conv2d(n, "conv", h, 4, 3);
    ath_region_end(n);
    ath_net_train(n, false);
    h = ath_add(n, x, ath_conv2d(n, "out", h, 4, 1));
    ath_leave(n);
    ath_net_loss(n, ath_mse(n, h, ath_net_input(n, "target", image), ath_net_input(n, "w", one)));
}

/* `make golden` sets ATH_GOLDEN=write and reviews the difference. */
static void check_golden(const char *path)
{
    const ath_plan_opts opts = {.backend = ATH_REF, .recompute = true, .update = true};
    const char *mode = getenv("ATH_GOLDEN");
    char golden[16384] = "";
    ath_str text = {0};
    ath_net *net = NULL;
    ath_plan *plan = NULL;

    ath_test_begin("golden plan");
    CHECK_OK(ath_net_create(ATH_F32, &net));
    record_small(net);
    CHECK_OK(ath_plan_create(net, &opts, &plan));
    if (plan) ath_plan_explain(plan, &text);
    FILE *f = fopen(path, mode && strcmp(mode, "write") == 0 ? "w+" : "r");
    CHECK(f != NULL);
    if (f && mode && strcmp(mode, "write") == 0) {
        fputs(ath_str_text(&text), f);
        rewind(f);
    }
    if (f) {
        golden[fread(golden, 1, sizeof golden - 1, f)] = 0;
        fclose(f);
    }
    CHECK_STR(ath_str_text(&text), golden);
    ath_str_release(&text);
    ath_plan_destroy(&plan);
    ath_net_destroy(&net);
}

/* ---- the real network ---- */

static void check_sd15(void)
{
    const ath_desc x = {ATH_BF16, 4, {1, 64, 64, 4}}, t = {ATH_F32, 1, {1}};
    const ath_desc text = {ATH_BF16, 3, {1, 77, 768}}, target = {ATH_F32, 4, {1, 64, 64, 4}};
    const ath_plan_opts opts = {.backend = ATH_REF};
    const ath_plan_param *p = NULL;
    ath_net *net = NULL;
    ath_plan *plan = NULL;
    int64_t count = 0;

    ath_test_begin("Stable Diffusion 1.5");
    CHECK_OK(ath_net_create(ATH_BF16, &net));
    ath_val pred = ath_unet(net, &ath_unet_sd15, ath_net_input(net, "x", x),
                            ath_net_input(net, "t", t), ath_net_input(net, "text", text));
    ath_net_loss(net, ath_mse(net, pred, ath_net_input(net, "target", target),
                              ath_net_input(net, "weight", t)));
    CHECK_OK(ath_plan_create(net, &opts, &plan));
    const int32_t n = plan ? ath_plan_frozen(plan, &p) : 0;
    for (int32_t i = 0; i < n; i++) count += ath_desc_count(&p[i].desc);
    CHECK_EQ(n, 686);
    CHECK_EQ(count, 859520964);
    if (plan) CHECK_NEAR(ath_plan_get_stats(plan).flop / 1e9, 803.3, 3);
    ath_plan_destroy(&plan);
    ath_net_destroy(&net);
}

static void check_frozen_allocation(void)
{
    toy_opts opts = {.compute = ATH_F32,
                     .plan = {.backend = ATH_CPU, .update = true},
                     .has_a = true,
                     .trains_base = true};
    toy t;

    ath_test_begin("a run allocates nothing");
    CHECK_OK(toy_create(&opts, &t));
    ath_mem_freeze();
    const int64_t before = ath_mem_get_stats().n_asked;
    CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
    CHECK_EQ(ath_mem_get_stats().n_asked, before);
    ath_mem_thaw();
    toy_release(&t);
}

int main(int argc, char **argv)
{
    CHECK_EQ(argc, 2);
    check_toys();
    check_random();
    if (argc == 2) check_golden(argv[1]);
    check_sd15();
    check_frozen_allocation();
    return ath_test_end();
}
