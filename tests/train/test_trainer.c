/*
 * Runs of training follow PyTorch's (make_trainer.py): LoRA on U-Net and text encoder for 100 steps of
 * three micro-batches of three shapes, with prior weights, clipping, warm-up and cosine; all parameters
 * of both networks for as many; captions of two chunks. The loss of every sample at every step within
 * 1e-4, the parameters at the end within 1e-3 in relative L2 norm, in f32. So do recomputation and the
 * reference kernels for a while. What a trainer cannot do is refused, and where memory ends while one
 * is made nothing is lost.
 *
 *     test_trainer REFERENCE_FOLDER
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "tests/train/feed.h"
#include "worker/dist/dist.h"
#include "worker/train/ema.h"

#include <math.h>
#include <stdlib.h>

enum { N_LEAVES = 3, N_SAMPLES = 4, N_PROJECTIONS = 8, NAME = 192 };

static ath_st *base, *truth;
static const ath_lora lora = {.rank = 4, .alpha = 2};

static ath_trainer_opts opts_of(const char *name)
{
    const bool is_full = strcmp(name, "full") == 0;

    return (ath_trainer_opts){.spec = ath_model_tiny,
                              .backend = ATH_CPU,
                              .dtype = ATH_F32,
                              .n_threads = 1,
                              .trains_unet = true,
                              .trains_text = true,
                              .lora = is_full ? NULL : &lora,
                              .clip_skip = is_full ? 2 : 1,
                              .n_chunks = strcmp(name, "chunks") == 0 ? 2 : 1,
                              .n_leaves_max = N_LEAVES,
                              .max_norm = is_full                     ? 1
                                          : strcmp(name, "lora") == 0 ? 0.06
                                                                      : 0.05,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .weight_decay = 0.01,
                              .seed = UINT64_C(0x1234567800c0ffee),
                              .load = feed_load,
                              .load_context = base};
}

/* ---- against the fixture ---- */

static const ath_st_tensor *find(const char *name, const char *what, const char *rest)
{
    char full[NAME];

    snprintf(full, sizeof full, "%s/%s%s", name, what, rest);
    return ath_st_find(truth, full);
}

static double get(const ath_st_tensor *t, int64_t i)
{
    double wide = 0;
    float narrow = 0;

    ATH_ASSERT(t && (size_t)i < t->bytes / (t->dtype == ATH_ST_F64 ? 8 : 4));
    if (t->dtype == ATH_ST_F64)
        memcpy(&wide, (const char *)t->data + i * 8, sizeof wide);
    else
        memcpy(&narrow, (const char *)t->data + i * 4, sizeof narrow);
    return t->dtype == ATH_ST_F64 ? wide : (double)narrow;
}

typedef struct errors {
    double loss, norm;   /* worst of all steps, relative */
    double top, bottom;  /* of parameters: sums of squares */
    double moved, moves; /* where networks train: of what they moved */
} errors;

static void add_square(double got, double want, double *top, double *bottom)
{
    *top += (got - want) * (got - want);
    *bottom += want * want;
}

static double worse(double worst, double got, double want)
{
    const double error = fabs(got - want) / want;
    return error > worst || isnan(error) ? error : worst;
}

static ath_err one_step(ath_trainer *t, const char *name, int32_t step, feed *f, errors *e)
{
    const ath_st_tensor *rates = find(name, "rates", ""), *losses = find(name, "losses", "");
    const ath_trainer_rates now = {get(rates, (int64_t)step * 2),
                                   get(rates, (int64_t)step * 2 + 1)};
    const int32_t n_chunks = opts_of(name).n_chunks;
    ath_trainer_step out;
    ath_err err = ATH_OK;

    ATH_TRY(ath_trainer_begin(t, N_LEAVES));
    for (int32_t leaf = 0; leaf < N_LEAVES && !err; leaf++) {
        double got[FEED_SAMPLES];
        feed_make(f, step, leaf, N_SAMPLES, n_chunks);
        err = ath_trainer_micro(t, leaf, &f->in, got);
        for (int32_t k = 0; k < f->in.n && !err; k++)
            e->loss = worse(e->loss, got[k], get(losses, (int64_t)step * N_SAMPLES + f->first + k));
    }
    ATH_TRY(ath_trainer_finish(t, err, &now, &out));
    e->norm = worse(e->norm, out.norm, get(find(name, "norms", ""), step));
    return ATH_OK;
}

/* A parameter's last value against what torch has of all of it. */
static ath_err compare_final(ath_trainer *t, const char *name, const ath_plan_param *p, errors *e)
{
    const ath_st_tensor *want = find(name, "final/", p->name);
    const float *got = NULL;

    ATH_NEED(want, ATH_EMISSING, "the fixture has no parameter %s", p->name);
    ATH_TRY(ath_trainer_value(t, p->name, false, &got));
    for (int64_t i = 0; i < ath_desc_count(&p->desc); i++)
        add_square((double)got[i], get(want, i), &e->top, &e->bottom);
    return ATH_OK;
}

/* How far it moved: sums with random signs estimate the norm of the difference. */
static ath_err compare_moved(ath_trainer *t, const float *before, const char *name,
                             const ath_plan_param *p, errors *e)
{
    const ath_st_tensor *want = find(name, "moved/", p->name);
    const uint32_t stream = (uint32_t)ath_hash_of(p->name, strlen(p->name)).lo & 0xffff;
    const float *now = NULL;

    ATH_NEED(want, ATH_EMISSING, "the fixture has no parameter %s", p->name);
    ATH_TRY(ath_trainer_value(t, p->name, false, &now));
    for (uint32_t k = 0; k < N_PROJECTIONS; k++) {
        double sum = 0;
        for (int64_t i = 0; i < ath_desc_count(&p->desc); i++) {
            const double moved = (double)now[i] - (double)before[p->offset + i];
            sum += feed_mix(stream * 8 + k, (uint32_t)i) >> 31 ? -moved : moved;
        }
        add_square(sum, get(want, k), &e->moved, &e->moves);
    }
    e->bottom += N_PROJECTIONS * get(want, N_PROJECTIONS) * get(want, N_PROJECTIONS);
    return ATH_OK;
}

static ath_err compare(ath_trainer *t, const float *before, const char *name, errors *e)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(t, &p);

    for (int32_t i = 0; i < n; i++)
        ATH_TRY(opts_of(name).lora ? compare_final(t, name, &p[i], e)
                                   : compare_moved(t, before, name, &p[i], e));
    if (!opts_of(name).lora) e->top = e->moved;
    return ATH_OK;
}

static int32_t count_in_fixture(const char *name)
{
    const size_t length = strlen(name);
    int32_t n = 0;

    for (int64_t i = 0; i < ath_st_count(truth); i++) {
        const char *key = ath_st_get(truth, i)->name;
        if (strncmp(key, name, length) != 0 || key[length] != '/') continue;
        n += strncmp(key + length, "/final/", 7) == 0 || strncmp(key + length, "/moved/", 7) == 0;
    }
    return n;
}

static float *copy_values(ath_trainer *t)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(t, &p);
    const int64_t count = p[n - 1].offset + ath_desc_count(&p[n - 1].desc);
    const float *values = NULL;
    float *copy = NULL;

    ATH_ASSERT(!ath_trainer_value(t, p[0].name, false, &values));
    ATH_ASSERT(!ATH_NEW(count, "values", &copy));
    memcpy(copy, values, (size_t)count * sizeof *copy);
    return copy;
}

/* The first `n_steps` of a run of the fixture; all of them also compare the parameters. */
static errors follow(const ath_trainer_opts *opts, const char *name, int32_t n_steps)
{
    const ath_plan_param *p = NULL;
    const int32_t n_all = (int32_t)find(name, "norms", "")->dim[0];
    ath_trainer *t = NULL;
    feed *f = NULL;
    float *before = NULL;
    errors e = {0};

    CHECK_OK(ATH_NEW(1, "feed", &f));
    CHECK_OK(ath_trainer_create(opts, &t));
    if (t) before = copy_values(t);
    for (int32_t step = 0; t && step < n_steps; step++) {
        ath_err err = one_step(t, name, step, f, &e);
        CHECK_OK(err);
        if (err) break;
    }
    if (t && n_steps == n_all) {
        CHECK_EQ(ath_trainer_params(t, &p), count_in_fixture(name));
        CHECK_OK(compare(t, before, name, &e));
    }
    ath_trainer_destroy(&t);
    ath_mem_free(&before);
    ath_mem_free(&f);
    return e;
}

static void check_truth(const char *name, int32_t n_steps)
{
    const ath_trainer_opts opts = opts_of(name);
    const errors e = follow(&opts, name, n_steps);
    const double final = sqrt(e.top / e.bottom), moved = e.moves > 0 ? sqrt(e.moved / e.moves) : 0;

    printf("%s, %d steps: worst loss %.2g, norm %.2g, parameters %.2g, what they moved %.2g\n",
           name, n_steps, e.loss, e.norm, final, moved);
    CHECK(e.loss < 1e-4);
    CHECK(e.norm < 1e-3);
    CHECK(final < 1e-3);
    CHECK(moved < 1e-3);
}

/* The same numbers along other ways. */
static void check_ways(void)
{
    ath_trainer_opts opts = opts_of("lora");
    const errors plain = follow(&opts, "lora", 2);

    opts.recompute = true;
    const errors again = follow(&opts, "lora", 2);
    CHECK_BITS(&plain.loss, &again.loss, sizeof plain.loss);
    opts.recompute = false;
    opts.dtype = ATH_BF16;
    const errors half = follow(&opts, "lora", 3);
    printf("bf16: worst loss %.2g, norm %.2g\n", half.loss, half.norm);
    CHECK(half.loss > 1e-6 && half.loss < 2e-2);
    CHECK(half.norm < 0.1);
}

/* The average follows the parameters, of which the first step's are taken as they are. */
static void check_average(void)
{
    ath_trainer_opts opts = opts_of("lora");
    const char *name = "up_blocks.1.attentions.0.proj_out.lora.lora_up.weight";
    const ath_ema_opts ema = {.decay = 0.15};
    ath_trainer *t = NULL;
    feed *f = NULL;
    const float *value = NULL, *average = NULL;
    float want = 0;
    errors e = {0};

    opts.ema_decay = ema.decay;
    CHECK_OK(ATH_NEW(1, "feed", &f));
    CHECK_OK(ath_trainer_create(&opts, &t));
    CHECK_ERR(ath_trainer_value(t, "nowhere", true, &value), ATH_EMISSING);
    for (int32_t step = 0; t && step < 5; step++) {
        CHECK_OK(one_step(t, "lora", step, f, &e));
        CHECK_OK(ath_trainer_value(t, name, false, &value));
        CHECK_OK(ath_trainer_value(t, name, true, &average));
        want -= (float)(1 - ath_ema_decay(&ema, step + 1)) * (want - value[3]);
        CHECK_BITS(&want, &average[3], sizeof want);
    }
    CHECK(want != 0 && want != value[3]);
    ath_trainer_destroy(&t);
    ath_mem_free(&f);
}

/* ---- what is trained ---- */

static void count_params(const ath_trainer_opts *opts, int32_t n[2])
{
    const ath_plan_param *p = NULL;
    ath_trainer *t = NULL;

    n[0] = n[1] = 0;
    CHECK_OK(ath_trainer_create(opts, &t));
    for (int32_t i = 0; t && i < ath_trainer_params(t, &p); i++)
        n[strncmp(p[i].name, "text_model.", 11) == 0]++;
    ath_trainer_destroy(&t);
}

static void check_choice(void)
{
    ath_trainer_opts opts = opts_of("lora");
    int32_t n[2];

    opts.trains_text = false;
    count_params(&opts, n);
    CHECK_EQ(n[0], 4 * 12 * 2);
    CHECK_EQ(n[1], 0);
    opts.trains_text = true;
    opts.trains_unet = false;
    count_params(&opts, n);
    CHECK_EQ(n[0], 0);
    CHECK_EQ(n[1], 2 * 6 * 2);
    opts.clip_skip = 2;
    count_params(&opts, n);
    CHECK_EQ(n[1], 1 * 6 * 2);
}

/* ---- refusals ---- */

static void refuse(ath_trainer_opts opts, ath_err wanted, const char *part)
{
    ath_trainer *t = NULL;

    CHECK_ERR(ath_trainer_create(&opts, &t), wanted);
    CHECK(!t);
    CHECK_HAS(ath_err_text(), part);
}

static ath_err load_nothing(void *context, const ath_plan *plan, ath_weights *weights,
                            ath_slab *slab)
{
    (void)context, (void)plan, (void)weights, (void)slab;
    return ATH_OK;
}

#define REFUSE(field, value, err, part)        \
    do {                                       \
        ath_trainer_opts o_ = opts_of("lora"); \
        o_.field = (value);                    \
        refuse(o_, (err), (part));             \
    } while (0)

static void check_refusals(void)
{
    ath_trainer_opts opts = opts_of("lora");
    ath_trainer *t = NULL;
    double losses[FEED_SAMPLES];
    feed *f = NULL;

    REFUSE(dtype, ATH_F64, ATH_EDTYPE, "wanted f32 or bf16");
    REFUSE(n_chunks, 4, ATH_EINVAL, "4 chunks");
    REFUSE(clip_skip, 3, ATH_EINVAL, "clip skip is 3");
    REFUSE(beta2, 1, ATH_EINVAL, "betas");
    REFUSE(eps, 0, ATH_EINVAL, "eps");
    REFUSE(max_norm, -1, ATH_EINVAL, "max_norm");
    REFUSE(weight_decay, -1, ATH_EINVAL, "weight decay");
    REFUSE(ema_decay, 1, ATH_EINVAL, "average's decay");
    REFUSE(n_leaves_max, 0, ATH_EINVAL, "0 micro-batches");
    REFUSE(load, NULL, ATH_EINVAL, "nothing loads");
    opts.trains_unet = opts.trains_text = false;
    refuse(opts, ATH_EINVAL, "neither U-Net nor text encoder");

    opts = opts_of("lora");
    opts.load = load_nothing;
    CHECK_OK(ath_trainer_create(&opts, &t));
    if (t) CHECK_ERR(ath_trainer_prepare(t, 1, 8, 8), ATH_EMISSING);
    ath_trainer_destroy(&t);
    opts = opts_of("lora");
    CHECK_OK(ath_trainer_create(&opts, &t));
    CHECK_OK(ATH_NEW(1, "feed", &f));
    feed_make(f, 0, 0, N_SAMPLES, 1);
    f->in.ids = NULL;
    CHECK_OK(ath_trainer_begin(t, 1));
    ath_err err = ath_trainer_micro(t, 0, &f->in, losses);
    ath_trainer_step out;
    CHECK_ERR(ath_trainer_finish(t, err, &(ath_trainer_rates){0}, &out), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "no token ids");
    CHECK_ERR(ath_trainer_prepare(t, 0, 8, 8), ATH_EINVAL);
    ath_trainer_destroy(&t);
    ath_mem_free(&f);
}

/* ---- memory ends ---- */

static void check_failing_allocations(void)
{
    const ath_trainer_opts opts = opts_of("lora");
    const ath_mem_stats before = ath_mem_get_stats();
    ath_trainer *t = NULL;
    int32_t n_failed = 0, n_odd = 0;

    CHECK_OK(ath_trainer_create(&opts, &t));
    CHECK_OK(ath_trainer_prepare(t, 1, 8, 8));
    const int64_t n = ath_mem_get_stats().n_asked - before.n_asked;
    ath_trainer_destroy(&t);
    for (int64_t i = 1; i <= n; i += i < 8 ? 1 : n / 40) {
        ath_mem_fail_from(i);
        ath_err err = ath_trainer_create(&opts, &t);
        if (!err) err = ath_trainer_prepare(t, 1, 8, 8);
        ath_mem_fail_from(0);
        ath_trainer_destroy(&t);
        n_failed += err == ATH_ENOMEM;
        n_odd += err != ATH_ENOMEM;
    }
    CHECK(n_failed >= 40);
    CHECK_EQ(n_odd, 0);
    CHECK_EQ(ath_mem_get_stats().n_held, before.n_held);
}

int main(int argc, char **argv)
{
    char path[NAME];

    ATH_ASSERT(argc == 2);
    ATH_ASSERT(!ath_dist_init(1));
    snprintf(path, sizeof path, "%s/models.safetensors", argv[1]);
    ATH_ASSERT(!ath_st_open(path, &base));
    snprintf(path, sizeof path, "%s/trainer.safetensors", argv[1]);
    ATH_ASSERT(!ath_st_open(path, &truth));

    ath_test_begin("lora");
    check_truth("lora", 100);
    ath_test_begin("full");
    check_truth("full", 100);
    ath_test_begin("chunks");
    check_truth("chunks", 5);
    ath_test_begin("ways");
    check_ways();
    ath_test_begin("average");
    check_average();
    ath_test_begin("choice");
    check_choice();
    ath_test_begin("refusals");
    check_refusals();
    ath_test_begin("failing allocations");
    check_failing_allocations();
    ath_st_close(&truth);
    ath_st_close(&base);
    ath_dist_finalize();
    return ath_test_end();
}
