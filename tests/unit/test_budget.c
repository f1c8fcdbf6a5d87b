/*
 * The budget: every image exactly as often as its repeats in every epoch; regularization as much as
 * training, its pictures in turn; micro-batches of one shape, short ones only at the end of a bucket;
 * steps by the formula; shards of any rank count tile the list; the same on every call, another with
 * another seed, name or caption.
 */
#include "coordinator/budget.h"
#include "core/mem.h"
#include "tests/harness.h"

enum { MAX_IMAGES = 512 };

/* A data set made of nothing but its index. */
typedef struct made {
    ath_scan scan;
    ath_scan_folder folder[8];
    ath_scan_image image[MAX_IMAGES];
    char name[MAX_IMAGES][16];
} made;

static const ath_size shapes[] = {{512, 512}, {800, 600}, {600, 800}, {1920, 1080}, {640, 640}};

static void put_folder(made *m, const char *name, int32_t repeats, int64_t n, bool is_reg)
{
    ath_scan_folder *f = &m->folder[m->scan.n_folders];

    *f = (ath_scan_folder){name, name, name, repeats, is_reg, m->scan.n_images, n};
    for (int64_t i = 0; i < n; i++) {
        int64_t at = m->scan.n_images++;
        snprintf(m->name[at], sizeof m->name[at], "%" PRId64 ".png", at);
        m->image[at] = (ath_scan_image){.path = m->name[at],
                                        .name = m->name[at],
                                        .folder = m->scan.n_folders,
                                        .caption = "a dog"};
        m->image[at].width = shapes[at * 7 % 5].width;
        m->image[at].height = shapes[at * 7 % 5].height;
    }
    m->scan.n_folders++;
    m->scan.folder = m->folder;
    m->scan.image = m->image;
    m->scan.root = "train";
}

static const ath_budget_rule plain = {.seed = 42,
                                      .n_epochs = 3,
                                      .micro_batch = 4,
                                      .global_batch = 16,
                                      .buckets = {{512, 512}, false, false, 256, 1024, 64}};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* What every epoch must keep. `uses` counts each image, over all epochs. */
static void check_epoch(const ath_budget *b, int64_t epoch, int64_t *uses)
{
    ath_epoch e = {0};
    int64_t n_micros = 0, at = 0, n_of[64] = {0}, n_short[64] = {0}, here[MAX_IMAGES] = {0};
    static bool seen[1 << 16];

    memset(seen, 0, sizeof seen);
    CHECK_OK(ath_epoch_make(b, epoch, &e));
    CHECK_EQ(e.n_samples, b->n_train + b->n_reg);
    for (int64_t i = 0; i < e.n_micros; i++) {
        const ath_micro *m = &e.micro[i];
        CHECK(m->n >= 1 && m->n <= b->rule.micro_batch);
        n_short[m->bucket] += m->n < b->rule.micro_batch;
        n_of[m->bucket] += m->n;
        at += m->n;
        for (int64_t k = m->first; k < m->first + m->n; k++) {
            const ath_sample s = e.sample[k];
            CHECK_EQ(b->bucket_of[s.image], m->bucket);
            CHECK(!seen[s.id] && s.id < e.n_samples);
            seen[s.id] = true;
            here[s.image]++;
            bool is_reg = b->scan->folder[b->scan->image[s.image].folder].is_reg;
            CHECK(is_reg == (s.id >= b->n_train));
        }
    }
    CHECK_EQ(at, e.n_samples);
    for (int64_t i = 0; i < b->n_buckets; i++) {
        CHECK(n_short[i] <= 1);
        n_micros += ceil_div(n_of[i], b->rule.micro_batch);
    }
    CHECK_EQ(e.n_micros, n_micros);
    CHECK_EQ(e.n_steps, ceil_div(n_micros, b->rule.global_batch / b->rule.micro_batch));
    for (int64_t i = 0; i < b->scan->n_images; i++) {
        const ath_scan_folder *f = &b->scan->folder[b->scan->image[i].folder];
        if (!f->is_reg) CHECK_EQ(here[i], f->repeats);
        uses[i] += here[i];
    }
    ath_epoch_release(&e);
}

/* Steps tile the list, ranks tile the steps, and what the ranks share is all there is. */
static void check_shards(const ath_budget *b, int64_t n_ranks)
{
    ath_epoch e = {0};
    ath_share share[8];
    int64_t at = 0, n_train = 0, n_reg = 0, image = 0, n_micros = 0;

    CHECK_OK(ath_epoch_make(b, 1, &e));
    for (int64_t step = 0; step < e.n_steps; step++) {
        ath_span all = ath_epoch_step(&e, step);
        CHECK_EQ(all.first, at);
        CHECK(all.n >= 1 && all.n <= e.micros_per_step);
        for (int64_t rank = 0; rank < n_ranks; rank++) {
            ath_span run = ath_epoch_shard(&e, step, rank, n_ranks);
            CHECK_EQ(run.first, at);
            CHECK(run.n >= all.n / n_ranks && run.n <= ceil_div(all.n, n_ranks));
            at += run.n;
        }
    }
    CHECK_EQ(at, e.n_micros);
    CHECK_OK(ath_budget_share(b, &e, n_ranks, share));
    for (int64_t rank = 0; rank < n_ranks; rank++) {
        n_train += share[rank].n_train;
        n_reg += share[rank].n_reg;
        n_micros += share[rank].n_micros;
        CHECK_EQ(share[rank].first_image, image);
        image += share[rank].n_images;
    }
    CHECK_EQ(n_train, b->n_train);
    CHECK_EQ(n_reg, b->n_reg);
    CHECK_EQ(n_micros, e.n_micros);
    CHECK_EQ(image, b->scan->n_images);
    ath_epoch_release(&e);
}

/* reg x repeats: more than training, fewer, equal, none. */
static void check_properties(void)
{
    static const struct {
        int32_t repeats;
        int64_t n;
    } reg[] = {{0, 0}, {1, 300}, {3, 7}, {1, 67}, {2, 60}};
    static made m;

    for (size_t i = 0; i < sizeof reg / sizeof *reg; i++) {
        ath_budget *b = NULL;
        int64_t uses[MAX_IMAGES] = {0};
        int64_t low = INT64_MAX, high = 0, n_epochs = 9;

        ath_test_begin("properties");
        memset(&m, 0, sizeof m);
        put_folder(&m, "5_dog", 5, 11, false);
        put_folder(&m, "2_cat", 2, 6, false);
        if (reg[i].n) put_folder(&m, "reg", reg[i].repeats, reg[i].n, true);
        CHECK_OK(ath_budget_create(&m.scan, &plain, &b));
        CHECK_EQ(b->n_train, 67);
        CHECK_EQ(b->n_reg, reg[i].n ? 67 : 0);
        for (int64_t e = 0; e < n_epochs; e++) check_epoch(b, e, uses);
        for (int64_t k = 17; k < m.scan.n_images; k++) {
            low = uses[k] < low ? uses[k] : low;
            high = uses[k] > high ? uses[k] : high;
        }
        /* each slot of an image is used equally often, give or take one */
        if (reg[i].n) CHECK(high - low <= reg[i].repeats);
        if (reg[i].n) CHECK_EQ(low > 0, 67 * n_epochs >= reg[i].n * reg[i].repeats);
        for (int64_t n_ranks = 1; n_ranks <= 8; n_ranks++) check_shards(b, n_ranks);
        ath_budget_destroy(&b);
    }
}

/* One shape, everything divides: the formula of the field; with train.steps; with tails. */
static void check_steps(void)
{
    static made m;
    ath_budget *b = NULL;
    ath_budget_rule rule = plain;

    ath_test_begin("steps");
    memset(&m, 0, sizeof m);
    put_folder(&m, "8_dog", 8, 10, false);
    put_folder(&m, "reg", 1, 20, true);
    for (int i = 0; i < MAX_IMAGES; i++) m.image[i].width = m.image[i].height = 512;
    rule.n_epochs = 10;
    CHECK_OK(ath_budget_create(&m.scan, &rule, &b));
    CHECK_EQ(b->n_buckets, 1);
    CHECK_EQ(b->n_steps, 10 * (8 * 10) * 2 / 4 / 4);
    CHECK_EQ(b->n_samples, 1600);
    ath_budget_destroy(&b);
    rule.n_steps = 37;
    CHECK_OK(ath_budget_create(&m.scan, &rule, &b));
    CHECK_EQ(b->n_steps, 37);
    CHECK_EQ(b->n_epochs, 4);
    CHECK_EQ(b->first_step[3], 30);
    CHECK_EQ(b->first_step[4], 37);
    CHECK_EQ(b->n_samples, 37 * 16);
    ath_budget_destroy(&b);
    rule.n_steps = 0;
    rule.micro_batch = rule.global_batch = 3;
    CHECK_OK(ath_budget_create(&m.scan, &rule, &b));
    CHECK_EQ(b->n_steps, 10 * 54);
    CHECK_EQ(b->n_samples, 1600);
    ath_budget_destroy(&b);
}

/* Two budgets of the same are the same; epochs differ from each other and come out in any order. */
static void check_pure(void)
{
    static made m;
    ath_budget *a = NULL, *b = NULL;
    ath_epoch x = {0}, y = {0};
    ath_budget_rule other = plain;

    ath_test_begin("pure");
    memset(&m, 0, sizeof m);
    put_folder(&m, "5_dog", 5, 40, false);
    put_folder(&m, "reg", 1, 50, true);
    CHECK_OK(ath_budget_create(&m.scan, &plain, &a));
    CHECK_OK(ath_budget_create(&m.scan, &plain, &b));
    CHECK(ath_hash_is_equal(a->hash, b->hash));
    CHECK_OK(ath_epoch_make(a, 2, &x));
    CHECK_OK(ath_epoch_make(b, 2, &y));
    CHECK_BITS(x.sample, y.sample, (size_t)x.n_samples * sizeof *x.sample);
    CHECK_BITS(x.micro, y.micro, (size_t)x.n_micros * sizeof *x.micro);
    ath_epoch_release(&y);
    CHECK_OK(ath_epoch_make(a, 1, &y));
    CHECK(memcmp(x.sample, y.sample, (size_t)x.n_samples * sizeof *x.sample) != 0);
    ath_epoch_release(&x);
    ath_epoch_release(&y);
    ath_budget_destroy(&b);
    other.seed++;
    CHECK_OK(ath_budget_create(&m.scan, &other, &b));
    CHECK(!ath_hash_is_equal(a->hash, b->hash));
    ath_budget_destroy(&b);
    m.image[3].caption = "a cat";
    CHECK_OK(ath_budget_create(&m.scan, &plain, &b));
    CHECK(!ath_hash_is_equal(a->hash, b->hash));
    ath_budget_destroy(&b);
    ath_budget_destroy(&a);
}

static void check_refusals(void)
{
    static made m;
    ath_budget *b = NULL;
    ath_budget_rule bad = plain;
    int64_t n = 0;
    ath_err err;

    ath_test_begin("refusals");
    memset(&m, 0, sizeof m);
    m.scan.root = "train";
    CHECK_ERR(ath_budget_create(&m.scan, &plain, &b), ATH_EMISSING);
    put_folder(&m, "5_dog", 5, 4, false);
    put_folder(&m, "reg", 1, 5, true);
    bad.global_batch = 6;
    CHECK_ERR(ath_budget_create(&m.scan, &bad, &b), ATH_EJOB);
    CHECK_HAS(ath_err_text(), "no multiple of the micro batch of 4");
    bad = plain;
    bad.micro_batch = 0;
    CHECK_ERR(ath_budget_create(&m.scan, &bad, &b), ATH_EJOB);
    bad = plain;
    bad.n_epochs = 0;
    CHECK_ERR(ath_budget_create(&m.scan, &bad, &b), ATH_EJOB);
    bad = plain;
    bad.buckets.step = 10;
    CHECK_ERR(ath_budget_create(&m.scan, &bad, &b), ATH_EJOB);
    m.image[1].problem = "cut short";
    CHECK_ERR(ath_budget_create(&m.scan, &plain, &b), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "1.png: cut short");
    m.image[1].problem = NULL;
    m.folder[0].repeats = 1000000000;
    CHECK_ERR(ath_budget_create(&m.scan, &plain, &b), ATH_ELIMIT);
    m.folder[0].repeats = 5;
    CHECK(b == NULL);
    do {
        ath_mem_fail_from(++n);
        err = ath_budget_create(&m.scan, &plain, &b);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
    } while (err && n < 200);
    CHECK(n > 10);
    ath_budget_destroy(&b);
}

int main(void)
{
    check_properties();
    check_steps();
    check_pure();
    check_refusals();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
