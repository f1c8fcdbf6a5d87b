/*
 * The reduction as work of a device has the bits of the host's: sums and norms of steps of one to five
 * micro-batches, exact and fast, on the simulated device in any order of its streams, step by step and
 * captured. Taking out the wait for the gradients of any bucket, of the first run or of the capture, is found
 * by some seed. A step that was spoiled has no norm, one that failed leaves nothing behind, and what comes
 * in another order is refused. Every allocation that fails is an error, and nothing is lost.
 *
 * Compiled with ATH_SHIM the sums are made by the CUDA kernel, on the host (tests/cuda).
 */
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"
#include "worker/dist/reduce.h"

#include <math.h>
#include <string.h>
#if ATH_SHIM
#include "tests/cuda/shim_library.h"
#endif

enum { LEAVES_MAX = 5, SEEDS = 20, SEEDS_OF_BITS = ATH_SHIM ? 1 : 4, BUCKETS_MAX = 64 };

typedef struct setup {
    bool is_sim, is_fast;
    uint64_t seed;
    int32_t drop_wait;
} setup;

/* A toy, its reduction, and all sums and norms of the steps so far. */
typedef struct bench {
    toy_opts opts;
    toy toy;
    ath_reduce *reduce;
    ath_stream *stream;
    int32_t n_buckets;
    int64_t count[BUCKETS_MAX], n;
    float *sums;
    int64_t n_sums;
    double norm[LEAVES_MAX];
} bench;

static ath_err hook(void *context, int32_t bucket, void *grads, int64_t count)
{
    return ath_reduce_hook(((bench *)context)->reduce, bucket, grads, count);
}

static ath_err put_hook(void *context, int32_t bucket, void *grads, int64_t count,
                        ath_stream *stream)
{
    return ath_reduce_put(((bench *)context)->reduce, bucket, grads, count, stream);
}

static ath_err make_reduce(const setup *s, bench *b)
{
    ath_reduce_opts opts = {.n_leaves_max = LEAVES_MAX,
                            .n_buckets = ath_plan_get_stats(b->toy.plan).n_buckets,
                            .counts = b->count,
                            .is_fast = s->is_fast};
    int64_t first = 0;

    ATH_ASSERT(opts.n_buckets <= BUCKETS_MAX);
    if (s->is_sim) opts.on = (ath_reduce_on){b->toy.device, ATH_SHIM ? ATH_CUDA : ATH_CPU, 1};
    for (int32_t i = 0; i < opts.n_buckets; i++) {
        b->count[i] = ath_plan_bucket_span(b->toy.plan, i, &first);
        b->n += b->count[i];
    }
    b->n_buckets = opts.n_buckets;
    return ath_reduce_create(&opts, &b->reduce);
}

static ath_err make(const setup *s, bench *b)
{
    b->opts = (toy_opts){.compute = ATH_F32,
                         .plan = {.backend = ATH_CPU, .n_threads = 1, .bucket_bytes = 16 << 10},
                         .has_a = true,
                         .trains_base = true,
                         .is_sim = s->is_sim,
                         .seed = s->seed,
                         .drop_wait = s->drop_wait,
                         .reduce = s->is_sim ? NULL : hook,
                         .reduce_put = s->is_sim ? put_hook : NULL,
                         .reduce_context = b};
    ATH_TRY(toy_create(&b->opts, &b->toy));
    ATH_TRY(make_reduce(s, b));
    ATH_TRY(ath_stream_create(b->toy.device, &b->stream));
    return ATH_NEW(LEAVES_MAX * b->n, "sums", &b->sums);
}

static void release(bench *b)
{
    ath_mem_free(&b->sums);
    ath_stream_destroy(&b->stream);
    ath_reduce_destroy(&b->reduce);
    toy_release(&b->toy);
}

/* Another picture for each leaf. */
static ath_err run_leaf(bench *b, int32_t leaf)
{
    b->opts.x_scale = 1 + 0.25f * (float)leaf;
    ATH_TRY(toy_write(&b->opts, &b->toy));
    ATH_TRY(ath_reduce_set_leaf(b->reduce, leaf));
    return ath_exec_run(b->toy.exec, ATH_PHASE_GRAD);
}

static ath_err run_step(bench *b, int32_t n_leaves, double *norm)
{
    ATH_TRY(ath_reduce_begin(b->reduce, n_leaves));
    for (int32_t leaf = 0; leaf < n_leaves; leaf++) ATH_TRY(run_leaf(b, leaf));
    return ath_reduce_finish(b->reduce, ATH_OK, norm);
}

static ath_err keep(void *context, int32_t bucket, int64_t first, int64_t n, float *grad)
{
    bench *b = context;
    const ath_buf grads = ath_slab_part_of(b->toy.slab, ATH_GRAD);
    float *to = b->sums + b->n_sums;

    CHECK(first == 0 && n == b->count[bucket]);
    b->n_sums += n;
    if (!ath_reduce_is_on_device(b->reduce)) {
        memcpy(to, grad, (size_t)n * sizeof *to);
        return ATH_OK;
    }
    return ath_buf_read(b->stream, grads, (size_t)((char *)grad - (char *)grads.address), to,
                        (size_t)n * sizeof *to);
}

static ath_err run_steps(bench *b)
{
    float *values[BUCKETS_MAX] = {0};

    for (int32_t i = 0; i < LEAVES_MAX; i++) {
        ATH_TRY(run_step(b, i + 1, &b->norm[i]));
        ATH_TRY(ath_reduce_update(b->reduce, keep, b, values));
    }
    return ATH_OK;
}

static bool is_equal(const bench *a, const bench *b)
{
    return memcmp(a->norm, b->norm, sizeof a->norm) == 0 && a->n_sums == b->n_sums &&
           memcmp(a->sums, b->sums, (size_t)a->n_sums * sizeof *a->sums) == 0;
}

static void check_seeds(bool is_fast, bench *host)
{
    setup s = {.is_fast = is_fast};

    CHECK_OK(make(&s, host));
    CHECK_OK(run_steps(host));
    CHECK(host->n_buckets >= 4 && host->norm[4] > host->norm[0]);
    s.is_sim = true;
    for (s.seed = 0; s.seed < SEEDS_OF_BITS; s.seed++) {
        bench sim = {0};
        CHECK_OK(make(&s, &sim));
        CHECK_OK(run_steps(&sim));
        CHECK(ath_reduce_is_on_device(sim.reduce) && ath_reduce_device_bytes(sim.reduce) > 0);
        CHECK_BITS(sim.norm, host->norm, sizeof host->norm);
        CHECK(is_equal(&sim, host));
        release(&sim);
    }
}

static bool is_found(int32_t wait, const bench *host)
{
    bool found = false;

    for (uint64_t seed = 0; seed < SEEDS && !found; seed++) {
        const setup s = {.is_sim = true, .seed = seed, .drop_wait = wait};
        bench sim = {0};
        CHECK_OK(make(&s, &sim));
        CHECK_OK(run_steps(&sim));
        found = !is_equal(&sim, host);
        release(&sim);
    }
    return found;
}

/* A run waits for the gradients of each bucket, then for each bucket's reduction. */
static void check_waits(const bench *host)
{
    for (int32_t run = 0; run < 2; run++)
        for (int32_t k = 0; k < host->n_buckets; k++)
            ath_test_note(is_found(2 * run * host->n_buckets + k + 1, host), __FILE__, __LINE__,
                          "run %d: the wait for bucket %d is not missed by any seed", run, k);
}

static void check_faults(const bench *host)
{
    const setup s = {.is_sim = true};
    bench sim = {0};
    double norm = 0;

    CHECK_OK(make(&s, &sim));
    CHECK_OK(ath_reduce_begin(sim.reduce, 2));
    ath_reduce_spoil(sim.reduce);
    for (int32_t leaf = 0; leaf < 2; leaf++) CHECK_OK(run_leaf(&sim, leaf));
    CHECK_OK(ath_reduce_finish(sim.reduce, ATH_OK, &norm));
    CHECK(isnan(norm));
    CHECK_OK(ath_reduce_begin(sim.reduce, 3));
    CHECK_ERR(run_leaf(&sim, 1), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "micro-batch 1, wanted 0 of 3");
    CHECK_OK(run_leaf(&sim, 0));
    CHECK_ERR(ath_reduce_finish(sim.reduce, ATH_OK, &norm), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "1 of 3 micro-batches");
    CHECK_OK(ath_reduce_begin(sim.reduce, 4));
    CHECK_OK(run_leaf(&sim, 0));
    CHECK_ERR(ath_reduce_finish(sim.reduce, ath_raise(ATH_EIO, "the disk is on fire"), &norm),
              ATH_EIO);
    CHECK_OK(run_steps(&sim));
    CHECK(is_equal(&sim, host));
    release(&sim);
}

/* Every allocation fails in turn: nothing is lost. */
static void check_memory(void)
{
    const setup s = {.is_sim = true};
    bench b = {0};
    int n_failed = 0;

    CHECK_OK(make(&s, &b));
    ath_reduce_destroy(&b.reduce);
    const int64_t held = ath_mem_get_stats().n_held;
    for (int64_t k = 1; k < 100 && !b.reduce; k++) {
        ath_mem_fail_from(k);
        const ath_err err = make_reduce(&s, &b);
        ath_mem_fail_from(0);
        n_failed += err == ATH_ENOMEM;
        if (err) CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(b.reduce && n_failed > 10);
    release(&b);
}

int main(void)
{
    bench exact = {0}, fast = {0};

#if ATH_SHIM
    ath_shim_install();
#endif
    ath_test_begin("any seed gives the host's bits");
    check_seeds(false, &exact);
    ath_test_begin("fast");
    check_seeds(true, &fast);
    CHECK(!is_equal(&fast, &exact));
    ath_test_begin("every wait is needed");
    if (!ATH_SHIM) check_waits(&exact);
    ath_test_begin("faults");
    check_faults(&exact);
    ath_test_begin("memory");
    check_memory();
    release(&exact);
    release(&fast);
    return ath_test_end();
}
