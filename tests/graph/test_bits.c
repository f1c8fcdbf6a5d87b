/*
 * The bitwise promises of the step program on the toy: loss and every gradient are the same bits with
 * the planner on or off, with recomputation on or off, for an adapter alone or beside another; a run
 * repeats itself; updates too. Prints the arena bytes of each variant.
 */
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"

typedef struct result {
    double loss;
    void *values;
    size_t bytes;
    ath_plan_stats stats;
    ath_hash hash;
} result;

static void run(toy_opts opts, ath_slab_part part, const char *like, result *out)
{
    toy t;

    *out = (result){0};
    CHECK_OK(toy_create(&opts, &t));
    if (!t.exec) return;
    CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
    CHECK_OK(toy_loss(&t, &out->loss));
    CHECK_OK(toy_read(&t, part, like, &out->values, &out->bytes));
    out->stats = ath_plan_get_stats(t.plan);
    out->hash = ath_plan_get_hash(t.plan);
    toy_release(&t);
}

static void check_same(const result *a, const result *b)
{
    CHECK(a->bytes > 0);
    CHECK_EQ(a->bytes, b->bytes);
    CHECK_BITS(&a->loss, &b->loss, sizeof a->loss);
    if (a->bytes == b->bytes && a->values && b->values) CHECK_BITS(a->values, b->values, a->bytes);
}

static void check_variants(toy_opts opts, const char *name)
{
    result plain, unshared, again, repeat;

    ath_test_begin(name);
    opts.has_a = opts.has_b = true;
    run(opts, ATH_GRAD, "", &plain);
    run(opts, ATH_GRAD, "", &repeat);
    opts.plan.no_sharing = true;
    run(opts, ATH_GRAD, "", &unshared);
    opts.plan.no_sharing = false;
    opts.plan.recompute = true;
    run(opts, ATH_GRAD, "", &again);
    check_same(&plain, &repeat);
    check_same(&plain, &unshared);
    check_same(&plain, &again);
    CHECK(ath_hash_is_equal(plain.hash, repeat.hash));
    CHECK(!ath_hash_is_equal(plain.hash, unshared.hash));
    CHECK(!ath_hash_is_equal(plain.hash, again.hash));
    CHECK(plain.stats.arena_bytes < unshared.stats.arena_bytes);
    CHECK(again.stats.arena_bytes < plain.stats.arena_bytes);
    CHECK(again.stats.n_steps > plain.stats.n_steps);
    CHECK(plain.stats.arena_bytes >= plain.stats.arena_floor);
    printf(
        "%-28s arena bytes: planner off %zu, on %zu, on with recomputation %zu; steps %d and %d\n",
        name, unshared.stats.arena_bytes, plain.stats.arena_bytes, again.stats.arena_bytes,
        plain.stats.n_steps, again.stats.n_steps);
    ath_mem_free(&plain.values);
    ath_mem_free(&unshared.values);
    ath_mem_free(&again.values);
    ath_mem_free(&repeat.values);
}

/* Adapter a works on image 0, b on image 1: neither may notice the other. */
static void check_alone(toy_opts opts, const char *name)
{
    result both, alone;

    ath_test_begin(name);
    opts.has_a = opts.has_b = true;
    run(opts, ATH_GRAD, ".a.lora", &both);
    opts.has_b = false;
    run(opts, ATH_GRAD, ".a.lora", &alone);
    CHECK(both.bytes > 0 && both.bytes == alone.bytes);
    if (both.bytes == alone.bytes && both.values) CHECK_BITS(both.values, alone.values, both.bytes);
    ath_mem_free(&both.values);
    ath_mem_free(&alone.values);
}

/* A full step with clipping and AdamW, small buckets against one bucket: elementwise, so the same. */
static void check_update(toy_opts opts, const char *name)
{
    result small, large;

    ath_test_begin(name);
    opts.has_a = true;
    opts.trains_base = true;
    opts.plan.update = true;
    opts.plan.bucket_bytes = 4096;
    run(opts, ATH_VALUE, "", &small);
    opts.plan.bucket_bytes = 0;
    run(opts, ATH_VALUE, "", &large);
    CHECK(small.stats.n_buckets > 4);
    CHECK_EQ(large.stats.n_buckets, 1);
    check_same(&small, &large);
    ath_mem_free(&small.values);
    ath_mem_free(&large.values);
}

int main(void)
{
    const struct {
        const char *name;
        ath_dtype compute;
        ath_backend backend;
    } kinds[] = {
        {"f32 on ref", ATH_F32, ATH_REF},
        {"f64 on ref64", ATH_F64, ATH_REF64},
        {"f32 on cpu", ATH_F32, ATH_CPU},
        {"bf16 on cpu", ATH_BF16, ATH_CPU},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        toy_opts opts = {.compute = kinds[i].compute,
                         .plan = {.backend = kinds[i].backend, .n_threads = 2}};
        check_variants(opts, kinds[i].name);
        opts.trains_base = true;
        check_variants(opts, kinds[i].name);
        opts.trains_base = false;
        check_alone(opts, kinds[i].name);
        check_update(opts, kinds[i].name);
    }
    return ath_test_end();
}
