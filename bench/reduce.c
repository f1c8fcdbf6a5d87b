/*
 * The exact reduction beside the machine's own copying.
 *
 *     reduce RANKS [MILLIONS [LEAVES]]     starts itself RANKS times; default 25 million parameters
 *                                          (a LoRA of rank 32) and 8 leaves
 *
 * Prints rank 0's best of five: merging the leaves it owns, sums and norm over ranks, update and
 * gather; and the time of memcpy for one gradient.
 */
#include "worker/dist/reduce.h"
#include "core/mem.h"
#include "core/time.h"
#include "worker/dist/dist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_RUNS = 5, BUCKET = 25 << 18 /* 25 MiB of floats */, BUCKETS_MAX = 256 };

typedef struct bench {
    int64_t count, counts[BUCKETS_MAX];
    float *grads, *values, *copy, *value[BUCKETS_MAX];
    int32_t n_buckets, n_leaves;
    double add_ms, sum_ms, update_ms, copy_ms;
} bench;

static ath_err descend(void *context, int32_t bucket, int64_t first, int64_t n, float *grad)
{
    float *value = ((bench *)context)->value[bucket] + first;

    for (int64_t i = 0; i < n; i++) value[i] -= 1e-3f * grad[i];
    return ATH_OK;
}

static void keep_best(double *best, int64_t from, int64_t to)
{
    const double ms = (double)(to - from) * 1e-6;
    if (*best == 0 || ms < *best) *best = ms;
}

static ath_err run_step(bench *b, ath_reduce *r)
{
    int32_t first = 0, end = 0;
    double norm = 0;

    ATH_TRY(ath_dist_barrier());
    const int64_t begin = ath_time_mono_ns();
    ATH_TRY(ath_reduce_begin(r, b->n_leaves));
    ath_reduce_leaves(r, &first, &end);
    for (int32_t leaf = first; leaf < end; leaf++)
        for (int32_t i = b->n_buckets - 1; i >= 0; i--)
            ATH_TRY(ath_reduce_add(r, leaf, i, b->grads + (int64_t)i * BUCKET));
    const int64_t added = ath_time_mono_ns();
    ATH_TRY(ath_reduce_finish(r, ATH_OK, &norm));
    const int64_t summed = ath_time_mono_ns();
    ATH_TRY(ath_reduce_update(r, descend, b, b->value));
    const int64_t updated = ath_time_mono_ns();
    memcpy(b->copy, b->grads, (size_t)b->count * sizeof *b->copy);
    keep_best(&b->copy_ms, updated, ath_time_mono_ns());
    keep_best(&b->add_ms, begin, added);
    keep_best(&b->sum_ms, added, summed);
    keep_best(&b->update_ms, summed, updated);
    return ATH_OK;
}

static ath_err run(bench *b)
{
    ath_reduce *r = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(b->count, "gradients", &b->grads));
    ATH_TRY_OUT(ATH_NEW(b->count, "values", &b->values));
    ATH_TRY_OUT(ATH_NEW(b->count, "copy", &b->copy));
    for (int64_t i = 0; i < b->count; i++) b->grads[i] = (float)(i % 1001) * 1e-3f;
    for (int64_t at = 0; at < b->count; at += BUCKET) {
        b->value[b->n_buckets] = b->values + at;
        b->counts[b->n_buckets++] = b->count - at < BUCKET ? b->count - at : BUCKET;
    }
    ATH_TRY_OUT(ath_reduce_create(&(ath_reduce_opts){.n_leaves_max = b->n_leaves,
                                                     .n_buckets = b->n_buckets,
                                                     .counts = b->counts},
                                  &r));
    for (int i = 0; i < N_RUNS; i++) ATH_TRY_OUT(run_step(b, r));
out:
    ath_reduce_destroy(&r);
    ath_mem_free(&b->copy);
    ath_mem_free(&b->values);
    ath_mem_free(&b->grads);
    return err;
}

int main(int argc, char **argv)
{
    const int64_t ranks = argc > 1 ? strtoll(argv[1], NULL, 10) : 1;
    const int64_t millions = argc > 2 ? strtoll(argv[2], NULL, 10) : 25;
    const int64_t leaves = argc > 3 ? strtoll(argv[3], NULL, 10) : 8;
    bench b = {.count = millions * 1000000, .n_leaves = (int32_t)leaves};

    if (millions < 1 || millions > 1000) {
        fprintf(stderr, "reduce: %lld million parameters, wanted 1..1000\n", (long long)millions);
        return 2;
    }
    ath_err err = ath_dist_init((int32_t)ranks);
    if (!err) err = run(&b);
    if (err)
        fprintf(stderr, "%s\n", ath_err_text());
    else if (ath_dist_rank() == 0)
        printf("%lld ranks, %lld million parameters, %lld leaves: leaves %.1f ms, sums and norm "
               "%.1f ms, update and gather %.1f ms; memcpy of a gradient %.1f ms\n",
               (long long)ranks, (long long)millions, (long long)leaves, b.add_ms, b.sum_ms,
               b.update_ms, b.copy_ms);
    ath_dist_finalize();
    return ath_err_exit_code(err);
}
