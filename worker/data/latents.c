#include "worker/data/latents.h"

#include "core/io/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pulse.h"
#include "worker/data/cache.h"
#include "worker/data/encoder.h"
#include "worker/data/picture.h"
#include "worker/dist/dist.h"
#include "worker/dist/tree.h"

#include <stdlib.h>
#include <string.h>

/* Part of every key: another number where the way from a file to its moments changes. */
enum { FORMAT = 1, WORDS = 4 };
static const char kind[] = "latents";

struct ath_latents {
    ath_latents_opts opts;
    ath_cache *cache;
    ath_hash *bytes; /* [images] of the picture's file */
    double *words;   /* [images, WORDS] on their way between ranks */
    double *lacks;   /* [entries] 1: is to be made */
    ath_encoder *encoder;
    float *picture, *moments; /* as large as the largest bucket */
    int64_t n_lacks;
};

int32_t ath_latents_scale(const ath_latents *l)
{
    return 1 << (l->opts.spec.n_levels - 1);
}

static int32_t n_images(const ath_latents *l)
{
    return (int32_t)l->opts.plan->n_image;
}

/* An entry is a picture as it is or, where there are such, mirrored: image * n_ways + mirrored. */
static int32_t n_ways(const ath_latents *l)
{
    return l->opts.mirrored ? 2 : 1;
}

static const Athanor__Shape *shape_of(const ath_latents *l, uint32_t image)
{
    return l->opts.plan->bucket[l->opts.plan->image[image]->bucket];
}

static int64_t count_of(const ath_latents *l, uint32_t image)
{
    const Athanor__Shape *s = shape_of(l, image);
    const int64_t side = ath_latents_scale(l);

    return s->width / side * (s->height / side) * 2 * l->opts.spec.latents;
}

static ath_picture_fit fit_of(const ath_latents *l, uint32_t image, bool mirrored)
{
    const Athanor__Image *m = l->opts.plan->image[image];
    const Athanor__Shape *s = shape_of(l, image);
    const ath_picture_fit fit = {.resized_width = (int32_t)m->resized_width,
                                 .resized_height = (int32_t)m->resized_height,
                                 .width = (int32_t)s->width,
                                 .height = (int32_t)s->height,
                                 .mirror = mirrored};

    return ath_picture_centre(fit);
}

static ath_hash key_of(const ath_latents *l, uint32_t image, bool mirrored)
{
    const ath_picture_fit f = fit_of(l, image, mirrored);
    const ath_hash bytes = l->bytes[image], vae = l->opts.vae;
    const int64_t words[] = {
        FORMAT,          (int64_t)bytes.lo, (int64_t)bytes.hi, (int64_t)vae.lo, (int64_t)vae.hi,
        f.resized_width, f.resized_height,  f.width,           f.height,        f.left,
        f.top,           f.mirror};

    return ath_hash_of(words, sizeof words);
}

/* ---- what is there ---- */

static ath_err put_bytes(void *hasher, const void *bytes, size_t n)
{
    ath_hasher_put(hasher, bytes, n);
    return ATH_OK;
}

static ath_err hash_file(const char *path, double words[WORDS])
{
    ath_hasher *h = NULL;

    ATH_TRY(ath_hasher_create(&h));
    const ath_err err = ath_file_each(path, put_bytes, h);
    const ath_hash x = ath_hasher_get(h);
    ath_hasher_destroy(&h);
    ATH_TRY(err);
    words[0] = (double)(uint32_t)x.lo;
    words[1] = (double)(x.lo >> 32);
    words[2] = (double)(uint32_t)x.hi;
    words[3] = (double)(x.hi >> 32);
    return ATH_OK;
}

/* Each rank reads its share of the files. */
static ath_err hash_files(ath_latents *l)
{
    const int32_t n = n_images(l), rank = ath_dist_rank(), size = ath_dist_size();
    const int32_t first = ath_tree_cut(n, size, rank), end = ath_tree_cut(n, size, rank + 1);
    double *own = NULL;
    ath_err err = ATH_OK;

    err = ATH_NEW(WORDS * (int64_t)(end - first), "hashes of pictures", &own);
    for (int32_t i = first; i < end && !err; i++) {
        ath_pulse();
        err = hash_file(l->opts.plan->image[i]->path, own + WORDS * (int64_t)(i - first));
    }
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_gather(own, WORDS * (int64_t)(end - first), l->words, WORDS * (int64_t)n));
    for (int32_t i = 0; i < n; i++) {
        const double *w = l->words + WORDS * (int64_t)i;
        l->bytes[i] = (ath_hash){(uint64_t)w[0] | (uint64_t)w[1] << 32,
                                 (uint64_t)w[2] | (uint64_t)w[3] << 32};
    }
out:
    ath_mem_free(&own);
    return err;
}

static bool is_good(ath_latents *l, int32_t i)
{
    const uint32_t image = (uint32_t)(i / n_ways(l));
    const ath_hash key = key_of(l, image, i % n_ways(l));
    const float *found = NULL;

    ath_pulse();
    if (!ath_cache_has(l->cache, key)) return false;
    if (ath_cache_find(l->cache, key, count_of(l, image), &found) == ATH_OK) return true;
    ath_log(ATH_LOG_WARN, "cache", ATH_KV("made again", l->opts.plan->image[image]->path),
            ATH_KV("why", ath_err_text()));
    ath_err_clear();
    return false;
}

/* Each rank checks its share of the entries; all learn of all, whatever their view of the folder. */
static ath_err find_lacks(ath_latents *l)
{
    const int32_t n = n_images(l) * n_ways(l), rank = ath_dist_rank(), size = ath_dist_size();
    const int32_t first = ath_tree_cut(n, size, rank), end = ath_tree_cut(n, size, rank + 1);
    double *own = NULL;
    ath_err err = ATH_OK;

    err = ATH_NEW(end - first, "lacking latents", &own);
    if (!err) err = ath_cache_open(l->opts.folder, kind, &l->cache);
    for (int32_t i = first; i < end && !err; i++) own[i - first] = !is_good(l, i);
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_gather(own, end - first, l->lacks, n));
    for (int32_t i = 0; i < n; i++) l->n_lacks += l->lacks[i] != 0;
out:
    ath_mem_free(&own);
    return err;
}

/* ---- making ---- */

static ath_err encode(ath_latents *l, uint32_t image, const ath_picture_fit *fit)
{
    const char *path = l->opts.plan->image[image]->path;
    ath_image pixels = {0};
    ath_err err = ATH_OK;

    if (!l->encoder) ATH_TRY_OUT(ath_encoder_create(&l->opts, &l->encoder));
    ATH_TRY_OUT(ath_image_read(path, 0, &pixels));
    ATH_TRY_OUT(ath_picture_make(&pixels, fit, l->picture));
    err = ath_encoder_run(l->encoder, fit->width, fit->height, l->picture, l->moments);
    if (err == ATH_ENAN)
        err = ath_raise(ATH_ENAN, "%s: what the autoencoder says of it is not finite", path);
out:
    ath_image_release(&pixels);
    return err;
}

static ath_err make_entry(ath_latents *l, int32_t i, ath_cache_writer *writer)
{
    const uint32_t image = (uint32_t)(i / n_ways(l));
    const bool mirrored = i % n_ways(l);
    const ath_picture_fit fit = fit_of(l, image, mirrored);
    const ath_hash key = key_of(l, image, mirrored);

    ATH_TRY(encode(l, image, &fit));
    return ath_cache_put(writer, key, count_of(l, image), l->moments);
}

/* This rank's share of what lacks, bucket by bucket, so that each shape is compiled once. Equal files
 * are one entry: the first is made. */
static ath_err make_own(ath_latents *l, ath_cache_writer *writer)
{
    const int32_t n = n_images(l) * n_ways(l), rank = ath_dist_rank(), size = ath_dist_size();
    const int32_t first = ath_tree_cut((int32_t)l->n_lacks, size, rank);
    const int32_t end = ath_tree_cut((int32_t)l->n_lacks, size, rank + 1);
    int32_t n_seen = 0;

    for (uint32_t b = 0; b < l->opts.plan->n_bucket; b++)
        for (int32_t i = 0; i < n; i++) {
            if (l->lacks[i] <= 0 || l->opts.plan->image[i / n_ways(l)]->bucket != b) continue;
            const int32_t k = n_seen++;
            if (k < first || k >= end) continue;
            ATH_TRY(ath_cancel_check(l->opts.cancel, "pictures are still to become latents"));
            ATH_TRY(make_entry(l, i, writer));
            if (l->opts.progress)
                l->opts.progress(l->opts.progress_context, k - first + 1, end - first);
        }
    return ATH_OK;
}

static ath_err make_lacks(ath_latents *l)
{
    ath_cache_writer *w = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(ath_cache_write(l->opts.folder, kind, &w));
    const ath_err made = make_own(l, w);
    if (!made || made == ATH_ECANCELED) err = ath_cache_publish(&w);
    ath_cache_discard(&w);
    return err ? err : made;
}

/* Keeps the first of entries with equal keys: pictures of equal bytes and fit. */
typedef struct keyed {
    ath_hash key;
    int32_t i;
} keyed;

static int compare(const void *a, const void *b)
{
    const keyed *x = a, *y = b;

    if (x->key.hi != y->key.hi) return x->key.hi < y->key.hi ? -1 : 1;
    if (x->key.lo != y->key.lo) return x->key.lo < y->key.lo ? -1 : 1;
    return x->i - y->i;
}

static ath_err drop_doubles(ath_latents *l)
{
    const int32_t n = n_images(l) * n_ways(l);
    keyed *all = NULL;

    ATH_TRY(ATH_NEW(n, "lacking latents", &all));
    for (int32_t i = 0; i < n; i++)
        all[i] = (keyed){key_of(l, (uint32_t)(i / n_ways(l)), i % n_ways(l)), i};
    if (n) qsort(all, (size_t)n, sizeof *all, compare);
    for (int32_t i = 1; i < n; i++)
        if (ath_hash_is_equal(all[i].key, all[i - 1].key) && l->lacks[all[i].i] != 0) {
            l->lacks[all[i].i] = 0;
            l->n_lacks--;
        }
    ath_mem_free(&all);
    return ATH_OK;
}

/* ---- life ---- */

static ath_err check_plan(const ath_latents *l)
{
    const Athanor__Plan *p = l->opts.plan;
    const uint32_t side = (uint32_t)ath_latents_scale(l);

    ATH_NEED(l->opts.spec.channels == 3, ATH_ENOTSUP,
             "the autoencoder reads pictures of %d channels, wanted 3", l->opts.spec.channels);
    ATH_NEED(p->n_image <= INT32_MAX / 2, ATH_ELIMIT, "%zu pictures are too many", p->n_image);
    for (size_t i = 0; i < p->n_bucket; i++)
        ATH_NEED(p->bucket[i]->width % side == 0 && p->bucket[i]->height % side == 0 &&
                     p->bucket[i]->width > 0 && p->bucket[i]->height > 0,
                 ATH_ESHAPE, "pictures of %ux%u: wanted multiples of %u pixels",
                 p->bucket[i]->width, p->bucket[i]->height, side);
    for (size_t i = 0; i < p->n_image; i++)
        ATH_NEED(p->image[i]->bucket < p->n_bucket, ATH_EFORMAT,
                 "the plan: picture %zu has bucket %u of %zu", i, p->image[i]->bucket, p->n_bucket);
    return ATH_OK;
}

static ath_err new_latents(const ath_latents_opts *opts, ath_latents **out)
{
    int64_t most = 0;

    ATH_TRY(ATH_NEW(1, "latents", out));
    ath_latents *l = *out;
    l->opts = *opts;
    ATH_TRY(check_plan(l));
    for (size_t i = 0; i < opts->plan->n_bucket; i++) {
        const int64_t area = (int64_t)opts->plan->bucket[i]->width * opts->plan->bucket[i]->height;
        most = area > most ? area : most;
    }
    const int64_t side = ath_latents_scale(l);
    ATH_TRY(ATH_NEW(most * 3, "picture", &l->picture));
    ATH_TRY(ATH_NEW(most / (side * side) * 2 * opts->spec.latents, "moments", &l->moments));
    ATH_TRY(ATH_NEW(n_images(l), "hashes of pictures", &l->bytes));
    ATH_TRY(ATH_NEW(WORDS * (int64_t)n_images(l), "hashes of pictures", &l->words));
    return ATH_NEW(2 * (int64_t)n_images(l), "lacking latents", &l->lacks);
}

ath_err ath_latents_create(const ath_latents_opts *opts, ath_latents **out)
{
    ath_latents *l = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_dist_agree(new_latents(opts, &l)));
    if (!opts->random_crop) {
        ATH_TRY_OUT(hash_files(l));
        ATH_TRY_OUT(find_lacks(l));
        ATH_TRY_OUT(ath_dist_agree(drop_doubles(l)));
        if (l->n_lacks) ATH_TRY_OUT(ath_dist_agree(make_lacks(l)));
        ath_encoder_destroy(&l->encoder);
        ath_cache_close(&l->cache);
        ATH_TRY_OUT(ath_dist_agree(ath_cache_open(opts->folder, kind, &l->cache)));
    }
    *out = l;
    l = NULL;
out:
    ath_latents_destroy(&l);
    return err;
}

void ath_latents_destroy(ath_latents **latents)
{
    ath_latents *l = *latents;

    if (!l) return;
    ath_encoder_destroy(&l->encoder);
    ath_cache_close(&l->cache);
    ath_mem_free(&l->bytes);
    ath_mem_free(&l->words);
    ath_mem_free(&l->lacks);
    ath_mem_free(&l->picture);
    ath_mem_free(&l->moments);
    ath_mem_free(latents);
}

/* Somewhere in what is left over, for this use alone. */
static ath_err encode_at_random(ath_latents *l, uint32_t image, bool mirrored, const ath_draw *draw)
{
    ath_picture_fit fit = fit_of(l, image, mirrored);
    const int32_t x = fit.resized_width - fit.width, y = fit.resized_height - fit.height;

    if (x > 0) fit.left = (int32_t)ath_draw_below(draw, ATH_DRAW_CROP, 0, (uint32_t)x + 1);
    if (y > 0) fit.top = (int32_t)ath_draw_below(draw, ATH_DRAW_CROP, 1, (uint32_t)y + 1);
    return encode(l, image, &fit);
}

ath_err ath_latents_find(ath_latents *l, uint32_t image, bool mirrored, const ath_draw *draw,
                         const float **moments)
{
    ATH_ASSERT(image < l->opts.plan->n_image && (l->opts.mirrored || !mirrored));
    if (!l->opts.random_crop)
        return ath_cache_find(l->cache, key_of(l, image, mirrored), count_of(l, image), moments);
    ATH_TRY(encode_at_random(l, image, mirrored, draw));
    *moments = l->moments;
    return ATH_OK;
}
