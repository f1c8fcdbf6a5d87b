#include "worker/data/picture.h"

#include "core/mem.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, FRACTION_BITS = 22 };

ath_picture_fit ath_picture_centre(ath_picture_fit fit)
{
    fit.left = (fit.resized_width - fit.width) / 2;
    fit.top = (fit.resized_height - fit.height) / 2;
    return fit;
}

static uint8_t to_byte(int64_t x)
{
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* ---- area, as OpenCV ---- */

/* Source pixel `from` counts `weight` in the target pixel `to`. */
typedef struct part {
    int32_t from, to;
    float weight;
} part;

static double scale_of(int32_t from, int32_t to)
{
    return 1 / ((double)to / from);
}

/* At most two parts at the borders and one for each source pixel between. */
static ath_err cut_area(int32_t n_from, int32_t n_to, part **out, int32_t *n)
{
    const double scale = scale_of(n_from, n_to), least = 1e-3;
    part *p = NULL;
    int32_t k = 0;

    ATH_TRY(ATH_NEW((int64_t)n_from + 2 * (int64_t)n_to, "resizing", &p));
    for (int32_t i = 0; i < n_to; i++) {
        const double low = i * scale, high = low + scale, cell = fmin(scale, n_from - low);
        int32_t first = (int32_t)ceil(low), end = (int32_t)floor(high);
        if (end > n_from - 1) end = n_from - 1;
        if (first > end) first = end;
        if (first - low > least) p[k++] = (part){first - 1, i, (float)((first - low) / cell)};
        for (int32_t j = first; j < end; j++) p[k++] = (part){j, i, (float)(1 / cell)};
        if (high - end > least)
            p[k++] = (part){end, i, (float)(fmin(fmin(high - end, 1), cell) / cell)};
    }
    *out = p;
    *n = k;
    return ATH_OK;
}

/* The parts of one row, each sum in the order of the source. */
static void add_columns(const part *p, int32_t n, const uint8_t *from, float *to)
{
    for (int32_t k = 0; k < n; k++)
        for (int c = 0; c < CHANNELS; c++)
            to[p[k].to * CHANNELS + c] += (float)from[p[k].from * CHANNELS + c] * p[k].weight;
}

static void round_row(int32_t n, const float *from, uint8_t *to)
{
    for (int32_t i = 0; i < n; i++) to[i] = to_byte(lrintf(from[i]));
}

static ath_err resize_area(const ath_image *image, ath_image *out)
{
    const int32_t n = out->width * CHANNELS;
    part *column = NULL, *row = NULL;
    int32_t n_columns = 0, n_rows = 0;
    float *one = NULL, *sum = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(cut_area(image->width, out->width, &column, &n_columns));
    ATH_TRY_OUT(cut_area(image->height, out->height, &row, &n_rows));
    ATH_TRY_OUT(ATH_NEW(n, "resizing", &one));
    ATH_TRY_OUT(ATH_NEW(n, "resizing", &sum));
    for (int32_t k = 0; k < n_rows; k++) {
        const bool is_first = k == 0 || row[k].to != row[k - 1].to;
        const bool is_last = k + 1 == n_rows || row[k].to != row[k + 1].to;
        memset(one, 0, (size_t)n * sizeof *one);
        add_columns(column, n_columns, image->rgb + (int64_t)row[k].from * image->width * CHANNELS,
                    one);
        for (int32_t i = 0; i < n; i++) {
            const float x = row[k].weight * one[i];
            sum[i] = is_first ? x : sum[i] + x;
        }
        if (is_last) round_row(n, sum, out->rgb + (int64_t)row[k].to * n);
    }
out:
    ath_mem_free(&column);
    ath_mem_free(&row);
    ath_mem_free(&one);
    ath_mem_free(&sum);
    return err;
}

static int32_t sum_block(const uint8_t *from, int64_t pitch, int32_t by_x, int32_t by_y)
{
    int32_t sum = 0;

    for (int32_t y = 0; y < by_y; y++, from += pitch)
        for (int32_t x = 0; x < by_x; x++) sum += from[x * CHANNELS];
    return sum;
}

/* Both scales whole: sums of whole numbers. Of four pixels the half is rounded up, else to even. */
static void average_blocks(const ath_image *image, int32_t by_x, int32_t by_y, ath_image *out)
{
    const float share = 1.0f / (float)(by_x * by_y);
    const int64_t pitch = (int64_t)image->width * CHANNELS, row = (int64_t)out->width * CHANNELS;

    for (int64_t i = 0; i < out->height * row; i++) {
        const uint8_t *from = image->rgb + i / row * by_y * pitch;
        const int64_t column = i % row / CHANNELS * by_x * CHANNELS + i % CHANNELS;
        const int32_t sum = sum_block(from + column, pitch, by_x, by_y);
        out->rgb[i] = by_x == 2 && by_y == 2 ? (uint8_t)((sum + 2) >> 2)
                                             : to_byte(lrintf((float)sum * share));
    }
}

static bool is_whole(double scale)
{
    return fabs(scale - rint(scale)) < DBL_EPSILON;
}

/* ---- Lanczos, as Pillow ---- */

/* For each target pixel: from which source pixel on, how many, and their weights as fractions. */
typedef struct kernel {
    int32_t room;
    int32_t *first, *n, *weight; /* weight [target, room] */
} kernel;

static void drop_kernel(kernel *k)
{
    ath_mem_free(&k->first);
    ath_mem_free(&k->n);
    ath_mem_free(&k->weight);
}

static double sinc(double x)
{
    const double at = x * 3.14159265358979323846;

    return x == 0 ? 1 : sin(at) / at;
}

static double lanczos(double x)
{
    return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static void weigh(const kernel *k, int32_t i, double centre, double by)
{
    double sum = 0;

    for (int32_t j = 0; j < k->n[i]; j++) sum += lanczos((j + k->first[i] - centre + 0.5) * by);
    for (int32_t j = 0; j < k->n[i]; j++) {
        double w = lanczos((j + k->first[i] - centre + 0.5) * by);
        if (sum != 0) w /= sum;
        w *= 1 << FRACTION_BITS;
        k->weight[(int64_t)i * k->room + j] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
}

static ath_err make_kernel(int32_t n_from, int32_t n_to, kernel *k)
{
    const double scale = (double)n_from / n_to, wide = scale < 1 ? 1 : scale;
    const double support = 3 * wide;

    k->room = (int32_t)ceil(support) * 2 + 1;
    ATH_TRY(ATH_NEW(n_to, "resizing", &k->first));
    ATH_TRY(ATH_NEW(n_to, "resizing", &k->n));
    ATH_TRY(ATH_NEW((int64_t)n_to * k->room, "resizing", &k->weight));
    for (int32_t i = 0; i < n_to; i++) {
        const double centre = (i + 0.5) * scale;
        int32_t first = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (end > n_from) end = n_from;
        k->first[i] = first;
        k->n[i] = end - first;
        weigh(k, i, centre, 1 / wide);
    }
    return ATH_OK;
}

/* One target value from source values that lie `step` apart. */
static uint8_t mix(const kernel *k, int32_t i, const uint8_t *from, int64_t step)
{
    const int32_t *weight = k->weight + (int64_t)i * k->room;
    int64_t sum = 1 << (FRACTION_BITS - 1);

    from += k->first[i] * step;
    for (int32_t j = 0; j < k->n[i]; j++) sum += (int64_t)from[j * step] * weight[j];
    return to_byte(sum >> FRACTION_BITS);
}

/* A pass over one axis makes bytes again; one that changes nothing is left out. */
static ath_err resize_lanczos(const ath_image *image, ath_image *out)
{
    const int64_t width = out->width, pitch = width * CHANNELS;
    kernel across = {0}, down = {0};
    uint8_t *wide = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(make_kernel(image->width, out->width, &across));
    ATH_TRY_OUT(make_kernel(image->height, out->height, &down));
    ATH_TRY_OUT(ATH_NEW(image->height * pitch, "resizing", &wide));
    for (int64_t i = 0; i < image->height * pitch; i++) {
        const int64_t y = i / pitch, c = i % CHANNELS;
        const int32_t x = (int32_t)(i / CHANNELS % width);
        const uint8_t *row = image->rgb + y * image->width * CHANNELS;
        wide[i] =
            image->width == width ? row[x * CHANNELS + c] : mix(&across, x, row + c, CHANNELS);
    }
    for (int64_t i = 0; i < out->height * pitch; i++)
        out->rgb[i] = image->height == out->height
                          ? wide[i]
                          : mix(&down, (int32_t)(i / pitch), wide + i % pitch, pitch);
out:
    drop_kernel(&across);
    drop_kernel(&down);
    ath_mem_free(&wide);
    return err;
}

/* ---- */

static ath_err resize(const ath_image *image, ath_image *out)
{
    if (image->width < out->width || image->height < out->height) return resize_lanczos(image, out);
    const double x = scale_of(image->width, out->width), y = scale_of(image->height, out->height);
    if (!is_whole(x) || !is_whole(y)) return resize_area(image, out);
    average_blocks(image, (int32_t)rint(x), (int32_t)rint(y), out);
    return ATH_OK;
}

ath_err ath_picture_resize(const ath_image *image, int32_t width, int32_t height, ath_image *out)
{
    ath_image made = {.width = width, .height = height};

    ATH_NEED(width > 0 && height > 0 && width <= ATH_PICTURE_SIDE_MAX &&
                 height <= ATH_PICTURE_SIDE_MAX,
             ATH_ELIMIT, "a picture resized to %dx%d, wanted 1 to %d per side", width, height,
             ATH_PICTURE_SIDE_MAX);
    ATH_TRY(ATH_NEW((int64_t)width * height * CHANNELS, "resized picture", &made.rgb));
    const ath_err err = resize(image, &made);
    if (err)
        ath_image_release(&made);
    else
        *out = made;
    return err;
}

static void cut(const ath_image *image, const ath_picture_fit *fit, float *out)
{
    for (int32_t y = 0; y < fit->height; y++)
        for (int32_t x = 0; x < fit->width; x++) {
            const int64_t column = fit->left + (fit->mirror ? fit->width - 1 - x : x);
            const uint8_t *from =
                image->rgb + ((int64_t)(fit->top + y) * image->width + column) * CHANNELS;
            for (int c = 0; c < CHANNELS; c++) *out++ = ((float)from[c] / 255 - 0.5f) / 0.5f;
        }
}

ath_err ath_picture_make(const ath_image *image, const ath_picture_fit *fit, float *out)
{
    const bool is_same = image->width == fit->resized_width && image->height == fit->resized_height;
    ath_image resized = {0};

    ATH_NEED(fit->left >= 0 && fit->top >= 0 && fit->width > 0 && fit->height > 0 &&
                 fit->left <= fit->resized_width - fit->width &&
                 fit->top <= fit->resized_height - fit->height,
             ATH_ESHAPE, "a picture of %dx%d cannot be cut to %dx%d at %d, %d", fit->resized_width,
             fit->resized_height, fit->width, fit->height, fit->left, fit->top);
    if (!is_same)
        ATH_TRY(ath_picture_resize(image, fit->resized_width, fit->resized_height, &resized));
    cut(is_same ? image : &resized, fit, out);
    ath_image_release(&resized);
    return ATH_OK;
}
