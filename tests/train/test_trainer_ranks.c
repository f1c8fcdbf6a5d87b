/*
 * Training changes the parameters alike on any number of ranks, bit for bit: run.sh compares what is
 * printed with one rank's. Steps of seven, five and one micro-batches of three shapes, so that ranks
 * have unequal shares or none; LoRA on both networks, in f32 and bf16, and all of their parameters.
 * Steps allocate nothing once their shapes were met. The digest does see the order in which gradients
 * are summed. A step whose gradient is not finite, and one in which a rank fails, change nothing on any
 * rank, and what comes after is as if they had not been. What is collected after a step has the same
 * bits on any number of ranks, and a new trainer goes on from it as if nothing had happened. All of it has
 * the same bits on a device whose memory the host cannot read.
 *
 *     test_trainer_ranks RANKS REFERENCE_FOLDER [cuda]
 *
 * With cuda all of it runs on the first GPU, with its kernels; ranks share it.
 */
#include "core/mem.h"
#include "kernels/cuda.h"
#include "tests/harness.h"
#include "tests/train/feed.h"
#include "worker/dist/dist.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_LEAVES = 7, N_SAMPLES = 10, N_STEPS = 3, RANKS_MAX = 8, PATH = 256 };

static ath_st *base;
static const ath_lora lora = {.rank = 4, .alpha = 2};
static const ath_trainer_rates rates = {2e-3, 1e-3};
static feed leaf_data;
static ath_device *device; /* NULL: the host */
static ath_backend backend = ATH_CPU;

typedef enum spoil { NOTHING, ORDER, A_NUMBER, A_RANK } spoil;

/* The last rank cannot read its base. */
static ath_err load_but_last(void *context, const ath_plan *plan, ath_weights *weights,
                             ath_slab *slab)
{
    if (ath_dist_rank() + 1 < ath_dist_size()) return feed_load(context, plan, weights, slab);
    return ath_raise(ATH_EIO, "the base is on fire");
}

static ath_err create(ath_dtype dtype, const ath_lora *adapter, ath_trainer_load_fn *load,
                      ath_trainer **out)
{
    ath_trainer_opts opts = feed_opts(base, adapter, N_LEAVES);

    opts.backend = backend;
    opts.device = device;
    opts.dtype = dtype;
    opts.load = load;
    return ath_trainer_create(&opts, out);
}

static ath_err run_leaf(ath_trainer *t, int32_t step, int32_t leaf, int32_t n_leaves, spoil how)
{
    double losses[FEED_SAMPLES];

    feed_make(&leaf_data, step, how == ORDER ? n_leaves - 1 - leaf : leaf, N_SAMPLES, 1);
    if (how == A_NUMBER && leaf == n_leaves - 1) leaf_data.x[5] = (float)NAN;
    if (how == A_RANK && leaf == n_leaves / 2) leaf_data.ids[3] = 1000;
    return ath_trainer_micro(t, leaf, &leaf_data.in, losses);
}

static ath_err run_step(ath_trainer *t, int32_t step, int32_t n_leaves, spoil how,
                        ath_trainer_step *out)
{
    int32_t first = 0, end = 0;
    ath_err err = ATH_OK;

    ATH_TRY(ath_trainer_begin(t, n_leaves));
    ath_trainer_leaves(t, &first, &end);
    for (int32_t leaf = first; leaf < end && !err; leaf++)
        err = run_leaf(t, step, leaf, n_leaves, how);
    return ath_trainer_finish(t, err, &rates, out);
}

static ath_hash digest_of(ath_trainer *t)
{
    ath_hash digest = {0};

    CHECK_OK(ath_trainer_digest(t, &digest));
    return digest;
}

/* Of the values and of their average. */
static ath_hash all_of(ath_trainer *t)
{
    const ath_hash values = digest_of(t);
    ath_hash average = {0};

    CHECK_OK(ath_trainer_average_digest(t, &average));
    return (ath_hash){values.lo ^ average.lo * 3, values.hi ^ average.hi * 3};
}

/* All ranks hold the same. */
static void check_agreement(ath_hash digest)
{
    const double own = (double)(digest.lo & 0xffffffffu);
    double all[RANKS_MAX];

    CHECK_OK(ath_dist_gather(&own, 1, all, ath_dist_size()));
    for (int32_t r = 0; r < ath_dist_size(); r++) CHECK_BITS(&all[r], &own, sizeof own);
}

static void note(const char *name, int32_t step, ath_trainer *t, double norm)
{
    const ath_hash digest = digest_of(t);
    char text[ATH_HASH_TEXT];

    check_agreement(digest);
    if (ath_dist_rank() == 0)
        printf("%s step %d: digest %s, norm %a\n", name, step, ath_hash_print(digest, text), norm);
}

/* N_STEPS steps; gives what they left. */
static ath_hash train(ath_dtype dtype, const ath_lora *adapter, const char *name)
{
    static const int32_t n_leaves[N_STEPS] = {N_LEAVES, 5, 1};
    ath_trainer *t = NULL;
    ath_hash digest = {0};
    ath_trainer_step out;

    CHECK_OK(create(dtype, adapter, feed_load, &t));
    if (!t) return digest;
    CHECK_OK(ath_trainer_prepare(t, 2, 8, 8));
    CHECK_OK(ath_trainer_prepare(t, 1, 12, 8));
    CHECK_OK(ath_trainer_prepare(t, 1, 8, 12));
    if (!device) ath_mem_freeze(); /* the sim captures each program in its second run */
    for (int32_t step = 0; step < N_STEPS; step++) {
        CHECK_OK(run_step(t, step, n_leaves[step], NOTHING, &out));
        CHECK(!out.skipped && out.norm > 0);
        note(name, step, t, out.norm);
    }
    ath_mem_thaw();
    digest = all_of(t);
    ath_trainer_destroy(&t);
    return digest;
}

/* Shapes are met in another order, and between the steps some that fail. */
static ath_hash train_with_failures(void)
{
    ath_trainer *t = NULL;
    ath_trainer_step out;

    CHECK_OK(create(ATH_F32, &lora, feed_load, &t));
    if (!t) return (ath_hash){0};
    const ath_hash first = digest_of(t);
    CHECK_OK(run_step(t, 9, 3, A_NUMBER, &out));
    CHECK(out.skipped && !isfinite(out.norm));
    CHECK(ath_hash_is_equal(digest_of(t), first));
    CHECK_OK(run_step(t, 0, N_LEAVES, NOTHING, &out));
    const ath_hash second = digest_of(t);
    CHECK(!ath_hash_is_equal(first, second));
    CHECK_ERR(run_step(t, 5, 3, A_RANK, &out), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "ids[0,3] is 1000");
    CHECK(ath_hash_is_equal(digest_of(t), second));
    CHECK_OK(run_step(t, 1, 5, NOTHING, &out));
    CHECK_OK(run_step(t, 2, 1, NOTHING, &out));
    const ath_hash last = all_of(t);
    ath_trainer_destroy(&t);
    return last;
}

/* One of the arrays: rank 0's copy goes to `to`, or from there. */
typedef enum direction { OUT_OF, INTO } direction;
static void move(float *array, float *copy, size_t n, direction d)
{
    if (ath_dist_rank() == 0) memcpy(d == OUT_OF ? copy : array, d == OUT_OF ? array : copy, n);
}

static void move_all(const ath_trainer_state *s, float *copy, size_t n, direction d)
{
    const size_t each = n / sizeof *copy;

    move(s->value, copy, n, d);
    move(s->average, copy + each, n, d);
    move(s->moment1, copy + 2 * each, n, d);
    move(s->moment2, copy + 3 * each, n, d);
}

static size_t slab_bytes(const ath_trainer *t)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(t, &p);

    return (size_t)(p[n - 1].offset + ath_desc_count(&p[n - 1].desc)) * sizeof(float);
}

/* Two steps; the third by another trainer, which has met nothing of this. */
static ath_hash train_in_two(void)
{
    ath_trainer *t = NULL;
    ath_trainer_state state = {0};
    ath_trainer_step out;
    char text[ATH_HASH_TEXT];
    float *copy = NULL;

    CHECK_OK(create(ATH_F32, &lora, feed_load, &t));
    if (!t) return (ath_hash){0};
    const size_t n = slab_bytes(t);
    CHECK_OK(ath_mem_new(n, 4, "copy", (void **)&copy));
    CHECK_OK(run_step(t, 0, N_LEAVES, NOTHING, &out));
    CHECK_OK(run_step(t, 1, 5, NOTHING, &out));
    CHECK_OK(ath_trainer_collect(t, &state));
    CHECK(state.n_updates == 2);
    CHECK((state.moment1 != NULL) == (ath_dist_rank() == 0));
    move_all(&state, copy, n, OUT_OF);
    if (ath_dist_rank() == 0)
        printf("collected: digest %s\n", ath_hash_print(ath_hash_of(copy, 4 * n), text));
    ath_trainer_destroy(&t);

    CHECK_OK(create(ATH_F32, &lora, feed_load, &t));
    if (!t) return (ath_hash){0};
    CHECK_OK(ath_trainer_collect(t, &state));
    move_all(&state, copy, n, INTO);
    state.n_updates = ath_dist_rank() == 0 ? 2 : -1;
    CHECK_OK(ath_trainer_restore(t, &state));
    CHECK_OK(run_step(t, 2, 1, NOTHING, &out));
    const ath_hash last = all_of(t);
    ath_mem_free(&copy);
    ath_trainer_destroy(&t);
    return last;
}

/* The same leaves, summed the other way round. */
static void check_order(void)
{
    ath_trainer *t = NULL;
    ath_trainer_step out[2];
    ath_hash digest[2] = {{0}};

    for (int i = 0; i < 2; i++) {
        CHECK_OK(create(ATH_F32, &lora, feed_load, &t));
        if (!t) return;
        CHECK_OK(run_step(t, 0, N_LEAVES, i ? ORDER : NOTHING, &out[i]));
        digest[i] = digest_of(t);
        ath_trainer_destroy(&t);
    }
    CHECK(!ath_hash_is_equal(digest[0], digest[1]));
    CHECK_NEAR(out[1].norm / out[0].norm, 1, 1e-4);
}

/* On the simulated GPU, where work runs late and memory is nobody's but the work's. */
static void check_sim(ath_hash digest, ath_hash all)
{
    CHECK_OK(ath_device_create_sim(11, &device));
    if (!device) return;
    CHECK(ath_hash_is_equal(train(ATH_F32, &lora, "f32, sim"), digest));
    CHECK(ath_hash_is_equal(train(ATH_F32, NULL, "all parameters, f32, sim"), all));
    CHECK(ath_hash_is_equal(train_with_failures(), digest));
    CHECK(ath_hash_is_equal(train_in_two(), digest));
    ath_device_destroy(&device);
}

static ath_err use_gpu(void)
{
    ATH_TRY(ath_cuda_open());
    backend = ATH_CUDA;
    return ath_device_create_cuda(0, &device);
}

int main(int argc, char **argv)
{
    char path[PATH];
    ath_trainer *none = NULL;

    ATH_ASSERT(argc == 3 || argc == 4);
    ath_err err = ath_dist_init((int32_t)strtol(argv[1], NULL, 10));
    if (err) {
        printf("%s\n", ath_err_text());
        return 1;
    }
    ATH_ASSERT(ath_dist_size() <= RANKS_MAX);
    if (argc == 4 && !err) err = use_gpu();
    if (err) {
        printf("%s\n", ath_err_text());
        return 1;
    }
    snprintf(path, sizeof path, "%s/models.safetensors", argv[2]);
    ATH_ASSERT(!ath_st_open(path, &base));
    ath_test_begin("f32");
    const ath_hash digest = train(ATH_F32, &lora, "f32");
    ath_test_begin("bf16");
    train(ATH_BF16, &lora, "bf16");
    ath_test_begin("all parameters");
    const ath_hash all = train(ATH_F32, NULL, "all parameters, f32");
    ath_test_begin("failures");
    CHECK(ath_hash_is_equal(train_with_failures(), digest));
    CHECK_ERR(create(ATH_F32, &lora, load_but_last, &none), ATH_EIO);
    CHECK(!none);
    CHECK_HAS(ath_err_text(), "the base is on fire");
    ath_test_begin("in two");
    CHECK(ath_hash_is_equal(train_in_two(), digest));
    if (backend == ATH_CPU) {
        ath_test_begin("sim");
        check_sim(digest, all);
    }
    ath_test_begin("order");
    check_order();
    ath_st_close(&base);
    ath_device_destroy(&device);
    const int code = ath_test_end();
    ath_dist_finalize();
    return code;
}
