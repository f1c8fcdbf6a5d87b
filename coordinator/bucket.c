#include "coordinator/bucket.h"

#include <math.h>

static bool is_same(ath_size a, ath_size b)
{
    return a.width == b.width && a.height == b.height;
}

bool ath_size_is_before(ath_size a, ath_size b)
{
    return a.width != b.width ? a.width < b.width : a.height < b.height;
}

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* The largest whole number whose square is at most n. */
static int32_t floor_root(int64_t n)
{
    int64_t root = (int64_t)sqrt((double)n);

    while (root * root > n) root--;
    while ((root + 1) * (root + 1) <= n) root++;
    return (int32_t)root;
}

/* Keeps the list sorted and free of repetitions. */
static void put(ath_buckets *b, ath_size size)
{
    int32_t at = b->n;

    for (int32_t i = 0; i < b->n; i++)
        if (is_same(b->size[i], size)) return;
    ATH_ASSERT(b->n < ATH_BUCKETS_MAX);
    for (; at > 0 && ath_size_is_before(size, b->size[at - 1]); at--) b->size[at] = b->size[at - 1];
    b->size[at] = size;
    b->n++;
}

static void put_candidates(ath_buckets *b)
{
    const ath_bucket_rule *r = &b->rule;
    const int64_t area = (int64_t)r->resolution.width * r->resolution.height;
    const int32_t side = floor_root(area) / r->step * r->step;

    put(b, (ath_size){side, side});
    for (int32_t x = r->min_side; x <= r->max_side; x += r->step) {
        int64_t fit = area / x / r->step * r->step;
        int32_t y = fit < r->max_side ? (int32_t)fit : r->max_side;
        if (y < r->min_side) continue;
        put(b, (ath_size){x, y});
        put(b, (ath_size){y, x});
    }
}

static ath_err check_sides(const ath_bucket_rule *r)
{
    const int32_t low = min_of(r->resolution.width, r->resolution.height);
    const int32_t high = r->resolution.width + r->resolution.height - low;

    ATH_NEED(r->step > 0 && r->step % ATH_BUCKET_STEP == 0, ATH_EJOB,
             "bucket step %d: a multiple of %d is wanted, the pixels of a latent", r->step,
             ATH_BUCKET_STEP);
    ATH_NEED(r->no_upscale || r->min_side >= r->step, ATH_EJOB,
             "smallest bucket side %d is less than one bucket step, %d; make it %d or more",
             r->min_side, r->step, r->step);
    ATH_NEED(r->no_upscale || low >= r->min_side, ATH_EJOB,
             "resolution %dx%d is below the smallest bucket side %d; lower bucket min or raise the "
             "resolution",
             r->resolution.width, r->resolution.height, r->min_side);
    ATH_NEED(r->no_upscale || high <= r->max_side, ATH_EJOB,
             "resolution %dx%d is above the largest bucket side %d; raise bucket max or lower the "
             "resolution",
             r->resolution.width, r->resolution.height, r->max_side);
    return ATH_OK;
}

ath_err ath_buckets_init(const ath_bucket_rule *rule, ath_buckets *out)
{
    ath_bucket_rule r = *rule;
    const ath_size size = r.resolution;

    ATH_NEED(size.width >= ATH_BUCKET_STEP && size.height >= ATH_BUCKET_STEP &&
                 size.width <= ATH_BUCKET_SIDE_MAX && size.height <= ATH_BUCKET_SIDE_MAX,
             ATH_EJOB, "resolution %dx%d: sides of %d to %d pixels are wanted", size.width,
             size.height, ATH_BUCKET_STEP, ATH_BUCKET_SIDE_MAX);
    ATH_NEED(r.is_off || (r.min_side <= ATH_BUCKET_SIDE_MAX && r.max_side <= ATH_BUCKET_SIDE_MAX),
             ATH_EJOB, "bucket sides of %d to %d: at most %d is wanted", r.min_side, r.max_side,
             ATH_BUCKET_SIDE_MAX);
    *out = (ath_buckets){.rule = r};
    if (r.is_off) {
        ATH_NEED(size.width % ATH_BUCKET_STEP == 0 && size.height % ATH_BUCKET_STEP == 0, ATH_EJOB,
                 "resolution %dx%d without buckets: multiples of %d are wanted", size.width,
                 size.height, ATH_BUCKET_STEP);
        put(out, size);
        return ATH_OK;
    }
    if (r.step > 0) {
        r.min_side = r.min_side / r.step * r.step;
        r.max_side = (r.max_side + r.step - 1) / r.step * r.step;
    }
    ATH_TRY(check_sides(&r));
    out->rule = r;
    if (!r.no_upscale) put_candidates(out);
    return ATH_OK;
}

/* The first of the candidates whose aspect is nearest; a candidate's own size is itself. */
static ath_size nearest(const ath_buckets *b, ath_size picture)
{
    const double aspect = (double)picture.width / picture.height;
    double least = HUGE_VAL;
    int32_t best = 0;

    for (int32_t i = 0; i < b->n; i++) {
        double gap = fabs((double)b->size[i].width / b->size[i].height - aspect);
        if (is_same(b->size[i], picture)) return picture;
        if (gap < least) {
            least = gap;
            best = i;
        }
    }
    return b->size[best];
}

/* As large as it must be to cover the bucket. */
static ath_size cover(ath_size picture, ath_size bucket)
{
    const double aspect = (double)picture.width / picture.height;
    const double wanted = (double)bucket.width / bucket.height;
    const double scale = aspect > wanted ? (double)bucket.height / picture.height
                                         : (double)bucket.width / picture.width;

    return (ath_size){(int32_t)(picture.width * scale + 0.5),
                      (int32_t)(picture.height * scale + 0.5)};
}

static int32_t floor_step(double x, int32_t step)
{
    return (int32_t)(x + 0.5) / step * step;
}

/* Shrinks to the area of the resolution: one side to a whole step, whichever keeps the aspect best. */
static ath_size shrink(const ath_bucket_rule *r, ath_size picture)
{
    const double area = (double)r->resolution.width * r->resolution.height;
    const double aspect = (double)picture.width / picture.height;

    if ((double)picture.width * picture.height <= area) return picture;
    const double width = sqrt(area * aspect), height = area / width;
    const int32_t w1 = floor_step(width, r->step), h1 = floor_step(w1 / aspect, r->step);
    const int32_t h2 = floor_step(height, r->step), w2 = floor_step(h2 * aspect, r->step);
    const double gap1 = h1 ? fabs((double)w1 / h1 - aspect) : HUGE_VAL;
    const double gap2 = h2 ? fabs((double)w2 / h2 - aspect) : HUGE_VAL;
    if (gap1 < gap2) return (ath_size){w1, (int32_t)(w1 / aspect + 0.5)};
    return (ath_size){(int32_t)(h2 * aspect + 0.5), h2};
}

ath_err ath_bucket_choose(const ath_buckets *buckets, ath_size picture, ath_bucket_fit *out)
{
    const ath_bucket_rule *r = &buckets->rule;
    ath_bucket_fit fit = {0};

    ATH_NEED(picture.width > 0 && picture.height > 0, ATH_ESHAPE,
             "a picture of %dx%d pixels has no bucket", picture.width, picture.height);
    if (r->is_off || !r->no_upscale) {
        fit.bucket = nearest(buckets, picture);
        fit.resized = cover(picture, fit.bucket);
    } else {
        fit.resized = shrink(r, picture);
        fit.bucket = (ath_size){fit.resized.width / r->step * r->step,
                                fit.resized.height / r->step * r->step};
        ATH_NEED(
            fit.bucket.width && fit.bucket.height, ATH_ESHAPE,
            "a picture of %dx%d pixels, brought to %dx%d, is narrower than the bucket step %d; "
            "use a wider one or allow upscaling",
            picture.width, picture.height, fit.resized.width, fit.resized.height, r->step);
    }
    *out = fit;
    return ATH_OK;
}
