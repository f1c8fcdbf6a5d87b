#include "coordinator/budget.h"

#include "core/mem.h"
#include "core/rng.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Kinds of shuffles, part of what a seed means. */
enum { SHUFFLE_SAMPLES = 0x101, SHUFFLE_MICROS = 0x102, SHUFFLE_CIRCLE = 0x103 };

static const int64_t most_samples = 1 << 30; /* of an epoch: ids are 32 bits */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static void put_key(const ath_budget *b, uint32_t key[2])
{
    key[0] = (uint32_t)b->rule.seed;
    key[1] = (uint32_t)(b->rule.seed >> 32);
}

static const ath_scan_folder *folder_of(const ath_scan *scan, int64_t image)
{
    return &scan->folder[scan->image[image].folder];
}

static ath_err check_rule(const ath_budget_rule *r)
{
    ATH_NEED(r->n_epochs >= 1 || r->n_steps >= 1, ATH_EJOB,
             "%" PRId64 " epochs and %" PRId64 " steps: 1 or more of either are wanted",
             r->n_epochs, r->n_steps);
    ATH_NEED(r->n_epochs <= 1000000 && r->n_steps <= 1000000000, ATH_EJOB,
             "%" PRId64 " epochs, %" PRId64 " steps: at most 10^6 epochs and 10^9 steps are wanted",
             r->n_epochs, r->n_steps);
    ATH_NEED(r->micro_batch >= 1 && r->micro_batch <= 4096, ATH_EJOB,
             "a micro batch of %" PRId64 " samples: 1 to 4096 are wanted", r->micro_batch);
    ATH_NEED(r->global_batch >= r->micro_batch && r->global_batch % r->micro_batch == 0 &&
                 r->global_batch <= 1 << 24,
             ATH_EJOB,
             "a global batch of %" PRId64 " samples is no multiple of the micro batch of %" PRId64
             "; a step is a whole number of micro-batches",
             r->global_batch, r->micro_batch);
    return ATH_OK;
}

static ath_err count_images(ath_budget *b)
{
    const ath_scan *scan = b->scan;

    for (int64_t i = 0; i < scan->n_folders; i++) {
        const ath_scan_folder *f = &scan->folder[i];
        int64_t n = f->repeats * f->n;
        b->n_train_images += f->is_reg ? 0 : f->n;
        b->n_reg_images += f->is_reg ? f->n : 0;
        b->n_train += f->is_reg ? 0 : n;
        b->n_circle += f->is_reg ? n : 0;
    }
    b->n_reg = b->n_circle ? b->n_train : 0;
    b->n_missing = scan->n_missing;
    ATH_NEED(
        b->n_train, ATH_EMISSING,
        "%s: no pictures to train on; put them into a folder named N_concept there, where N is "
        "how often an epoch shows them",
        scan->root);
    ATH_NEED(b->n_train <= most_samples / 2 && b->n_circle <= most_samples, ATH_ELIMIT,
             "%s: repeats x images is %" PRId64 " (regularization %" PRId64
             "); at most 2^29 are wanted, lower the repeats",
             scan->root, b->n_train, b->n_circle);
    return ATH_OK;
}

static int by_size(const void *a, const void *b)
{
    const ath_size *x = &((const ath_budget_bucket *)a)->size;
    const ath_size *y = &((const ath_budget_bucket *)b)->size;

    return ath_size_is_before(*y, *x) - ath_size_is_before(*x, *y);
}

static int32_t find_bucket(const ath_budget *b, ath_size size)
{
    const ath_budget_bucket key = {.size = size};
    const ath_budget_bucket *at =
        bsearch(&key, b->bucket, (size_t)b->n_buckets, sizeof key, by_size);

    return (int32_t)(at - b->bucket);
}

/* The bucket of every image, then the distinct ones in order, then who is in which. */
static ath_err fit_images(ath_budget *b, const ath_buckets *buckets)
{
    const ath_scan *scan = b->scan;
    int64_t n = 0;

    ATH_TRY(ATH_NEW(scan->n_images, "bucket fits", &b->fit));
    ATH_TRY(ATH_NEW(scan->n_images, "bucket numbers", &b->bucket_of));
    ATH_TRY(ATH_NEW(scan->n_images, "buckets", &b->bucket));
    for (int64_t i = 0; i < scan->n_images; i++) {
        const ath_scan_image *image = &scan->image[i];
        ATH_NEED(!image->problem, ATH_EFORMAT, "%s: %s; take it out or mend it", image->path,
                 image->problem);
        ath_err err =
            ath_bucket_choose(buckets, (ath_size){image->width, image->height}, &b->fit[i]);
        if (err) return ath_pass_at(err, __FILE__, __LINE__, image->path);
        b->bucket[i].size = b->fit[i].bucket;
    }
    qsort(b->bucket, (size_t)scan->n_images, sizeof *b->bucket, by_size);
    for (int64_t i = 0; i < scan->n_images; i++)
        if (n == 0 || by_size(&b->bucket[n - 1], &b->bucket[i])) b->bucket[n++] = b->bucket[i];
    b->n_buckets = n;
    for (int64_t i = 0; i < scan->n_images; i++) {
        b->bucket_of[i] = find_bucket(b, b->fit[i].bucket);
        ath_budget_bucket *bucket = &b->bucket[b->bucket_of[i]];
        bucket->n_images++;
        if (!folder_of(scan, i)->is_reg) bucket->n_train += folder_of(scan, i)->repeats;
    }
    return ATH_OK;
}

/* The training samples in the order of the index, and the circle, shuffled once. */
static ath_err list_samples(ath_budget *b)
{
    const ath_scan *scan = b->scan;
    int64_t n_train = 0, n_circle = 0;
    uint32_t key[2];

    put_key(b, key);
    ATH_TRY(ATH_NEW(b->n_train, "training samples", &b->train));
    ATH_TRY(ATH_NEW(b->n_circle, "regularization samples", &b->circle));
    for (int64_t i = 0; i < scan->n_images; i++) {
        const ath_scan_folder *folder = folder_of(scan, i);
        for (int32_t k = 0; k < folder->repeats; k++) {
            if (folder->is_reg) {
                int64_t at = ath_permute(n_circle++, b->n_circle, key, SHUFFLE_CIRCLE, 0);
                b->circle[at] = (int32_t)i;
            } else {
                b->train[n_train++] = (int32_t)i;
            }
        }
    }
    return ATH_OK;
}

/* Sample `id` of an epoch. */
static int32_t image_of(const ath_budget *b, int64_t epoch, int64_t id)
{
    if (id < b->n_train) return b->train[id];
    return b->circle[(epoch % b->n_circle * b->n_reg + id - b->n_train) % b->n_circle];
}

/* Samples of every bucket in an epoch into `n`; gives the number of micro-batches. */
static int64_t count_epoch(const ath_budget *b, int64_t epoch, int64_t *n)
{
    int64_t n_micros = 0;

    for (int64_t i = 0; i < b->n_buckets; i++) n[i] = b->bucket[i].n_train;
    for (int64_t i = 0; i < b->n_reg; i++) n[b->bucket_of[image_of(b, epoch, b->n_train + i)]]++;
    for (int64_t i = 0; i < b->n_buckets; i++) n_micros += ceil_div(n[i], b->rule.micro_batch);
    return n_micros;
}

static int64_t micros_per_step(const ath_budget *b)
{
    return b->rule.global_batch / b->rule.micro_batch;
}

/* Samples of the steps that the run does of its last epoch. */
static ath_err count_last(ath_budget *b)
{
    ath_epoch last = {0};

    b->n_samples = (b->n_epochs - 1) * (b->n_train + b->n_reg);
    ATH_TRY(ath_epoch_make(b, b->n_epochs - 1, &last));
    for (int64_t i = 0; i < b->n_steps - b->first_step[b->n_epochs - 1]; i++) {
        ath_span run = ath_epoch_step(&last, i);
        for (int64_t k = 0; k < run.n; k++) b->n_samples += last.micro[run.first + k].n;
    }
    ath_epoch_release(&last);
    return ATH_OK;
}

static ath_err count_steps(ath_budget *b)
{
    const ath_budget_rule *r = &b->rule;
    ath_err err = ATH_OK;
    int64_t *n = NULL, room = 0;
    bool is_done = false;

    ATH_TRY_OUT(ATH_NEW(b->n_buckets, "bucket counts", &n));
    for (int64_t e = 0; !is_done; e++) {
        ATH_TRY_OUT(ath_mem_grow(&b->first_step, e, &room, sizeof *b->first_step, "epochs"));
        b->first_step[e] = b->n_steps;
        is_done = r->n_steps ? b->n_steps >= r->n_steps : e == r->n_epochs;
        if (is_done) break;
        b->n_epochs = e + 1;
        b->n_steps += ceil_div(count_epoch(b, e, n), micros_per_step(b));
    }
    if (r->n_steps) b->n_steps = b->first_step[b->n_epochs] = r->n_steps;
    ATH_TRY_OUT(count_last(b));
out:
    ath_mem_free(&n);
    return err;
}

static void put_number(ath_hasher *h, int64_t n)
{
    ath_hasher_put(h, &n, sizeof n);
}

static void put_text(ath_hasher *h, const char *text)
{
    ath_hasher_put(h, text, strlen(text) + 1);
}

/* Names without the folder above, so that a data set may be mounted anywhere. */
static void put_images(ath_hasher *h, const ath_budget *b)
{
    for (int64_t i = 0; i < b->scan->n_images; i++) {
        const ath_scan_image *image = &b->scan->image[i];
        const ath_scan_folder *folder = folder_of(b->scan, i);
        put_text(h, folder->name);
        put_number(h, folder->is_reg);
        put_text(h, image->name);
        put_text(h, image->caption);
        put_number(h, image->width);
        put_number(h, image->height);
        put_number(h, b->fit[i].bucket.width);
        put_number(h, b->fit[i].bucket.height);
        put_number(h, b->fit[i].resized.width);
        put_number(h, b->fit[i].resized.height);
    }
}

/* All orders follow from what is hashed; that of the first epoch is put in so that a change of the
 * shuffle itself shows. */
static ath_err hash_budget(ath_budget *b)
{
    const ath_budget_rule *r = &b->rule;
    ath_err err = ATH_OK;
    ath_hasher *h = NULL;
    ath_epoch first = {0};

    ATH_TRY_OUT(ath_hasher_create(&h));
    ATH_TRY_OUT(ath_epoch_make(b, 0, &first));
    put_number(h, (int64_t)r->seed);
    put_number(h, r->micro_batch);
    put_number(h, r->global_batch);
    put_images(h, b);
    for (int64_t i = 0; i <= b->n_epochs; i++) put_number(h, b->first_step[i]);
    for (int64_t i = 0; i < b->n_circle; i++) put_number(h, b->circle[i]);
    for (int64_t i = 0; i < first.n_micros; i++) {
        const ath_micro *m = &first.micro[i];
        put_number(h, m->bucket);
        ath_hasher_put(h, &first.sample[m->first], (size_t)m->n * sizeof *first.sample);
    }
    b->hash = ath_hasher_get(h);
out:
    ath_epoch_release(&first);
    ath_hasher_destroy(&h);
    return err;
}

ath_err ath_budget_create(const ath_scan *scan, const ath_budget_rule *rule, ath_budget **out)
{
    ath_err err = ATH_OK;
    ath_budget *b = NULL;
    ath_buckets buckets;

    ATH_TRY(check_rule(rule));
    ATH_TRY(ath_buckets_init(&rule->buckets, &buckets));
    ATH_TRY(ATH_NEW(1, "budget", &b));
    b->rule = *rule;
    b->rule.buckets = buckets.rule;
    b->scan = scan;
    ATH_TRY_OUT(count_images(b));
    ATH_TRY_OUT(fit_images(b, &buckets));
    ATH_TRY_OUT(list_samples(b));
    ATH_TRY_OUT(count_steps(b));
    ATH_TRY_OUT(hash_budget(b));
    *out = b;
    return ATH_OK;
out:
    ath_budget_destroy(&b);
    return err;
}

void ath_budget_destroy(ath_budget **budget)
{
    ath_budget *b = *budget;

    if (!b) return;
    ath_mem_free(&b->bucket);
    ath_mem_free(&b->fit);
    ath_mem_free(&b->bucket_of);
    ath_mem_free(&b->train);
    ath_mem_free(&b->circle);
    ath_mem_free(&b->first_step);
    ath_mem_free(budget);
}

/* Deals the shuffled samples to their buckets: `next` holds the place of each bucket's next one. */
static ath_err deal(const ath_budget *b, ath_epoch *e, int64_t *next)
{
    int32_t *order = NULL;
    uint32_t key[2];

    put_key(b, key);
    ATH_TRY(ATH_NEW(e->n_samples, "order of an epoch", &order));
    for (int64_t i = 0; i < e->n_samples; i++)
        order[ath_permute(i, e->n_samples, key, SHUFFLE_SAMPLES, (uint32_t)e->epoch)] = (int32_t)i;
    for (int64_t i = 0; i < e->n_samples; i++) {
        int32_t image = image_of(b, e->epoch, order[i]);
        e->sample[next[b->bucket_of[image]]++] = (ath_sample){image, order[i]};
    }
    ath_mem_free(&order);
    return ATH_OK;
}

/* Cuts the buckets of `count` samples each and shuffles the pieces. */
static void cut(const ath_budget *b, ath_epoch *e, const int64_t *count)
{
    int64_t i_micro = 0, first = 0;
    uint32_t key[2];

    put_key(b, key);
    for (int32_t i = 0; i < b->n_buckets; i++) {
        for (int64_t left = count[i]; left > 0; left -= b->rule.micro_batch) {
            int64_t n = left < b->rule.micro_batch ? left : b->rule.micro_batch;
            int64_t at =
                ath_permute(i_micro++, e->n_micros, key, SHUFFLE_MICROS, (uint32_t)e->epoch);
            e->micro[at] = (ath_micro){first, (int32_t)n, i};
            first += n;
        }
    }
}

ath_err ath_epoch_make(const ath_budget *b, int64_t epoch, ath_epoch *out)
{
    ath_err err = ATH_OK;
    ath_epoch e = {.epoch = epoch, .n_samples = b->n_train + b->n_reg};
    int64_t *count = NULL, *next = NULL;

    ATH_TRY_OUT(ATH_NEW(b->n_buckets, "bucket counts", &count));
    ATH_TRY_OUT(ATH_NEW(b->n_buckets, "bucket places", &next));
    e.n_micros = count_epoch(b, epoch, count);
    e.micros_per_step = micros_per_step(b);
    e.n_steps = ceil_div(e.n_micros, e.micros_per_step);
    for (int64_t i = 1; i < b->n_buckets; i++) next[i] = next[i - 1] + count[i - 1];
    ATH_TRY_OUT(ATH_NEW(e.n_samples, "samples of an epoch", &e.sample));
    ATH_TRY_OUT(ATH_NEW(e.n_micros, "micro-batches of an epoch", &e.micro));
    ATH_TRY_OUT(deal(b, &e, next));
    cut(b, &e, count);
    *out = e;
    e = (ath_epoch){0};
out:
    ath_epoch_release(&e);
    ath_mem_free(&count);
    ath_mem_free(&next);
    return err;
}

void ath_epoch_release(ath_epoch *epoch)
{
    ath_mem_free(&epoch->sample);
    ath_mem_free(&epoch->micro);
    *epoch = (ath_epoch){0};
}

ath_span ath_epoch_step(const ath_epoch *e, int64_t step)
{
    int64_t first = step * e->micros_per_step, left = e->n_micros - first;

    ATH_ASSERT(0 <= step && step < e->n_steps);
    return (ath_span){first, left < e->micros_per_step ? left : e->micros_per_step};
}

ath_span ath_epoch_shard(const ath_epoch *e, int64_t step, int64_t rank, int64_t n_ranks)
{
    const ath_span all = ath_epoch_step(e, step);

    ATH_ASSERT(0 <= rank && rank < n_ranks);
    int64_t begin = all.n * rank / n_ranks, end = all.n * (rank + 1) / n_ranks;
    return (ath_span){all.first + begin, end - begin};
}

static void add_shard(const ath_budget *b, const ath_epoch *e, ath_span run, ath_share *share)
{
    share->n_micros += run.n;
    share->n_idle += run.n == 0;
    for (int64_t i = run.first; i < run.first + run.n; i++) {
        for (int64_t k = 0; k < e->micro[i].n; k++) {
            bool is_reg = e->sample[e->micro[i].first + k].id >= b->n_train;
            share->n_train += !is_reg;
            share->n_reg += is_reg;
        }
    }
}

ath_err ath_budget_share(const ath_budget *b, const ath_epoch *e, int64_t n_ranks, ath_share *out)
{
    const int64_t n = b->scan->n_images;

    ATH_NEED(n_ranks >= 1 && n_ranks <= 1 << 20, ATH_EINVAL,
             "%" PRId64 " ranks: 1 to 2^20 are wanted", n_ranks);
    for (int64_t rank = 0; rank < n_ranks; rank++) {
        ath_share share = {.first_image = n * rank / n_ranks};
        share.n_images = n * (rank + 1) / n_ranks - share.first_image;
        for (int64_t i = 0; i < e->n_steps; i++)
            add_shard(b, e, ath_epoch_shard(e, i, rank, n_ranks), &share);
        out[rank] = share;
    }
    return ATH_OK;
}
