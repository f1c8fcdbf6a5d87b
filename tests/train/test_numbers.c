/*
 * Numbers that go wrong. What is not finite changes nothing. NaN or an infinity is put into the gradient
 * of each trained tensor in turn, of the adapter on each rank in turn, of the networks themselves on one
 * rank after the other (on each with "all"), beside ranks without a micro-batch too; and into the loss of
 * each rank, where no gradient shows it too. Each time all ranks skip the step: values, average and
 * moments keep their bits, and the step is no update. Training goes on afterwards as if none of it had
 * been, which run.sh compares with one rank's.
 *
 * A bit that flips in the memory of one rank, in a trained weight or a frozen one, is found at the next
 * step or within digest_every steps, before an update, and the rank is named on all; in the average its
 * digest is unlike the other ranks'. Put back, training goes on. Of unequal digests those unlike the
 * most are named, and all where none is of the most.
 *
 *     test_numbers RANKS REFERENCE_FOLDER [all]
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "tests/train/feed.h"
#include "worker/dist/dist.h"
#include "worker/run/replicas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_LEAVES = 4, N_SAMPLES = 5, DIGEST_EVERY = 3, N_FLIPS = 5, PATH = 256 };

static ath_st *base;
static const ath_lora lora = {.rank = 2, .alpha = 2};
static const ath_trainer_rates rates = {2e-3, 1e-3};
static feed leaf_data;

/* What is put where before gradients are summed: the program is linked with a hook of ours in front. */
static struct {
    const ath_plan_param *param; /* NULL: nothing */
    int64_t bucket_begin;
    float value;
    int64_t n_put;
    bool hides; /* all gradients are 0 instead, whatever they are */
} poison;

ath_err __real_ath_reduce_hook(void *context, int32_t bucket, void *grads, int64_t count);
ath_err __wrap_ath_reduce_hook(void *context, int32_t bucket, void *grads, int64_t count);

ath_err __wrap_ath_reduce_hook(void *context, int32_t bucket, void *grads, int64_t count)
{
    const ath_plan_param *p = poison.param;

    if (poison.hides) memset(grads, 0, (size_t)count * sizeof(float));
    if (p && p->bucket == bucket) {
        /* the last number of the tensor */
        const int64_t at = p->offset - poison.bucket_begin + ath_desc_count(&p->desc) - 1;
        ATH_ASSERT(0 <= at && at < count);
        ((float *)grads)[at] = poison.value;
        poison.n_put++;
    }
    return __real_ath_reduce_hook(context, bucket, grads, count);
}

static ath_err create(const ath_lora *adapter, ath_trainer **out)
{
    ath_trainer_opts opts = feed_opts(base, adapter, N_LEAVES);

    opts.digest_every = DIGEST_EVERY;
    return ath_trainer_create(&opts, out);
}

/* Leaves from the small ones on. `bad` is the rank whose loss is infinite, or -1. */
static ath_err run_step(ath_trainer *t, int32_t step, int32_t n_leaves, int32_t bad,
                        ath_trainer_step *out)
{
    double losses[FEED_SAMPLES];
    int32_t first = 0, end = 0;
    ath_err err = ATH_OK;

    ATH_TRY(ath_trainer_begin(t, n_leaves));
    ath_trainer_leaves(t, &first, &end);
    for (int32_t leaf = first; leaf < end && !err; leaf++) {
        feed_make(&leaf_data, step, leaf + 1, N_SAMPLES, 1);
        if (bad == ath_dist_rank()) leaf_data.target[7] = (float)INFINITY;
        err = ath_trainer_micro(t, leaf, &leaf_data.in, losses);
    }
    return ath_trainer_finish(t, err, &rates, out);
}

static size_t slab_bytes(const ath_trainer *t)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(t, &p);

    return (size_t)(p[n - 1].offset + ath_desc_count(&p[n - 1].desc)) * sizeof(float);
}

/* Of values, average, and on rank 0 both moments. */
static ath_hash digest_all(ath_trainer *t, int64_t *n_updates)
{
    ath_trainer_state s = {0};
    ath_hash sum = {0};

    CHECK_OK(ath_trainer_collect(t, &s));
    const float *const array[] = {s.value, s.average, s.moment1, s.moment2};
    for (size_t i = 0; i < sizeof array / sizeof *array; i++) {
        if (!array[i]) continue;
        const ath_hash h = ath_hash_of(array[i], slab_bytes(t));
        sum.lo = sum.lo * 31 + h.lo;
        sum.hi = sum.hi * 31 + h.hi;
    }
    *n_updates = s.n_updates;
    return sum;
}

typedef struct before {
    ath_hash digest;
    int64_t n_updates;
} before;

static before look(ath_trainer *t)
{
    before b = {0};

    b.digest = digest_all(t, &b.n_updates);
    return b;
}

static void check_skipped(ath_trainer *t, const before *was, const ath_trainer_step *out,
                          const char *name)
{
    const before is = look(t);
    const bool holds = out->skipped && !isfinite(out->norm) && is.n_updates == was->n_updates &&
                       ath_hash_is_equal(is.digest, was->digest);

    CHECK(holds);
    if (!holds) printf("    %s\n", name);
}

/* Begins of buckets: the least offset of a parameter in each. */
static int64_t begin_of(const ath_plan_param *p, int32_t n, int32_t bucket)
{
    for (int32_t i = 0; i < n; i++)
        if (p[i].bucket == bucket) return p[i].offset;
    return 0;
}

/* With as few leaves as give this rank one: the last ranks have them. */
static void poison_tensor(ath_trainer *t, const ath_plan_param *p, const before *was, int32_t rank)
{
    static const float bad[] = {(float)NAN, (float)INFINITY, (float)-INFINITY};
    ath_trainer_step out;

    poison.param = rank == ath_dist_rank() ? p : NULL;
    poison.value = bad[(p->offset + rank) % 3];
    poison.n_put = 0;
    CHECK_OK(run_step(t, 9, ath_dist_size() - rank, -1, &out));
    CHECK(poison.n_put == (rank == ath_dist_rank()));
    check_skipped(t, was, &out, p->name);
    poison.param = NULL;
}

static void poison_all(ath_trainer *t, const before *was, bool on_each)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(t, &p), n_ranks = ath_dist_size();

    for (int32_t i = 0; i < n; i += n_ranks == 1 && !on_each ? 8 : 1) {
        poison.bucket_begin = begin_of(p, n, p[i].bucket);
        for (int32_t rank = 0; rank < n_ranks; rank++)
            if (on_each || i % n_ranks == rank) poison_tensor(t, &p[i], was, rank);
    }
}

/* Two good steps, all that is bad, and two more. */
static void train(const ath_lora *adapter, bool on_each, const char *name)
{
    ath_trainer *t = NULL;
    ath_trainer_step out;
    char text[ATH_HASH_TEXT];

    ath_test_begin(name);
    CHECK_OK(create(adapter, &t));
    if (!t) return;
    for (int32_t step = 0; step < 2; step++) CHECK_OK(run_step(t, step, N_LEAVES, -1, &out));
    const before was = look(t);
    CHECK(was.n_updates == 2);
    poison_all(t, &was, on_each);
    for (int32_t rank = 0; rank < 2 * ath_dist_size(); rank++) {
        poison.hides = rank % 2 == 0;
        CHECK_OK(run_step(t, 9, ath_dist_size(), rank / 2, &out));
        check_skipped(t, &was, &out, "loss");
    }
    poison.hides = false;
    for (int32_t step = 2; step < 4; step++) CHECK_OK(run_step(t, step, N_LEAVES, -1, &out));
    CHECK(!out.skipped);
    const before last = look(t);
    CHECK(last.n_updates == 4);
    if (ath_dist_rank() == 0) printf("%s: digest %s\n", name, ath_hash_print(last.digest, text));
    ath_trainer_destroy(&t);
}

/* ---- bits that flip ---- */

static void flip(void *bytes, int64_t at, int bit)
{
    ((uint8_t *)bytes)[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* All ranks say which one it is. */
static void check_named(int32_t rank, const char *what)
{
    char text[64];

    snprintf(text, sizeof text, "in the memory of rank %d %s", rank, what);
    CHECK_HAS(ath_err_text(), text);
}

/* Weights, trained: some of them, each bit of a number in turn. The next step refuses. */
static void flip_trained(ath_trainer *t, int32_t rank)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(t, &p), n_ranks = ath_dist_size();
    ath_trainer_state s = {0};
    ath_trainer_step out;

    CHECK_OK(ath_trainer_collect(t, &s));
    for (int32_t i = rank; i < n; i += 11) {
        const int64_t at = p[i].offset + (i % 2 ? 0 : ath_desc_count(&p[i].desc) - 1);
        const int bit = i % 32;
        if (rank == ath_dist_rank()) flip(s.value, 4 * at, bit);
        CHECK_ERR(run_step(t, 9, n_ranks, -1, &out), ATH_EPEER);
        check_named(rank, "the trained weights changed");
        if (rank == ath_dist_rank()) flip(s.value, 4 * at, bit);
    }
}

/* Frozen ones, plain and packed, of this rank: where it runs other shapes it holds other packings. */
static ath_buf frozen_block(ath_trainer *t, int32_t part, const char **name)
{
    ath_weights *w = ath_trainer_weights(t);
    ath_buf b = {0};
    int32_t n = 0;

    while (ath_weights_block(w, n, name, &b)) n++;
    CHECK(n > 50);
    for (int32_t i = n * part / N_FLIPS; ath_weights_block(w, i, name, &b) && !b.address;) i++;
    CHECK(b.address);
    return b;
}

/* Within so many steps. */
static void flip_frozen(ath_trainer *t, int32_t rank)
{
    ath_trainer_step out;

    for (int32_t part = 0; part < N_FLIPS; part++) {
        const char *name = NULL;
        const ath_buf b = frozen_block(t, part, &name);
        const int64_t at = (int64_t)b.bytes / 2;
        ath_err err = ATH_OK;
        if (rank == ath_dist_rank()) flip(b.address, at, part);
        for (int32_t k = 0; k < DIGEST_EVERY && !err; k++)
            err = run_step(t, 9, ath_dist_size(), rank, &out); /* which changes nothing */
        CHECK_ERR(err, ATH_EPEER);
        check_named(rank, "the weights of ");
        if (rank != ath_dist_rank()) continue;
        CHECK_HAS(ath_err_text(), name);
        flip(b.address, at, part);
    }
}

/* What the ranks' averages say, as the record of a step does. */
static ath_err compare_averages(const ath_trainer *t)
{
    ath_hash own = {0};

    ATH_TRY(ath_trainer_average_digest(t, &own));
    const double word[2] = {(double)(uint32_t)own.lo, (double)(uint32_t)own.hi};
    double all[2 * N_LEAVES];
    ath_hash of[N_LEAVES];

    ATH_TRY(ath_dist_gather(word, 2, all, (int64_t)2 * ath_dist_size()));
    for (int32_t k = 0; k < ath_dist_size(); k++)
        of[k] = (ath_hash){(uint64_t)all[2 * k], (uint64_t)all[2 * k + 1]};
    return ath_replicas_check(9, "an average", of, ath_dist_size());
}

static void flip_average(ath_trainer *t, int32_t rank)
{
    const ath_plan_param *p = NULL;
    ath_trainer_state s = {0};
    char text[64];

    CHECK_OK(ath_trainer_collect(t, &s));
    const int32_t n = ath_trainer_params(t, &p);
    const int64_t at = 4 * p[n / 2].offset;
    CHECK_OK(compare_averages(t));
    if (rank == ath_dist_rank()) flip(s.average, at, 3 + rank);
    if (ath_dist_size() > 1) CHECK_ERR(compare_averages(t), ATH_EPEER);
    snprintf(text, sizeof text, "rank %d: an average unlike", rank);
    if (ath_dist_size() > 2) CHECK_HAS(ath_err_text(), text);
    if (rank == ath_dist_rank()) flip(s.average, at, 3 + rank);
}

static void check_flips(void)
{
    ath_trainer *t = NULL;
    ath_trainer_step out;
    ath_hash now = {0};
    char text[ATH_HASH_TEXT];

    ath_test_begin("flipped bits");
    CHECK_OK(create(&lora, &t));
    if (!t) return;
    for (int32_t step = 0; step < 2; step++) CHECK_OK(run_step(t, step, N_LEAVES, -1, &out));
    const before was = look(t);
    for (int32_t rank = 0; rank < ath_dist_size(); rank++) {
        flip_trained(t, rank);
        flip_frozen(t, rank);
        flip_average(t, rank);
    }
    const before is = look(t);
    CHECK(ath_hash_is_equal(is.digest, was.digest));
    for (int32_t step = 2; step < 4; step++) CHECK_OK(run_step(t, step, N_LEAVES, -1, &out));
    CHECK_OK(ath_trainer_digest(t, &now));
    CHECK(ath_hash_is_equal(out.digest, now));
    if (ath_dist_rank() == 0)
        printf("flipped and put back: digest %s\n", ath_hash_print(out.digest, text));
    ath_trainer_destroy(&t);
}

/* ---- who is odd ---- */

static void check_odd(const char *digests, const char *says)
{
    ath_hash of[16];
    const int32_t n = (int32_t)strlen(digests);

    for (int32_t k = 0; k < n; k++) of[k] = (ath_hash){1, (uint64_t)digests[k]};
    const ath_err err = ath_replicas_check(4, "weights", of, n);
    CHECK(err == (*says ? ATH_EPEER : ATH_OK));
    if (*says) CHECK_HAS(ath_err_text(), says);
}

static void check_replicas(void)
{
    ath_test_begin("who is odd");
    check_odd("a", "");
    check_odd("aaaa", "");
    check_odd("baa", "step 4: rank 0: weights unlike the other 2 ranks'");
    check_odd("aba", "step 4: rank 1: weights unlike the other 2");
    check_odd("aab", "step 4: rank 2: weights unlike the other 2");
    check_odd("babaa", "ranks 0, 2: weights unlike the other 3");
    check_odd("bacaa", "ranks 0, 2: weights unlike the other 3");
    check_odd("ab", "ranks 0, 1 hold weights unlike each other's");
    check_odd("abc", "ranks 0, 1, 2 hold weights unlike each other's");
    check_odd("aabb", "ranks 0, 1, 2, 3 hold weights");
    check_odd("abcdefghijk", "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 3 more hold");
    check_odd("aaaaaaaabbb", "ranks 8, 9, 10: weights unlike the other 8");
}

int main(int argc, char **argv)
{
    char path[PATH];

    ATH_ASSERT(argc == 3 || argc == 4);
    ath_err err = ath_dist_init((int32_t)strtol(argv[1], NULL, 10));
    if (err) {
        printf("%s\n", ath_err_text());
        return 1;
    }
    ATH_ASSERT(ath_dist_size() <= N_LEAVES);
    snprintf(path, sizeof path, "%s/models.safetensors", argv[2]);
    ATH_ASSERT(!ath_st_open(path, &base));
    train(&lora, true, "adapter");
    train(NULL, argc == 4, "networks");
    check_flips();
    check_replicas();
    ath_st_close(&base);
    const int code = ath_test_end();
    ath_dist_finalize();
    return code;
}
