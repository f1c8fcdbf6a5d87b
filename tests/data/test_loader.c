/*
 * From a folder of pictures to micro-batches, on the tiny model: the same bits on any number of ranks;
 * weights of a step sum to one; everything drawn at random follows its key and nothing else; a mirrored
 * use reads the latent of the mirrored picture; latents are made once, again where a picture or the
 * cache was changed, and a NaN names its picture; what cannot be read is told in its place.
 *
 *     test_loader RANKS     starts itself RANKS times; rank 0 writes a digest that must not depend on
 *                           RANKS (run.sh compares)
 */
#include "coordinator/wire.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "core/text/prompt.h"
#include "proto/job.h"
#include "proto/message.h"
#include "tests/data_folder.h"
#include "tests/harness.h"
#include "worker/data/loader.h"
#include "worker/dist/dist.h"
#include "worker/dist/tree.h"
#include "worker/model/init.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static ath_data_folder data;
static ath_init *init;
static int n_made, n_encoded;

/* A job with its plan. */
typedef struct set {
    Athanor__Job *job;
    ath_scan scan;
    ath_budget *budget;
    ProtobufCMessage *plan, *epoch;
} set;

static const Athanor__Plan *plan_of(const set *s)
{
    return (const Athanor__Plan *)(const void *)s->plan;
}

static const Athanor__Epoch *epoch_of(const set *s)
{
    return (const Athanor__Epoch *)(const void *)s->epoch;
}

static void make_epoch(set *s, int64_t epoch)
{
    uint8_t *bytes = NULL;
    size_t n = 0;

    ath_message_drop(s->epoch);
    s->epoch = NULL;
    CHECK_OK(ath_epoch_pack(s->budget, s->job, epoch, &bytes, &n));
    CHECK_OK(ath_message_unpack(&athanor__epoch__descriptor, bytes, n, &s->epoch));
    ath_mem_free(&bytes);
}

static void make_set(const char *const *sets, int n_sets, set *s)
{
    char text[1024];
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    const int n =
        snprintf(text, sizeof text,
                 "seed = 7\n[model]\nbase = \"b\"\nspec = \"tiny\"\n[data]\ntrain = \"%s/t\"\n"
                 "cache = \"%s/cache\"\nresolution = 64\n[data.buckets]\nmin = 64\nmax = 128\n"
                 "[train]\nepochs = 2\nmicro_batch = 2\nglobal_batch = 6\n",
                 data.path, data.path);

    *s = (set){0};
    CHECK_OK(ath_job_read_text(text, (size_t)n, "x.toml", (const char **)(uintptr_t)sets, n_sets,
                               &s->job));
    CHECK_OK(ath_scan_job(s->job, &s->scan));
    const ath_budget_rule rule = ath_budget_rule_of(s->job);
    CHECK_OK(ath_budget_create(&s->scan, &rule, &s->budget));
    CHECK_OK(ath_budget_pack(s->budget, s->job, &bytes, &n_bytes));
    CHECK_OK(ath_message_unpack(&athanor__plan__descriptor, bytes, n_bytes, &s->plan));
    ath_mem_free(&bytes);
    make_epoch(s, 0);
}

static void release_set(set *s)
{
    ath_message_drop(s->epoch);
    ath_message_drop(s->plan);
    ath_budget_destroy(&s->budget);
    ath_scan_release(&s->scan);
    ath_job_free(&s->job);
}

/* ---- the model ---- */

static ath_err load(void *is_broken, const ath_plan *plan, ath_weights *weights)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_plan_frozen(plan, &p);
    float *nans = NULL;
    ath_err err = ATH_OK;

    for (int32_t i = 0; i < n; i++) {
        ath_st_tensor t;
        if (ath_weights_has(weights, p[i].name)) continue;
        ATH_TRY_OUT(ath_init_find(init, ATH_PART_VAE, p[i].name, &t));
        ATH_TRY_OUT(ATH_NEW(t.bytes / 4, "test", &nans));
        for (size_t k = 0; k < t.bytes / 4; k++) nans[k] = NAN;
        ATH_TRY_OUT(
            ath_weights_put(weights, p[i].name, p[i].desc, ATH_F32, is_broken ? nans : t.data));
        ath_mem_free(&nans);
    }
out:
    ath_mem_free(&nans);
    return err;
}

static void count(void *context, int64_t done, int64_t n)
{
    (void)context;
    (void)done;
    (void)n;
    n_encoded++;
}

static ath_latents_opts latents_opts(const set *s)
{
    return (ath_latents_opts){.spec = ath_vae_tiny,
                              .vae = {1, 2},
                              .backend = ATH_CPU,
                              .n_threads = 1,
                              .folder = s->job->data->cache,
                              .plan = plan_of(s),
                              .mirrored = s->job->data->flip,
                              .random_crop = s->job->data->random_crop,
                              .load = load,
                              .progress = count};
}

/* States that are a function of the ids. */
static ath_err states_of(void *context, const int32_t *ids, float *states)
{
    const int n = 77 * ath_text_tiny.width;

    (void)context;
    n_made++;
    for (int i = 0; i < n; i++) states[i] = (float)ids[i % ATH_CHUNK] + (float)i * 0.5f;
    return ATH_OK;
}

static ath_loader_opts loader_opts(const set *s, ath_latents *latents)
{
    return (ath_loader_opts){.job = s->job,
                             .plan = plan_of(s),
                             .spec = &ath_model_tiny,
                             .latents = latents,
                             .states = states_of,
                             .n_ahead = 2};
}

/* ---- micro-batches ---- */

static ath_hash digest_of(const ath_micro_in *in)
{
    const size_t n = (size_t)in->n, count_x = n * (size_t)in->height * (size_t)in->width *
                                              (size_t)ath_vae_tiny.latents;
    const ath_hash all[] = {
        ath_hash_of(&in->n, 3 * sizeof in->n),
        ath_hash_of(in->x, count_x * sizeof(float)),
        ath_hash_of(in->target, count_x * sizeof(float)),
        ath_hash_of(in->time, n * sizeof(float)),
        ath_hash_of(in->weight, n * sizeof(float)),
        ath_hash_of(in->ids, n * ATH_CHUNK * sizeof(int32_t)),
        in->states
            ? ath_hash_of(in->states, n * ATH_CHUNK * (size_t)ath_text_tiny.width * sizeof(float))
            : (ath_hash){0},
    };
    return ath_hash_of(all, sizeof all);
}

enum { MICROS_MAX = 256 };

/* What a rank took of a step, and what all took. */
typedef struct taken {
    double own[5 * MICROS_MAX], all[5 * MICROS_MAX]; /* four words of the digest; weights' sum */
    int n;
} taken;

static void take_step(ath_loader *loader, const set *s, int64_t step, taken *t)
{
    const int64_t by = (int64_t)plan_of(s)->micros_per_step;
    const int64_t n_all = (int64_t)epoch_of(s)->n_micro_samples - step * by;
    const int32_t n = (int32_t)(n_all < by ? n_all : by);
    const int32_t first = ath_tree_cut(n, ath_dist_size(), ath_dist_rank());
    const int32_t end = ath_tree_cut(n, ath_dist_size(), ath_dist_rank() + 1);
    const ath_loaded *loaded = NULL;

    t->n = n;
    for (int32_t i = first; i < end; i++) {
        double *to = t->own + 5 * (i - first);
        CHECK_OK(ath_loader_take(loader, &loaded));
        const ath_hash d = digest_of(&loaded->in);
        to[0] = (double)(uint32_t)d.lo;
        to[1] = (double)(d.lo >> 32);
        to[2] = (double)(uint32_t)d.hi;
        to[3] = (double)(d.hi >> 32);
        to[4] = 0;
        for (int32_t k = 0; k < loaded->in.n; k++) to[4] += (double)loaded->in.weight[k];
    }
    CHECK_OK(ath_dist_gather(t->own, 5 * (int64_t)(end - first), t->all, 5 * (int64_t)n));
}

/* All epochs of a set; the digest of all its micro-batches. */
static ath_hash run(set *s, ath_latents *latents, bool has_states)
{
    static taken t;
    ath_loader_opts opts = loader_opts(s, latents);
    ath_loader *loader = NULL;
    ath_hash digest = {0};
    const ath_loaded *none = NULL;

    if (!has_states) opts.states = NULL;
    CHECK_OK(ath_loader_create(&opts, &loader));
    for (uint64_t e = 0; loader && e < plan_of(s)->epochs; e++) {
        make_epoch(s, (int64_t)e);
        const int64_t n = (int64_t)(plan_of(s)->first_step[e + 1] - plan_of(s)->first_step[e]);
        /* steps without work for this rank: the thread is not left with the epoch */
        CHECK_OK(ath_loader_begin(loader, epoch_of(s), n, n));
        CHECK_OK(ath_loader_begin(loader, epoch_of(s), 0, n));
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            take_step(loader, s, i, &t);
            for (int k = 0; k < t.n; k++) sum += t.all[5 * k + 4];
            CHECK_NEAR(sum, 1, 1e-6);
            const ath_hash both[] = {digest, ath_hash_of(t.all, (size_t)t.n * 5 * sizeof(double))};
            digest = ath_hash_of(both, sizeof both);
        }
        CHECK_ERR(ath_loader_take(loader, &none), ATH_ECANCELED);
    }
    ath_loader_destroy(&loader);
    return digest;
}

static ath_hash run_with(const char *const *sets, int n_sets, bool has_states)
{
    ath_latents *latents = NULL;
    ath_hash digest = {0};
    set s;

    make_set(sets, n_sets, &s);
    const ath_latents_opts opts = latents_opts(&s);
    CHECK_OK(ath_latents_create(&opts, &latents));
    if (latents) digest = run(&s, latents, has_states);
    ath_latents_destroy(&latents);
    release_set(&s);
    return digest;
}

static void print(const char *name, ath_hash digest)
{
    char text[ATH_HASH_TEXT];

    if (ath_dist_rank() == 0) printf("digest %s %s\n", name, ath_hash_print(digest, text));
}

static void check_ranks(void)
{
    static const char *const rich[] = {"data.flip=true",          "data.shuffle_tags=true",
                                       "data.tag_dropout=0.3",    "data.caption_dropout=0.2",
                                       "noise.offset=0.1",        "noise.pyramid_iterations=3",
                                       "train.v_prediction=true", "data.trigger=sks"};
    static const char *const cut[] = {"data.random_crop=true", "train.short_batch=share"};
    static const char *const seeds[] = {"seed=8"};

    ath_test_begin("ranks");
    const ath_hash plain = run_with(NULL, 0, true), again = run_with(NULL, 0, true);
    CHECK(ath_hash_is_equal(plain, again));
    CHECK(!ath_hash_is_equal(plain, run_with(seeds, 1, true)));
    print("plain", plain);
    print("rich", run_with(rich, 8, true));
    print("text", run_with(rich, 8, false));
    print("cut", run_with(cut, 2, true));
}

/* ---- one rank ---- */

static void put_picture(const char *name, int32_t width, int32_t height, bool mirrored)
{
    char path[ATH_TEST_PATH];
    ath_image image = {.width = width, .height = height};

    CHECK_OK(ATH_NEW(width * height * 3, "test", &image.rgb));
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++)
                image.rgb[(y * width + (mirrored ? width - 1 - x : x)) * 3 + c] =
                    (uint8_t)(3 * x + 2 * y + 40 * c);
    CHECK_OK(ath_png_write(ath_data_path(&data, name, path), &image, NULL, NULL));
    ath_image_release(&image);
}

static int encode_all(ath_latents **out, const set *s)
{
    const ath_latents_opts opts = latents_opts(s);

    n_encoded = 0;
    ath_latents_destroy(out);
    CHECK_OK(ath_latents_create(&opts, out));
    return n_encoded;
}

/* Changes one bit in the middle of every file of the cache. */
static void damage_cache(void)
{
    char path[2 * ATH_TEST_PATH], *bytes = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/cache", data.path);
    DIR *dir = opendir(path);

    for (const struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/cache/%.200s", data.path, d->d_name);
        CHECK_OK(ath_file_read(path, 1 << 24, &bytes, &n));
        bytes[n / 2] ^= 1;
        CHECK_OK(ath_file_publish(path, bytes, n));
        ath_mem_free(&bytes);
    }
    if (dir) closedir(dir);
}

static void check_latents(void)
{
    static const char *const flips[] = {"data.flip=true"};
    ath_latents *latents = NULL;
    const float *a = NULL, *b = NULL;
    set s;

    ath_test_begin("latents");
    put_picture("t/1_x/a.png", 64, 64, false);
    put_picture("t/1_x/b.png", 64, 64, true);
    make_set(flips, 1, &s);
    CHECK_EQ(encode_all(&latents, &s), 4);
    CHECK_EQ(encode_all(&latents, &s), 0);
    const int32_t side = 64 / ath_latents_scale(latents);
    const size_t n = (size_t)(side * side * 2 * ath_vae_tiny.latents);
    float *first = NULL;
    CHECK_OK(ATH_NEW(n, "test", &first));
    CHECK_OK(ath_latents_find(latents, 0, true, NULL, &a));
    CHECK_OK(ath_latents_find(latents, 1, false, NULL, &b));
    CHECK_BITS(a, b, n * sizeof *a);
    CHECK_OK(ath_latents_find(latents, 0, false, NULL, &b));
    CHECK(memcmp(a, b, n * sizeof *a) != 0);
    memcpy(first, a, n * sizeof *a);
    damage_cache();
    CHECK(encode_all(&latents, &s) > 0);
    CHECK_OK(ath_latents_find(latents, 0, true, NULL, &a));
    CHECK_BITS(a, first, n * sizeof *a);
    put_picture("t/1_x/a.png", 64, 64, true); /* edited: now as b, whose latents are there */
    CHECK_EQ(encode_all(&latents, &s), 0);
    put_picture("t/1_x/a.png", 70, 64, false);
    CHECK_EQ(encode_all(&latents, &s), 2);
    ath_mem_free(&first);

    ath_latents_opts broken = latents_opts(&s);
    ath_latents *none = NULL;
    broken.vae.lo = 9;
    broken.load_context = &s;
    CHECK_ERR(ath_latents_create(&broken, &none), ATH_ENAN);
    CHECK_HAS(ath_err_text(), "a.png: what the autoencoder says of it is not finite");
    broken = latents_opts(&s);
    broken.vae.lo = 10;
    ath_err err = ATH_ENOMEM;
    for (int at = 1; at < 20000 && err; at += 1 + at / 4) {
        ath_mem_fail_from(at);
        err = ath_latents_create(&broken, &none);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && !none));
    }
    CHECK_OK(err);
    ath_latents_destroy(&none);
    ath_latents_destroy(&latents);
    release_set(&s);
}

static void check_kept_states(void)
{
    ath_latents *latents = NULL;
    ath_loader *loader = NULL;
    set s;

    ath_test_begin("states kept from run to run");
    make_set(NULL, 0, &s);
    encode_all(&latents, &s);
    ath_loader_opts opts = loader_opts(&s, latents);
    opts.text.lo = 5;
    for (int i = 0; i < 2; i++) {
        n_made = 0;
        CHECK_OK(ath_loader_create(&opts, &loader));
        CHECK(i ? n_made == 0 : n_made > 0);
        n_made = 0;
        const ath_loaded *loaded = NULL;
        CHECK_OK(ath_loader_begin(loader, epoch_of(&s), 0, 1));
        CHECK_ERR(ath_loader_begin(loader, epoch_of(&s), 0, 1), ATH_EINVAL);
        CHECK_OK(ath_loader_take(loader, &loaded));
        float *want = NULL;
        CHECK_OK(ATH_NEW(ATH_CHUNK * ath_text_tiny.width, "test", &want));
        CHECK_EQ(n_made, 0);
        CHECK_OK(states_of(NULL, loaded->in.ids, want));
        CHECK_BITS(loaded->in.states, want, ATH_CHUNK * (size_t)ath_text_tiny.width * sizeof *want);
        ath_mem_free(&want);
        ath_loader_destroy(&loader); /* with micro-batches on their way */
    }
    ath_latents_destroy(&latents);
    release_set(&s);
}

static void check_errors(void)
{
    static const char *const cut[] = {"data.random_crop=true"};
    char path[ATH_TEST_PATH];
    ath_latents *latents = NULL;
    ath_loader *loader = NULL;
    const ath_loaded *loaded = NULL;
    ath_err err = ATH_OK;
    set s;

    ath_test_begin("a picture that is gone");
    make_set(cut, 1, &s);
    CHECK_EQ(encode_all(&latents, &s), 0);
    const ath_loader_opts opts = loader_opts(&s, latents);
    CHECK_OK(ath_loader_create(&opts, &loader));
    CHECK_ERR(ath_loader_begin(loader, epoch_of(&s), 0, 100), ATH_EINVAL);
    unlink(ath_data_path(&data, "t/1_x/a.png", path));
    CHECK_OK(ath_loader_begin(loader, epoch_of(&s), 0, 1));
    for (int i = 0; i < 3 && !err; i++) err = ath_loader_take(loader, &loaded);
    CHECK(err == ATH_EMISSING || err == ATH_EIO);
    CHECK_HAS(ath_err_text(), "a.png");
    ath_loader_destroy(&loader);
    ath_latents_destroy(&latents);
    release_set(&s);

    ath_test_begin("no memory");
    put_picture("t/1_x/a.png", 64, 64, false);
    make_set(NULL, 0, &s);
    encode_all(&latents, &s);
    err = ATH_ENOMEM;
    for (int n = 1; n < 2000 && err; n += 1 + n / 8) {
        const ath_loader_opts plain = loader_opts(&s, latents);
        ath_mem_fail_from(n);
        err = ath_loader_create(&plain, &loader);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
    }
    CHECK_OK(err);
    ath_loader_destroy(&loader);
    ath_latents_destroy(&latents);
    release_set(&s);
}

/* Two shapes, a short last micro-batch, captions of several tags. */
static void make_folder(void)
{
    char name[64], text[64];

    for (uint32_t i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "t/%d_x/p%u.png", i < 5 ? 2 : 1, i);
        CHECK_OK(ath_data_put_picture(&data, name, i % 3 ? 70 : 64, i % 3 ? 75 : 130, i));
        snprintf(name, sizeof name, "t/%d_x/p%u.txt", i < 5 ? 2 : 1, i);
        snprintf(text, sizeof text, "cat %u, red, on a mat, outside", i);
        CHECK_OK(ath_data_put_text(&data, name, text));
    }
}

int main(int n_args, char **args)
{
    if (n_args < 2) return 2;
    if (ath_dist_init((int32_t)strtol(args[1], NULL, 10))) {
        puts(ath_err_text());
        return 1;
    }
    CHECK_OK(ath_init_create(&ath_model_tiny, 1, ATH_ST_F32, &init));
    if (ath_dist_rank() == 0) {
        CHECK_OK(ath_data_folder_make(&data));
        make_folder();
    }
    CHECK_OK(ath_dist_share(&data, sizeof data));
    check_ranks();
    CHECK_OK(ath_dist_barrier());
    if (ath_dist_rank() == 0) ath_data_folder_remove(&data);
    if (ath_dist_size() == 1) {
        CHECK_OK(ath_data_folder_make(&data));
        check_latents();
        check_kept_states();
        check_errors();
        ath_data_folder_remove(&data);
    }
    ath_init_destroy(&init);
    ath_dist_finalize();
    return ath_test_end();
}
