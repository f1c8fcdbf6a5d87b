#include "kernels/conv2d_ref.h"

#include "kernels/par.h"
#include "kernels/product_ref.h"
#include <string.h>

/* The call with its operands as `real`. */
typedef struct conv {
    ath_conv2d_dims d;
    const ath_conv2d_attr *attr;
    real *x, *y, *taps, *slabs; /* y is dy in backward; taps [I,J,from,to] */
    int n_threads;
} conv;

static conv open_call(const ath_call *c)
{
    const ath_conv2d_dims d = ath_conv2d_get_dims(c->site);
    real *x = c->scratch;
    real *y = x + d.n * d.h * d.w * d.c, *taps = y + d.n * d.p * d.q * d.o;
    real *slabs = taps + d.o * d.c * d.i * d.j;
    return (conv){d, c->site->attr, x, y, taps, slabs, c->site->n_threads};
}

static real *slab(const conv *v, int t)
{
    return v->slabs + t * ath_conv2d_ref_slab(&v->d);
}

static void load(const conv *v, const void *from, const ath_desc *desc, real *to)
{
    const int64_t n = ath_desc_count(desc);

    ATH_PAR_FOR(v->n_threads)
    for (int64_t i = 0; i < n; i++) to[i] = ref_get(from, desc->dtype, i);
}

/* The weight as I*J matrices: [C,O] for y = x W, [O,C] for dx = dy W^T. */
static void load_taps(const conv *v, const void *weight, ath_dtype dtype, bool transposed)
{
    const int64_t n_taps = v->d.i * v->d.j, n = v->d.o * v->d.c;

    ATH_PAR_FOR(v->n_threads)
    for (int64_t k = 0; k < n; k++) {
        const int64_t o = k / v->d.c, c = k % v->d.c;
        const int64_t to = transposed ? o * v->d.c + c : c * v->d.o + o;
        for (int64_t tap = 0; tap < n_taps; tap++)
            v->taps[tap * n + to] = ref_get(weight, dtype, k * n_taps + tap);
    }
}

/* The pixel of x that meets pixel `row` of y at a tap; -1 outside the image. */
static int64_t pixel_of_x(const conv *v, int64_t row, int64_t tap)
{
    const ath_conv2d_dims *d = &v->d;
    const int64_t q = row % d->q, p = row / d->q % d->p, n = row / d->q / d->p;
    const int64_t h = p * v->attr->stride + tap / d->j - v->attr->top;
    const int64_t w = q * v->attr->stride + tap % d->j - v->attr->left;
    return h >= 0 && h < d->h && w >= 0 && w < d->w ? (n * d->h + h) * d->w + w : -1;
}

/* The other way: the pixel of y that pixel `row` of x reaches through a tap; -1 where none. */
static int64_t pixel_of_y(const conv *v, int64_t row, int64_t tap)
{
    const ath_conv2d_dims *d = &v->d;
    const int64_t w = row % d->w, h = row / d->w % d->h, n = row / d->w / d->h;
    const int64_t p = h + v->attr->top - tap / d->j, q = w + v->attr->left - tap % d->j;
    const int64_t s = v->attr->stride;
    const bool meets = p >= 0 && p % s == 0 && p / s < d->p && q >= 0 && q % s == 0 && q / s < d->q;
    return meets ? (n * d->p + p / s) * d->q + q / s : -1;
}

typedef int64_t pixel_fn(const conv *v, int64_t row, int64_t tap);

typedef struct range {
    int64_t first, end, tap;
} range;

/* The pixel of an image that each row of a range meets; zeros where there is none. */
static void gather(const conv *v, pixel_fn *pixel, const real *image, int64_t n_channels,
                   const range *rows, real *to)
{
    for (int64_t r = rows->first; r < rows->end; r++, to += n_channels) {
        const int64_t at = pixel(v, r, rows->tap);
        if (at < 0)
            memset(to, 0, (size_t)n_channels * sizeof *to);
        else
            memcpy(to, image + at * n_channels, (size_t)n_channels * sizeof *to);
    }
}

/* y of x, or dx of dy: out[rows, n_to] (=|+=) bias + the sum over taps of gathered pixels
 * [rows, n_from] times taps [n_from, n_to]; taps in order, channels in order within. */
typedef struct side {
    pixel_fn *pixel;
    const real *image, *bias;
    int64_t n_from, n_to, rows;
    void *out;
    ath_dtype dtype;
    bool add;
} side;

static void side_block(const conv *v, const side *s, int64_t r0, real *work)
{
    const int64_t r1 = r0 + CONV2D_REF_ROWS < s->rows ? r0 + CONV2D_REF_ROWS : s->rows;
    const int64_t from = s->n_from, to = s->n_to;
    real *patch = work, *sum = work + CONV2D_REF_ROWS * from;

    for (int64_t k = 0; k < (r1 - r0) * to; k++) sum[k] = s->bias ? s->bias[k % to] : 0;
    for (int64_t tap = 0; tap < v->d.i * v->d.j; tap++) {
        const real *matrix = v->taps + tap * from * to;
        gather(v, s->pixel, s->image, from, &(range){r0, r1, tap}, patch);
        ATH_REF_NAME(gemm)(r1 - r0, to, from, patch, from, matrix, to, sum, to);
    }
    for (int64_t k = 0; k < (r1 - r0) * to; k++)
        ref_grad(s->out, s->dtype, r0 * to + k, sum[k], s->add);
}

static void run_side(const conv *v, const side *s)
{
    ATH_PAR_FOR(v->n_threads)
    for (int t = 0; t < v->n_threads; t++)
        for (int64_t r0 = t * CONV2D_REF_ROWS; r0 < s->rows; r0 += v->n_threads * CONV2D_REF_ROWS)
            side_block(v, s, r0, slab(v, t));
}

/* dweight[o0.., :, tap]: pixels of y in order. */
static void dweight_block(const conv *v, const ath_call *call, int64_t tap, int64_t o0, real *work)
{
    const ath_conv2d_dims *d = &v->d;
    const int64_t end = o0 + CONV2D_REF_CHANNELS < d->o ? o0 + CONV2D_REF_CHANNELS : d->o;
    const int64_t rows = d->n * d->p * d->q, n = end - o0;
    real *patch = work, *sum = patch + CONV2D_REF_ROWS * d->c;
    real *dy = sum + CONV2D_REF_CHANNELS * d->c; /* [n, r1 - r0] */

    memset(sum, 0, (size_t)(n * d->c) * sizeof *sum);
    for (int64_t r0 = 0; r0 < rows; r0 += CONV2D_REF_ROWS) {
        const int64_t r1 = r0 + CONV2D_REF_ROWS < rows ? r0 + CONV2D_REF_ROWS : rows;
        for (int64_t o = o0; o < end; o++)
            for (int64_t r = r0; r < r1; r++)
                dy[(o - o0) * (r1 - r0) + r - r0] = v->y[r * d->o + o];
        gather(v, pixel_of_x, v->x, d->c, &(range){r0, r1, tap}, patch);
        ATH_REF_NAME(gemm)(n, d->c, r1 - r0, dy, r1 - r0, patch, d->c, sum, d->c);
    }
    for (int64_t k = 0; k < n * d->c; k++)
        ref_grad(call->din[1], ATH_REF_REAL, (o0 * d->c + k) * d->i * d->j + tap, sum[k],
                 call->site->add >> 1 & 1);
}

static void run_dweight(const conv *v, const ath_call *call)
{
    const int64_t n_taps = v->d.i * v->d.j;
    const int64_t n_blocks = (v->d.o + CONV2D_REF_CHANNELS - 1) / CONV2D_REF_CHANNELS * n_taps;

    ATH_PAR_FOR(v->n_threads)
    for (int t = 0; t < v->n_threads; t++)
        for (int64_t k = t; k < n_blocks; k += v->n_threads)
            dweight_block(v, call, k % n_taps, k / n_taps * CONV2D_REF_CHANNELS, slab(v, t));
}

ath_err ATH_REF_NAME(conv2d_fwd)(const ath_call *c)
{
    const ath_site *s = c->site;
    const conv v = open_call(c);
    const side y = {pixel_of_x,      v.x,  c->in[2], v.d.c, v.d.o, v.d.n * v.d.p * v.d.q, c->out[0],
                    s->out[0].dtype, false};

    load(&v, c->in[0], &s->in[0], v.x);
    load_taps(&v, c->in[1], s->in[1].dtype, false);
    run_side(&v, &y);
    return ATH_OK;
}

ath_err ATH_REF_NAME(conv2d_bwd)(const ath_call *c)
{
    const ath_site *s = c->site;
    const conv v = open_call(c);
    const side dx = {
        pixel_of_y,      v.y,       NULL, v.d.o, v.d.c, v.d.n * v.d.h * v.d.w, c->din[0],
        s->din[0].dtype, s->add & 1};

    if (c->din[0] || c->din[1]) load(&v, c->dout[0], &s->out[0], v.y);
    if (c->din[0]) {
        load_taps(&v, c->in[1], s->in[1].dtype, true);
        run_side(&v, &dx);
    }
    if (c->din[1]) {
        load(&v, c->in[0], &s->in[0], v.x);
        run_dweight(&v, c);
    }
    if (c->din[2]) ATH_REF_NAME(bias_grad)(c, 2);
    return ATH_OK;
}
