#include "kernels/blocks.h"
#include "kernels/group_norm.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include "kernels/span.h"

/*
 * An image is cut into blocks of pixels. Forward: each block leaves the mean and the sum of
 * centred squares of each channel (Chan's update, a few pixels at a time); an image merges its
 * blocks, then the channels of each group, in double. Backward: each block leaves the sums of dz and
 * dz * xhat of each channel, from which both the group's means and dgamma, dbeta follow.
 *
 * Images go through both readings of x in waves that fit the outer cache.
 */
enum { WAVE = ATH_TORTURE ? 1 : 1 << 20 }; /* elements */
enum { AHEAD = 1024 };                     /* elements that are asked for early: a page of f32 */
enum { TOGETHER = 4 };                     /* pixels that enter the moments at once */

typedef struct norm {
    const ath_call *call;
    const void *x, *dy;
    const float *gamma, *beta;
    ath_dtype dtype;
    ath_act act;
    double eps;
    int64_t images, pixels, c, groups, l;
    int64_t rows, blocks, width; /* pixels of a block, blocks of an image, floats of a row */
    int64_t wave;                /* images */
    bool streams;                /* y is stored past the caches */
    int64_t run, runs; /* channels of whole groups that are settled together; of an image */
    float *part;       /* [images, blocks, 2, width] */
    float *spread;     /* [images, 4, width]: what a group knows, by channel */
} norm;

/* Pixels of a block: more than block_rows where an image still has eight, for partials are read again;
 * never fewer, so that the scratch of group_norm.c is enough. */
static int64_t rows_of(int64_t pixels, int64_t c)
{
    int64_t rows = block_rows(c);
    while (rows < BLOCK_ROWS_MAX && pixels > 8 * rows) rows *= 2;
    return rows;
}

static norm norm_of(const ath_call *call)
{
    const ath_group_norm_attr *a = call->site->attr;
    const ath_desc *x = &call->site->in[0];
    norm s = {.call = call,
              .x = call->in[0],
              .dy = call->dout[0],
              .gamma = call->in[1],
              .beta = call->in[2],
              .dtype = x->dtype,
              .act = a->act,
              .eps = (double)a->eps};

    s.images = x->dim[0];
    s.pixels = ath_desc_rows(x) / s.images;
    s.c = ath_desc_last(x);
    s.groups = a->groups;
    s.l = s.c / s.groups;
    s.rows = rows_of(s.pixels, s.c);
    s.blocks = (s.pixels + s.rows - 1) / s.rows;
    s.width = block_width(s.c);
    s.wave = WAVE / (s.pixels * s.c) + 1;
    s.run = (BLOCK_COLUMNS + s.l - 1) / s.l * s.l;
    s.runs = (s.c + s.run - 1) / s.run;
    s.streams = span_streams(call->out[0], s.dtype, s.c, s.images * s.pixels * s.c);
    s.part = call->scratch;
    s.spread = s.part + s.images * s.blocks * 2 * s.width;
    return s;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Pixels of block b of an image. */
static int64_t height(const norm *s, int64_t b)
{
    return least(s->rows, s->pixels - b * s->rows);
}

/* The first element of block i of all. */
static int64_t start(const norm *s, int64_t i)
{
    return (i / s->blocks * s->pixels + i % s->blocks * s->rows) * s->c;
}

/* Adds the pixels k .. k + n of a block to the moments of the lanes from j: their own mean and sum of
 * centred squares first, so that sums stay as small as the spread. `x` are the differences from the
 * block's first pixel. */
VEC_INLINE void merge_pixels(float *mean, float *square, int64_t k, int n, const vf *x)
{
    vf sum = x[0], own = vset(0.0f);

    for (int i = 1; i < n; i++) sum = sum + x[i];
    const vf center = sum * vset(1.0f / (float)n);
    for (int i = 0; i < n; i++) {
        const vf d = x[i] - center;
        own = vfma(d, d, own);
    }
    const vf m = vload(mean), d = center - m;
    const float share = (float)n / (float)(k + n);
    vstore(mean, vfma(d, vset(share), m));
    vstore(square, vload(square) + vfma(d * d, vset((float)k * share), own));
}

/* Around the block's first pixel, where differences are exact or nearly so. The next pixels are asked
 * for in the order of memory, which is not that of the loads: four rows at a time. */
VEC_INLINE void measure(const norm *s, int64_t i, ath_dtype dtype)
{
    const int64_t c = s->c, n = height(s, i % s->blocks), top = start(s, i);
    const void *in = s->call->in[0];
    float *mean = s->part + i * 2 * s->width, *square = mean + s->width;
    int64_t k = 0;

    memset(mean, 0, (size_t)(2 * s->width) * sizeof *mean);
    for (; k + TOGETHER <= n; k += TOGETHER) {
        const int64_t row = top + k * c;
        for (int64_t j = 0; j < c; j += VL) {
            const vf first = span_load(in, dtype, top + j, top + c);
            vf x[TOGETHER];
            for (int r = 0; r < TOGETHER; r++) {
                span_prefetch_far(in, dtype, row + TOGETHER * (c + j) + r * VL);
                x[r] = span_load(in, dtype, row + r * c + j, row + (r + 1) * c) - first;
            }
            merge_pixels(mean + j, square + j, k, TOGETHER, x);
        }
    }
    for (; k < n; k++) {
        const int64_t row = top + k * c;
        for (int64_t j = 0; j < c; j += VL) {
            const vf x =
                span_load(in, dtype, row + j, row + c) - span_load(in, dtype, top + j, top + c);
            merge_pixels(mean + j, square + j, k, 1, &x);
        }
    }
    for (int64_t j = 0; j < c; j += VL)
        vstore(mean + j, vload(mean + j) + span_load(in, dtype, top + j, top + c));
}

/* Moments of `n` channels from `first`, blocks merged in order. */
static void merge_blocks(const norm *s, const float *part, int n, double *mean, double *square)
{
    for (int64_t b = 0; b < s->blocks; b++, part += 2 * s->width) {
        const double seen = (double)(b * s->rows), here = (double)height(s, b);
        const double share = here / (seen + here);
        for (int j = 0; j < n; j++) {
            double d = (double)part[j] - mean[j];
            mean[j] += share * d;
            square[j] += (double)part[s->width + j] + seen * share * d * d;
        }
    }
}

/* What is known of a group: of how many channels, their mean, their sum of centred squares. */
typedef struct moments {
    double n, mean, square;
} moments;

/* Adds n channels of as many pixels each, with means m and sums of centred squares q. */
static void merge_channels(moments *of, const double *m, const double *q, int n, int64_t pixels)
{
    double sum = 0, square = 0;

    for (int j = 0; j < n; j++) sum += m[j];
    const double center = sum / n, share = n / (of->n + n), d = center - of->mean;
    for (int j = 0; j < n; j++) square += q[j] + (double)pixels * (m[j] - center) * (m[j] - center);
    of->square += square + (double)pixels * of->n * share * d * d;
    of->mean += share * d;
    of->n += n;
}

/* Writes mean and rstd of group g of image n. Spreads over its channels the mean, gamma * rstd, and
 * beta less what rounding the mean lost. */
static void settle_group(const norm *s, int64_t n, int64_t g, const moments *of)
{
    const float *gamma = s->call->in[1], *beta = s->call->in[2];
    float *center = s->spread + n * 4 * s->width, *scale = center + s->width;
    float *offset = scale + s->width;
    const float mean = (float)of->mean, lost = (float)(of->mean - (double)mean);
    const float rstd = (float)(1 / sqrt(of->square / (double)(s->pixels * s->l) + s->eps));

    ((float *)s->call->saved[0])[n * s->groups + g] = mean;
    ((float *)s->call->saved[1])[n * s->groups + g] = rstd;
    for (int64_t i = g * s->l; i < (g + 1) * s->l; i++) {
        center[i] = mean;
        scale[i] = gamma[i] * rstd;
        offset[i] = beta[i] - lost * scale[i];
    }
}

/* A run of groups of an image, whose channels come in pieces of BLOCK_COLUMNS. */
static void settle(const norm *s, int64_t run)
{
    const int64_t n = run / s->runs, from = run % s->runs * s->run;
    const int64_t end = least(s->c, from + s->run);
    const float *part = s->part + n * s->blocks * 2 * s->width;
    moments group = {0};

    for (int64_t first = from; first < end; first += BLOCK_COLUMNS) {
        const int columns = (int)least(BLOCK_COLUMNS, end - first);
        double m[BLOCK_COLUMNS] = {0}, q[BLOCK_COLUMNS] = {0};
        merge_blocks(s, part + first, columns, m, q);
        for (int j = 0, here; j < columns; j += here) {
            const int64_t g = (first + j) / s->l, rest = (g + 1) * s->l - first - j;
            here = (int)least(columns - j, rest);
            merge_channels(&group, m + j, q + j, here, s->pixels);
            if (here < rest) continue;
            settle_group(s, n, g, &group);
            group = (moments){0};
        }
    }
}

/* A loop of this file for block i, with type and activation as constants. */
#define BY_KIND(loop, s, i)                                                             \
    ((s)->act == ATH_ACT_SILU ? SPAN_BY_DTYPE((s)->dtype, loop, (s), (i), ATH_ACT_SILU) \
                              : SPAN_BY_DTYPE((s)->dtype, loop, (s), (i), ATH_ACT_NONE))

/* A copy of its own, which no store through a pointer can change, with constants for what they are. */
VEC_INLINE norm kind_of(const norm *all, ath_act act, ath_dtype dtype)
{
    norm s = *all;

    s.act = act;
    s.dtype = dtype;
    return s;
}

/* n vectors of the result from element `at`, channels from j. What is not stored past the caches is
 * asked for early too, since a line must come before it can be written to. */
VEC_INLINE void emit(const norm *s, const float *center, int64_t at, int64_t j, int n)
{
    const float *scale = center + s->width, *offset = scale + s->width;
    const int64_t end = at + s->c - j;
    void *y = s->call->out[0];
    vf z[VEC_TOGETHER];

    for (int k = 0; k < n; k++) {
        const int64_t i = at + k * VL, l = j + k * VL;
        span_prefetch_far(s->x, s->dtype, i + AHEAD);
        if (!s->streams) span_prefetch_write(y, s->dtype, i + AHEAD);
        const vf x = span_load(s->x, s->dtype, i, end);
        z[k] = vfma(x - vload(center + l), vload(scale + l), vload(offset + l));
    }
    if (s->act == ATH_ACT_SILU) vsilu(z, n);
    for (int k = 0; k < n; k++) {
        if (s->streams)
            span_stream(y, s->dtype, at + k * VL, z[k]);
        else
            span_store(y, s->dtype, at + k * VL, end, z[k]);
    }
}

VEC_INLINE void normalize(const norm *all, int64_t i, ath_act act, ath_dtype dtype)
{
    const norm s = kind_of(all, act, dtype);
    const int64_t first = start(&s, i), end = first + height(&s, i % s.blocks) * s.c;
    const float *center = s.spread + i / s.blocks * 4 * s.width;

    for (int64_t row = first; row < end; row += s.c) {
        int64_t j = 0;
        for (; j + VEC_TOGETHER * VL <= s.c; j += VEC_TOGETHER * VL)
            emit(&s, center, row + j, j, VEC_TOGETHER);
        for (; j < s.c; j += VL) emit(&s, center, row + j, j, 1);
    }
    if (s.streams) vstreamed();
}

/* Share t of n_threads of the blocks from `first` to `end` begins here. */
static int64_t share(int64_t first, int64_t end, int32_t t, int32_t n_threads)
{
    return first + (end - first) * t / n_threads;
}

static void measure_share(const norm *s, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++) SPAN_BY_DTYPE(s->dtype, measure, s, i);
}

/* What was read last comes first: a core's own cache still has it. */
static void normalize_share(const norm *s, int64_t first, int64_t end)
{
    for (int64_t i = end - 1; i >= first; i--) BY_KIND(normalize, s, i);
}

ath_err ATH_ISA_NAME(group_norm_fwd)(const ath_call *call)
{
    const norm s = norm_of(call);
    const int32_t n = call->site->n_threads;

    for (int64_t image = 0; image < s.images; image += s.wave) {
        const int64_t last = least(s.images, image + s.wave);
        const int64_t first = image * s.blocks, end = last * s.blocks;
        ATH_PARALLEL(n)
        {
            ATH_SHARE
            for (int32_t t = 0; t < n; t++)
                measure_share(&s, share(first, end, t, n), share(first, end, t + 1, n));
            ATH_SHARE
            for (int64_t i = image * s.runs; i < last * s.runs; i++) settle(&s, i);
            ATH_SHARE
            for (int32_t t = 0; t < n; t++)
                normalize_share(&s, share(first, end, t, n), share(first, end, t + 1, n));
        }
    }
    return ATH_OK;
}

/* xhat and dz of the lanes from element `at`, channels from j. */
VEC_INLINE vf dz_of(const norm *s, const float *spread, int64_t at, int64_t j, vf *xhat)
{
    const int64_t end = at + s->c - j;
    const vf x = span_load(s->x, s->dtype, at, end), dy = span_load(s->dy, s->dtype, at, end);

    span_prefetch(s->x, s->dtype, at + AHEAD);
    span_prefetch(s->dy, s->dtype, at + AHEAD);
    *xhat = (x - vload(spread + j)) * vload(spread + s->width + j);
    if (s->act != ATH_ACT_SILU) return dy;
    const vf z =
        vfma(*xhat, span_load(s->gamma, ATH_F32, j, s->c), span_load(s->beta, ATH_F32, j, s->c));
    const vf sigma = vsigmoid(z);
    return dy * sigma * vfma(z, vset(1.0f) - sigma, vset(1.0f));
}

VEC_INLINE void gather(const norm *all, int64_t i, ath_act act, ath_dtype dtype)
{
    const norm s = kind_of(all, act, dtype);
    const int64_t first = start(&s, i), end = first + height(&s, i % s.blocks) * s.c;
    const float *spread = s.spread + i / s.blocks * 4 * s.width;
    float *sum = s.part + i * 2 * s.width, *sum_xhat = sum + s.width;

    memset(sum, 0, (size_t)(2 * s.width) * sizeof *sum);
    for (int64_t row = first; row < end; row += s.c) {
        for (int64_t j = 0; j < s.c; j += VL) {
            vf xhat, dz = dz_of(&s, spread, row + j, j, &xhat);
            vstore(sum + j, vload(sum + j) + dz);
            vstore(sum_xhat + j, vfma(dz, xhat, vload(sum_xhat + j)));
        }
    }
}

/* Spreads mean and rstd of image n over the channels. */
static void recall(const norm *s, int64_t n)
{
    const float *mean = (const float *)s->call->saved[0] + n * s->groups;
    const float *rstd = (const float *)s->call->saved[1] + n * s->groups;
    float *spread = s->spread + n * 4 * s->width;

    for (int64_t j = 0; j < s->c; j++) {
        spread[j] = mean[j / s->l];
        spread[s->width + j] = rstd[j / s->l];
    }
}

/* Spreads the means of gamma * dz and gamma * dz * xhat over each group of image n. */
static void weigh(const norm *s, int64_t n)
{
    const float *part = s->part + n * s->blocks * 2 * s->width, *gamma = s->call->in[1];
    const double count = (double)(s->pixels * s->l);
    float *mean_dz = s->spread + (n * 4 + 2) * s->width, *slope = mean_dz + s->width;
    double a = 0, b = 0; /* of the group so far */

    for (int64_t first = 0; first < s->c; first += BLOCK_COLUMNS) {
        const int columns = (int)least(BLOCK_COLUMNS, s->c - first);
        double sum[BLOCK_COLUMNS] = {0}, sum_xhat[BLOCK_COLUMNS] = {0};
        block_add(part + first, 2 * s->width, s->blocks, columns, sum);
        block_add(part + s->width + first, 2 * s->width, s->blocks, columns, sum_xhat);
        for (int j = 0; j < columns; j++) {
            const int64_t seen = (first + j) % s->l;
            a = (seen ? a : 0) + (double)gamma[first + j] * sum[j];
            b = (seen ? b : 0) + (double)gamma[first + j] * sum_xhat[j];
            mean_dz[first + j - seen] = (float)(a / count);
            slope[first + j - seen] = (float)(b / count);
        }
    }
    for (int64_t j = 0; j < s->c; j++) {
        mean_dz[j] = mean_dz[j - j % s->l];
        slope[j] = slope[j - j % s->l];
    }
}

/* dx = rstd * (gamma dz - mean(gamma dz) - xhat * mean(gamma dz xhat)) */
VEC_INLINE void descend(const norm *all, int64_t i, ath_act act, ath_dtype dtype)
{
    const norm s = kind_of(all, act, dtype);
    const int64_t first = start(&s, i), end = first + height(&s, i % s.blocks) * s.c;
    const float *spread = s.spread + i / s.blocks * 4 * s.width, *rstd = spread + s.width;
    const float *mean_dz = rstd + s.width, *slope = mean_dz + s.width;
    const bool add = s.call->site->add & 1;
    void *dx = s.call->din[0];

    for (int64_t row = first; row < end; row += s.c) {
        for (int64_t j = 0; j < s.c; j += VL) {
            vf xhat, dz = dz_of(&s, spread, row + j, j, &xhat);
            vf d = vfma(dz, span_load(s.gamma, ATH_F32, j, s.c), -vload(mean_dz + j));
            d = vload(rstd + j) * vfma(-xhat, vload(slope + j), d);
            span_grad(dx, s.dtype, row + j, row + s.c, d, add);
        }
    }
}

ath_err ATH_ISA_NAME(group_norm_bwd)(const ath_call *call)
{
    const norm s = norm_of(call);
    const int32_t n_threads = call->site->n_threads;
    const uint32_t add = call->site->add;

    for (int64_t first = 0; first < s.images; first += s.wave) {
        const int64_t end = least(s.images, first + s.wave);
        ATH_PAR_FOR(n_threads)
        for (int64_t n = first; n < end; n++) recall(&s, n);
        ATH_PAR_FOR(n_threads)
        for (int64_t i = first * s.blocks; i < end * s.blocks; i++) BY_KIND(gather, &s, i);
        if (!call->din[0]) continue;
        ATH_PAR_FOR(n_threads)
        for (int64_t n = first; n < end; n++) weigh(&s, n);
        ATH_PAR_FOR(n_threads)
        for (int64_t i = first * s.blocks; i < end * s.blocks; i++) BY_KIND(descend, &s, i);
    }
    const int64_t n_columns = call->din[1] || call->din[2] ? s.c : 0;
    ATH_PAR_FOR(n_threads)
    for (int64_t j = 0; j < n_columns; j += BLOCK_COLUMNS) {
        const int columns = (int)least(BLOCK_COLUMNS, s.c - j);
        const int64_t step = 2 * s.width, n_blocks = s.images * s.blocks;
        float *dgamma = call->din[1], *dbeta = call->din[2];
        if (dgamma)
            block_grad(s.part + s.width + j, step, n_blocks, columns, dgamma + j, add >> 1 & 1);
        if (dbeta) block_grad(s.part + j, step, n_blocks, columns, dbeta + j, add >> 2 & 1);
    }
    return ATH_OK;
}
