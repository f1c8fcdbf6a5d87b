/* A job file: what is read is what was written, what is wrong is named with its place, all of it at
 * once; printed and packed jobs are the same job; every field has help and a range, and no more. */
#include "core/io/file.h"
#include "core/mem.h"
#include "proto/job_private.h"
#include "proto/plan.pb-c.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>

enum { MANY_ERRORS = 25 };

static const char *const none = NULL;

static ath_err read(const char *text, Athanor__Job **out)
{
    return ath_job_read_text(text, strlen(text), "a/q.toml", &none, 0, out);
}

static ath_err read_set(const char *text, const char *set, Athanor__Job **out)
{
    return ath_job_read_text(text, strlen(text), "a/q.toml", &set, 1, out);
}

/* A text that must be refused, and a part of what is said. */
static void refuse(const char *text, const char *part)
{
    Athanor__Job *job = NULL;

    CHECK_ERR(read(text, &job), ATH_EJOB);
    CHECK_HAS(ath_err_text(), part);
    CHECK(job == NULL);
    ath_job_free(&job);
}

static void refuse_set(const char *set, const char *part)
{
    Athanor__Job *job = NULL;

    CHECK_ERR(read_set("data.train = 't'", set, &job), ATH_EJOB);
    CHECK_HAS(ath_err_text(), part);
    ath_job_free(&job);
}

static void check_same(const Athanor__Job *a, const Athanor__Job *b)
{
    uint8_t *x = NULL, *y = NULL;
    size_t n_x = 0, n_y = 0;

    CHECK_OK(ath_job_pack(a, &x, &n_x));
    CHECK_OK(ath_job_pack(b, &y, &n_y));
    CHECK_EQ(n_x, n_y);
    CHECK(n_x == n_y && n_x > 0 && memcmp(x, y, n_x) == 0);
    ath_mem_free(&x);
    ath_mem_free(&y);
}

static void check_round_trips(const Athanor__Job *job)
{
    Athanor__Job *printed = NULL, *unpacked = NULL;
    ath_str text = {0};
    uint8_t *bytes = NULL;
    size_t n = 0;

    ath_job_print(job, &text);
    CHECK_OK(ath_job_read_text(ath_str_text(&text), text.n, "other", &none, 0, &printed));
    if (printed) check_same(job, printed);
    CHECK_OK(ath_job_pack(job, &bytes, &n));
    CHECK_OK(ath_job_unpack(bytes, n, &unpacked));
    if (unpacked) check_same(job, unpacked);
    ath_mem_free(&bytes);
    ath_str_release(&text);
    ath_job_free(&printed);
    ath_job_free(&unpacked);
}

static void check_values(void)
{
    Athanor__Job *j = NULL;

    ath_test_begin("values");
    CHECK_OK(
        read("seed = 7\n[data]\ntrain = \"tr\\u00e4in \\\"x\\\"\\n\"\nresolution = [512, 768]\n"
             "tag_dropout = '7%'\nbuckets.no_upscale = true\n"
             "[adapter]\nkind = 'lora'\ntargets = ['text', 'unet']\n"
             "[train]\nsteps = 1500\nmixed = 'f32'\n"
             "[optimizer]\nunet_lr = 2e-4\nweight_decay = 1\nwarmup = '5%'\n"
             "[[sample]]\nprompt = 'a'\n[[sample]]\nsize = 256\ncfg = 3\n",
             &j));
    if (!j) return;
    CHECK_STR(j->name, "q");
    CHECK_EQ(j->seed, 7);
    CHECK_STR(j->data->train, "tr\xc3\xa4in \"x\"\n");
    CHECK_EQ(j->data->resolution->width, 512);
    CHECK_EQ(j->data->resolution->height, 768);
    CHECK_NEAR(j->data->tag_dropout, 0.07, 0);
    CHECK(j->data->buckets->no_upscale && j->data->buckets->enabled);
    CHECK_EQ(j->adapter->n_targets, 2);
    CHECK_EQ(j->adapter->targets[0], ATHANOR__ADAPTER__TARGET__TEXT);
    CHECK_EQ(j->adapter->targets[1], ATHANOR__ADAPTER__TARGET__UNET);
    CHECK_EQ(j->train->steps, 1500);
    CHECK_EQ(j->train->epochs, 0);
    CHECK_EQ(j->train->mixed, ATHANOR__DTYPE__F32);
    CHECK_NEAR(j->optimizer->unet_lr, 2e-4, 0);
    CHECK_NEAR(j->optimizer->weight_decay, 1, 0);
    CHECK_NEAR(j->optimizer->warmup->share, 0.05, 0);
    CHECK_EQ(j->optimizer->warmup->steps, 0);
    CHECK_EQ(j->n_sample, 2);
    CHECK_STR(j->sample[0]->prompt, "a");
    CHECK_EQ(j->sample[0]->size->width, 512);
    CHECK_EQ(j->sample[1]->size->height, 256);
    CHECK_NEAR(j->sample[1]->cfg, 3, 0);
    /* defaults */
    CHECK_EQ(j->train->micro_batch, 1);
    CHECK_EQ(j->train->clip_skip, 1);
    CHECK_NEAR(j->optimizer->beta2, 0.999, 0);
    CHECK_STR(j->data->caption_extension, ".txt");
    CHECK_EQ(j->class_images->count, 0);
    check_round_trips(j);
    ath_job_free(&j);
    CHECK(j == NULL);
    ath_job_free(&j);
}

/* Shares that are no round numbers keep their bits through the printed form. */
static void check_shares(void)
{
    ath_test_begin("shares");
    for (int i = 0; i <= 1000; i++) {
        Athanor__Job *j = NULL;
        char text[128];
        snprintf(text, sizeof text, "data.train = 't'\noptimizer.warmup = '%.*g%%'\n", 1 + i % 17,
                 i * 0.0997);
        CHECK_OK(read(text, &j));
        if (j) check_round_trips(j);
        ath_job_free(&j);
    }
}

static void check_refusals(void)
{
    ath_test_begin("refusals");
    refuse("", "a/q.toml: data.train is missing");
    refuse("x = [", "a/q.toml:1:");
    refuse("[", "not TOML");
    refuse("[[", "not TOML");
    refuse("a = \xc3\xbc", "a/q.toml:1:");
    refuse("[!a]", "a/q.toml:1:2: not TOML");
    refuse("[\r", "not TOML");
    refuse("a.", "not TOML");
    refuse("a . ", "not TOML");
    refuse("a.!", "not TOML");
    refuse("a = {!", "not TOML");
    refuse("data.train = 't'\n\n[data2]\n",
           "a/q.toml:3:2: no key \"data2\"; did you mean \"data\"?");
    refuse("[data]\ntrain = 't'\nresoltion = 512",
           "3:1: no key \"resoltion\"; did you mean \"reso");
    refuse("data.train = 't'\nshuffle_tags = true",
           "2:1: no key \"shuffle_tags\"; did you mean \"dat");
    refuse("[data]\ntrain = 't'\nxyzzy = 1", "no key \"xyzzy\" in data; athanor help job lists");
    refuse("data.train = 5", "a/q.toml:1:14: data.train: found 5, wanted a text");
    refuse("data.train = 't'\ntrain.epochs = 1.0",
           "found 1.0, wanted a whole number, 0 to 1000000");
    refuse("data.train = 't'\ntrain.epochs = -1", "found -1, wanted a whole number");
    refuse("data.train = 't'\ntrain.micro_batch = 0", "found 0, wanted a whole number, 1 to 1024");
    refuse("data.train = 't'\ntrain.tokens = 100", "75 to 225, a multiple of 75");
    refuse("data.train = 't'\ntrain.recompute = 1", "found 1, wanted true or false");
    refuse("data.train = 't'\nseed = '5'", "found \"5\", wanted a whole number");
    refuse("data.train = 't'\noptimizer.unet_lr = nan", "found nan, wanted a number");
    refuse("data.train = 't'\noptimizer.unet_lr = '5%'", "found \"5%\", wanted a number");
    refuse("data.train = 't'\noptimizer.warmup = 0.05", "found 0.05, wanted a count such as 500");
    refuse("data.train = 't'\noptimizer.warmup = '105%'", "found \"105%\"");
    refuse("data.train = 't'\noptimizer.warmup = '5%5%'", "found \"5%5%\"");
    refuse("data.train = 't'\ndata.tag_dropout = '0x1p0%'", "found \"0x1p0%\"");
    refuse("data.train = 't'\nadapter.kind = 'lroa'", "did you mean \"lora\"?");
    refuse("data.train = 't'\nadapter.kind = 'LORA'", "wanted one of \"none\", \"lora\"");
    refuse("data.train = 't'\nadapter.targets = 'unet'", "wanted any of \"unet\", \"text\"");
    refuse("data.train = 't'\nadapter.targets = ['unte']", "2:20: adapter.targets: found \"unte\"");
    refuse("data.train = 't'\ndata.resolution = [512]", "found an array of 1, wanted pixels");
    refuse("data.train = 't'\ndata.resolution = 500", "found 500, wanted pixels");
    refuse("data.train = 't'\nsample = {}", "wanted an array of tables, [[sample]]");
    refuse("data.train = 't'\n[[sample]]\nprompt = 'a'\n[[sample]]\nprompt = 'b <lora:x:1>'",
           "sample.1.prompt has \"<lora:x:1>\", which nothing here acts on");
    refuse("data.train = 't'\nsample = [1]", "found 1, wanted an array of tables");
    refuse("data.train = 't'\ntrain = 3", "found 3, wanted a table, [train]");
    refuse("data.train = 't'\nname = 2026-01-01", "found a date or time, wanted a text");
    refuse("data.train = 't'\nname = \"a\\u0000b\"", "zero byte");
    refuse("data.train = 't'\nname = 't'\nname = 'u'", "a/q.toml:3:");
    refuse("data.train = '\xff'", "not TOML");
    refuse("data.train = 't'\na={b={c={d={e={f={g={h={i={j={k={l={m={n={o={p={q={}}}}}}}}}}}}}}}}}",
           "nested more than 16 deep");
    refuse("data.train = '''t''''\na.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r = 1",
           "a/q.toml:2: a key of more than 16 parts");
}

/* What is inside a text or a comment is no key, however many dots it has. */
static void check_dots(void)
{
    static const char *const texts[] = {
        "\"................................\"",
        "'................................'",
        "\"\"\"a\n................................\"\"\"\"\"",
        "'\'\'\n................................''\'\'",
        "\"\\\"..................................\"",
        "'t' # ................................",
    };
    Athanor__Job *j = NULL;

    ath_test_begin("dots");
    CHECK_OK(read("data.train = \"\"\"a\\\n  \xc3\xbc\"\"\"", &j));
    if (j) CHECK_STR(j->data->train, "a\xc3\xbc");
    ath_job_free(&j);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[128];
        snprintf(text, sizeof text, "data.train = %s\nseed = 3\n", texts[i]);
        CHECK_OK(read(text, &j));
        if (j) CHECK_EQ(j->seed, 3);
        ath_job_free(&j);
    }
}

static void check_rules(void)
{
    ath_test_begin("rules");
    refuse("data.train = 't'\n[train]\nepochs = 1\nsteps = 5",
           "a/q.toml:4:1: train.steps is 5 and");
    refuse("data.train = 't'\ntrain.epochs = 0", "nothing would happen");
    refuse("data.train = 't'\n[train]\nmicro_batch = 3",
           "train.global_batch is 4, wanted a multiple");
    refuse("data.train = 't'\ntrain.train_unet = false\ntrain.train_text_encoder = false",
           "nothing");
    refuse("data.train = 't'\ntrain.mixed = 'f16'", "2:7: train.mixed: found \"f16\"");
    refuse("data.train = 't'\nadapter.targets = ['text']\ntrain.train_text_encoder = false",
           "adapter.targets names \"text\", but train.train_text_encoder is false");
    refuse("data.train = 't'\ndata.resolution = 128", "a side of 128 is outside the buckets");
    refuse("data.train = 't'\ndata.buckets.min = 1032",
           "is 1032, more than data.buckets.max, 1024");
    refuse("data.train = 't'\ndata.buckets.step = 32", "found 32, wanted a multiple of 64");
    refuse("data.train = 't'\ndata.buckets.enabled = false\ndata.resolution = 520",
           "data.resolution: found 520, wanted a multiple of 64");
    refuse("data.train = 't'\noptimizer.schedule = 'constant'\noptimizer.warmup = 3",
           "the schedule \"constant\" has none");
    refuse("data.train = 't'\nnoise.min_timestep = 500\nnoise.max_timestep = 500",
           "2:7: noise.min_timestep is 500");
    refuse("data.train = 't'\nclass_images.count = 5", "wants class_images.prompt");
    refuse("data.train = 't'\nclass_images.count = 5\nclass_images.prompt = 'a'",
           "class_images.count wants data.regularization");
    refuse("data.train = 't'\nadapter.targets = ['unet']\ntrain.train_unet = false",
           "adapter.targets names \"unet\", but train.train_unet is false");
    refuse("data.train = 't'\ndata.resolution = 2048", "a side of 2048 is outside the buckets");
    refuse("data.train = 't'\ndata.buckets.enabled = false\ndata.resolution = [512, 520]",
           "data.resolution: found 520, wanted a multiple of 64");
    refuse("data.train = 't'\nname = '../x'", "wanted the name of a folder");
    refuse("data.train = 't'\nname = '.x'", "wanted the name of a folder");
}

/* A value for a key, wherever it stands. */
static void put_key(const char *path, const char *value, char text[256])
{
    const bool in_sample = strncmp(path, "sample.", 7) == 0;

    snprintf(text, 256, "%s%s = %s", in_sample ? "[[sample]]\n" : "", in_sample ? path + 7 : path,
             value);
}

static void refuse_value(const char *path, const char *value, const char *found)
{
    char text[256], wanted[256];

    put_key(path, value, text);
    snprintf(wanted, sizeof wanted, "%s: found %s", path, found);
    refuse(text, wanted);
    CHECK_HAS(ath_err_text(), ", wanted ");
}

/* Each key refuses another type; each number what lies beyond either end, and beside a multiple. */
static void check_every_key(void)
{
    ath_test_begin("every key");
    for (size_t i = 0; i < ath_job_n_keys; i++) {
        const ath_job_key *key = &ath_job_keys[i];
        char value[64];
        refuse_value(key->path, "2026-01-01", "a date or time");
        if (key->min == 0 && key->max == 0) continue;
        snprintf(value, sizeof value, "%.0f", key->max + 1);
        if (key->max == 0.999999999) snprintf(value, sizeof value, "1");
        refuse_value(key->path, value, "");
        snprintf(value, sizeof value, "%.0f", floor(key->min) - 1);
        refuse_value(key->path, value, "");
        snprintf(value, sizeof value, "%.0f", key->min + 1);
        if (key->multiple > 1) refuse_value(key->path, value, value);
    }
}

static void check_all_at_once(void)
{
    Athanor__Job *job = NULL;
    ath_str text = {0};

    ath_test_begin("all at once");
    refuse("seeed = 1\n[train]\nzz = 1\nepochs = 'x'\n[data]\n", "4 things are wrong");
    const char *a = strstr(ath_err_text(), "1:1: no key \"seeed\"");
    const char *b = strstr(ath_err_text(), "3:1: no key \"zz\"");
    const char *c = strstr(ath_err_text(), "4:10: train.epochs: found \"x\"");
    const char *d = strstr(ath_err_text(), "a/q.toml: data.train is missing");
    CHECK(a && b && c && d && a < b && b < c && c < d);
    for (int i = 0; i < MANY_ERRORS; i++) ath_str_print(&text, "unknown_%d = 1\n", i);
    CHECK_ERR(read(ath_str_text(&text), &job), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "26 things are wrong");
    CHECK_HAS(ath_err_text(), "a/q.toml:20:1: no key");
    CHECK_HAS(ath_err_text(), "and 6 more");
    CHECK(strstr(ath_err_text(), "a/q.toml:21:1") == NULL);
    ath_str_release(&text);
}

static void check_sets(void)
{
    const char *const sets[] = {"train.steps=5",
                                "name = plain words",
                                "out=42",
                                "sample.0.cfg=2",
                                "sample.1.prompt=\"b\"",
                                "optimizer.warmup=50%",
                                "adapter.kind=none",
                                "data.resolution=[256,512]",
                                "seed=1",
                                "seed=2"};
    Athanor__Job *j = NULL;
    const char *text = "data.train = 't'\n[[sample]]\nprompt = 'a'\n";

    ath_test_begin("sets");
    CHECK_OK(ath_job_read_text(text, strlen(text), "q", sets, sizeof sets / sizeof *sets, &j));
    if (j) {
        CHECK_EQ(j->train->steps, 5);
        CHECK_EQ(j->train->epochs, 0);
        CHECK_STR(j->name, "plain words");
        CHECK_STR(j->out, "42");
        CHECK_EQ(j->n_sample, 2);
        CHECK_STR(j->sample[0]->prompt, "a");
        CHECK_NEAR(j->sample[0]->cfg, 2, 0);
        CHECK_STR(j->sample[1]->prompt, "b");
        CHECK_EQ(j->sample[1]->steps, 30);
        CHECK_NEAR(j->optimizer->warmup->share, 0.5, 0);
        CHECK_EQ(j->adapter->kind, ATHANOR__ADAPTER__KIND__NONE);
        CHECK_EQ(j->data->resolution->height, 512);
        CHECK_EQ(j->seed, 2);
        check_round_trips(j);
    }
    ath_job_free(&j);
    refuse_set("train.stps=5", "--set train.stps=5: no key \"stps\"; did you mean \"steps\"?");
    refuse_set("trian.steps=5", "no key \"trian\"; did you mean \"train\"?");
    refuse_set("train.steps=x", "--set train.steps=x: train.steps: found \"x\", wanted a whole");
    refuse_set("train.steps", "--set train.steps: wanted key=value");
    refuse_set("=5", "wanted key=value");
    refuse_set("train=5", "found 5, wanted a table");
    refuse_set("seed.x=5", "seed holds no keys");
    refuse_set("sample.prompt=x", "sample is an array: write sample.0.key");
    refuse_set("sample.7.prompt=x", "sample is an array");
    refuse_set("sample.0x.prompt=x", "sample is an array");
    refuse_set("train.micro_batch=3", "train.global_batch is 4, wanted a multiple");
    refuse_set("noise.min_timestep=9\nseed = 5", "--set noise.min_timestep=9");
    refuse_set("train.mixed=f16", "--set train.mixed=f16: train.mixed: found \"f16\"");
}

/* Of steps and epochs the one that a --set names wins over the file's. */
static void check_length(void)
{
    static const char *const both[] = {"train.steps=5", "train.epochs=2"};
    const char *epochs = "data.train = 't'\ntrain.epochs = 3",
               *steps = "data.train = 't'\ntrain.steps = 9";
    Athanor__Job *j = NULL;

    ath_test_begin("length");
    CHECK_OK(read_set(epochs, both[0], &j));
    if (j) CHECK(j->train->steps == 5 && j->train->epochs == 0);
    ath_job_free(&j);
    CHECK_OK(read_set(steps, both[1], &j));
    if (j) CHECK(j->train->steps == 0 && j->train->epochs == 2);
    ath_job_free(&j);
    CHECK_ERR(ath_job_read_text(steps, strlen(steps), "q", both, 2, &j), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "--set train.steps=5: train.steps is 5 and train.epochs is 2");
    CHECK_ERR(read_set(epochs, "train.epochs=0", &j), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "nothing would happen");
    CHECK(j == NULL);
}

/* Every field has its row, and numbers have a range; no row is without a field. */
static size_t count_rows(const ProtobufCMessageDescriptor *type, const char *table)
{
    char path[ATH_JOB_PATH_BYTES];
    size_t n = type->n_fields;

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        ath_job_path_of(table, f, path);
        const ath_job_key *key = ath_job_key_find(path);
        ath_job_form form = ath_job_form_of(f);
        bool is_number = form == ATH_JOB_WHOLE || form == ATH_JOB_REAL || form == ATH_JOB_AMOUNT ||
                         form == ATH_JOB_SIZE;
        ath_test_note(key && is_number == (key->min < key->max), __FILE__, __LINE__,
                      "%s: has a row, with a range where it is a number", path);
        ath_test_note(key && key->help[0] != 0 && strlen(key->help) <= 90, __FILE__, __LINE__,
                      "%s: help of one line", path);
        if (form == ATH_JOB_TABLE) n += count_rows(f->descriptor, path);
    }
    return n;
}

static void check_table(void)
{
    ath_test_begin("table");
    CHECK_EQ(count_rows(&athanor__job__descriptor, ""), ath_job_n_keys);
    for (size_t i = 0; i < ath_job_n_keys; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(ath_job_keys[i].path, ath_job_keys[k].path) != 0);
}

static void check_packed(void)
{
    Athanor__Job *j = NULL, plain = ATHANOR__JOB__INIT;
    Athanor__Train train = ATHANOR__TRAIN__INIT;
    uint8_t *bytes = NULL;
    size_t n = 0;

    ath_test_begin("packed");
    CHECK_ERR(ath_job_unpack("\xff\xff\xff", 3, &j), ATH_EFORMAT);
    CHECK_OK(ath_job_unpack("", 0, &j));
    CHECK(j && j->train && j->data->buckets && j->optimizer->warmup);
    if (j) CHECK_EQ(j->train->clip_skip, 1);
    ath_job_free(&j);
    plain.train = &train;
    train.has_clip_skip = true;
    train.clip_skip = 13;
    CHECK_OK(ath_job_pack(&plain, &bytes, &n));
    CHECK_ERR(ath_job_unpack(bytes, n, &j), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "train.clip_skip is 13, wanted 1 to 12");
    ath_mem_free(&bytes);
    train.has_clip_skip = false;
    train.has_mixed = true;
    train.mixed = (Athanor__Dtype)77;
    CHECK_OK(ath_job_pack(&plain, &bytes, &n));
    CHECK_ERR(ath_job_unpack(bytes, n, &j), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "train.mixed is 77, which this version does not know");
    ath_mem_free(&bytes);
    CHECK(j == NULL);
}

/* The n-th allocation fails, for all n: ENOMEM, and nothing is left behind. */
static void check_memory(void)
{
    const char *text = "data.train = 't'\ndata.tag_dropout = '5%'\n[[sample]]\nprompt = 'a'\n";
    ath_mem_stats before = ath_mem_get_stats();
    Athanor__Job *j = NULL;
    ath_err err = ATH_ENOMEM;
    int n = 1;

    ath_test_begin("memory");
    for (; err && n < 2000; n++) {
        ath_mem_fail_from(n);
        err = read_set(text, "sample.1.prompt=b", &j);
        ath_mem_fail_from(0);
        if (err) CHECK_EQ(err, ATH_ENOMEM);
        ath_job_free(&j);
        CHECK_EQ(ath_mem_get_stats().n_held, before.n_held);
    }
    CHECK(err == ATH_OK && n > 5);
    err = ATH_ENOMEM;
    for (n = 1; err == ATH_ENOMEM && n < 2000; n++) {
        ath_mem_fail_from(n);
        err = read_set("seeed = 1", "x=5", &j);
        ath_mem_fail_from(0);
        CHECK_EQ(ath_mem_get_stats().n_held, before.n_held);
    }
    CHECK_EQ(err, ATH_EJOB);
}

static void check_examples(void)
{
    static const char *const paths[] = {"examples/lora-style.toml",
                                        "examples/dreambooth-person.toml", "examples/full.toml"};
    Athanor__Job *j = NULL;

    ath_test_begin("examples");
    for (int i = 0; i < 3; i++) {
        CHECK_OK(ath_job_read(paths[i], &none, 0, &j));
        if (j) check_round_trips(j);
        ath_job_free(&j);
    }
    CHECK_ERR(ath_job_read("examples/none.toml", &none, 0, &j), ATH_EMISSING);
}

/* `make golden` sets ATH_GOLDEN=write and reviews the difference. */
static void check_page(const char *path)
{
    const char *mode = getenv("ATH_GOLDEN");
    ath_str page = {0};
    char *golden = NULL;
    size_t n = 0;

    ath_test_begin("docs/job.md is of this schema");
    ath_job_help(ATH_JOB_MARKDOWN, &page);
    CHECK_OK(ath_str_check(&page));
    if (mode && strcmp(mode, "write") == 0) CHECK_OK(ath_file_publish(path, page.text, page.n));
    CHECK_OK(ath_file_read(path, 1 << 20, &golden, &n));
    if (golden) CHECK_STR(ath_str_text(&page), golden);
    ath_mem_free(&golden);
    ath_str_release(&page);
    ath_job_help(ATH_JOB_PLAIN, &page);
    for (size_t i = 0; i < ath_job_n_keys; i++)
        CHECK_HAS(ath_str_text(&page), ath_job_keys[i].help);
    ath_str_release(&page);
}

/* What another job has other than a run's. */
static ath_err note_change(void *text, const char *key, const char *was, const char *is)
{
    ath_str_print(text, "%s%s: %s, %s\n", ath_job_is_free(key) ? "" : "! ", key, was, is);
    return ATH_OK;
}

static void check_changes(void)
{
    static const char was[] = "name = 'a'\n[model]\nbase = 'm'\n[data]\ntrain = 't'\n"
                              "[train]\nsteps = 5\n[[sample]]\nprompt = 'x'\n";
    static const char *const sets[] = {"train.steps=6", "save.keep=3", "data.train=u",
                                       "train.rollback_rate=0"};
    Athanor__Job *a = NULL, *b = NULL;
    ath_str text = {0};

    ath_test_begin("changes");
    CHECK_OK(ath_job_read_text(was, sizeof was - 1, "a.toml", NULL, 0, &a));
    CHECK_OK(ath_job_read_text(was, sizeof was - 1 - sizeof "[[sample]]\nprompt = 'x'\n" + 1,
                               "a.toml", sets, 4, &b));
    if (a && b) {
        CHECK_OK(ath_job_changes(a, a, note_change, &text));
        CHECK(text.n == 0);
        CHECK_OK(ath_job_changes(a, b, note_change, &text));
        CHECK_HAS(ath_str_text(&text), "! data.train: \"t\", \"u\"\n");
        CHECK_HAS(ath_str_text(&text), "! train.steps: 5, 6\n");
        CHECK_HAS(ath_str_text(&text), "\nsave.keep: 2, 3\n");
        CHECK_HAS(ath_str_text(&text), "\ntrain.rollback_rate: 0.5, 0.0\n");
        CHECK_HAS(ath_str_text(&text), "\nsample: \n[[sample]]\nprompt = \"x\"");
    }
    CHECK(!ath_job_is_free("saves") && !ath_job_is_free("name") && ath_job_is_free("save.dtype"));
    ath_str_release(&text);
    ath_job_free(&a);
    ath_job_free(&b);
}

/* What the coordinator tells the ranks survives the way. */
static void check_messages(void)
{
    uint32_t samples[] = {2, 1}, image[] = {5, 70000, 3};
    uint64_t seeds[] = {1, UINT64_MAX, 0};
    Athanor__Epoch epoch = ATHANOR__EPOCH__INIT, *epoch2 = NULL;
    ProtobufCMessage *m = NULL;
    uint8_t *bytes = NULL;
    size_t n = 0;

    ath_test_begin("messages");
    epoch.n_micro_samples = 2;
    epoch.micro_samples = samples;
    epoch.n_image = 3;
    epoch.image = image;
    epoch.n_caption_seed = 3;
    epoch.caption_seed = seeds;
    CHECK_OK(ath_message_pack(&epoch.base, &bytes, &n));
    CHECK_OK(ath_message_unpack(&athanor__epoch__descriptor, bytes, n, &m));
    epoch2 = (Athanor__Epoch *)m;
    CHECK(epoch2 && epoch2->n_image == 3 && epoch2->n_caption_seed == 3);
    if (epoch2) CHECK_BITS(epoch2->image, image, sizeof image);
    if (epoch2) CHECK_BITS(epoch2->caption_seed, seeds, sizeof seeds);
    ath_message_drop(m);
    ath_mem_free(&bytes);
    CHECK_ERR(ath_message_unpack(&athanor__plan__descriptor, "\x0a\xff", 2, &m), ATH_EFORMAT);
}

int main(void)
{
    check_table();
    check_values();
    check_shares();
    check_refusals();
    check_dots();
    check_rules();
    check_every_key();
    check_all_at_once();
    check_sets();
    check_length();
    check_packed();
    check_memory();
    check_examples();
    check_page("docs/job.md");
    check_messages();
    check_changes();
    return ath_test_end();
}
