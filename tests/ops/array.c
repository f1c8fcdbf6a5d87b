#include "tests/ops/array.h"

#include "core/half.h"
#include "core/mem.h"
#include "core/rng.h"
#include "kernels/par.h"

#include <math.h>
#include <string.h>

enum { GUARD = 256, GUARD_BYTE = 0xa5, FILL_THREADS = 2 };

ath_err ath_guarded_init(ath_guarded *g, size_t bytes, const char *what)
{
    ATH_TRY(ath_mem_new(bytes + 2 * GUARD, 1, what, (void **)&g->base));
    g->p = g->base + GUARD;
    g->bytes = bytes;
    memset(g->base, GUARD_BYTE, GUARD);
    memset(g->base + GUARD + bytes, GUARD_BYTE, GUARD);
    return ATH_OK;
}

void ath_guarded_release(ath_guarded *g)
{
    ath_mem_free(&g->base);
    *g = (ath_guarded){0};
}

size_t ath_guarded_span(const ath_guarded *g)
{
    return g->bytes + 2 * GUARD;
}

bool ath_guarded_is_intact(const ath_guarded *g)
{
    for (size_t i = 0; g->base && i < GUARD; i++)
        if ((uint8_t)g->base[i] != GUARD_BYTE ||
            (uint8_t)g->base[GUARD + g->bytes + i] != GUARD_BYTE)
            return false;
    return true;
}

ath_stream_name ath_fill_stream(uint64_t seed, const char *name, int slot)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return (ath_stream_name){{(uint32_t)seed, h}, (uint32_t)slot};
}

/* Mean 0, variance 1, at most 3.47 in size: four words of 16 bits; cheaper than ath_normal4. */
static double normal(const uint32_t word[2])
{
    const uint32_t sum =
        (word[0] & 0xffff) + (word[0] >> 16) + (word[1] & 0xffff) + (word[1] >> 16);
    return ((double)sum - 131070) * (1.7320508075688772 / 65536);
}

/* Element i of n, from its two random words. */
static double value(const ath_fill *f, int64_t n, int64_t i, const uint32_t word[2])
{
    switch (f->kind) {
    case 'O':
        return 30 + normal(word);
    case 'G':
        return 1 + normal(word) / 5;
    case 'B':
    case 'P':
    case 'D':
        return 0.5 + ath_uniform_f64(word[0], word[1]);
    case 'T':
        return 1000 * ath_uniform_f64(word[0], word[1]);
    case 'M':
        return i < n - n / 3 ? 1.5 : 0;
    case 'I':
        return (double)((int64_t)word[0] % f->range);
    case 'K':
        return (double)(int32_t)word[0];
    default:
        return normal(word) * f->scale;
    }
}

/* ath_dtype_get and ath_dtype_put, here where they are optimized in every build. */
static double get(const void *p, ath_dtype dtype, int64_t i)
{
    if (dtype == ATH_F64) return ((const double *)p)[i];
    if (dtype == ATH_F32) return (double)((const float *)p)[i];
    if (dtype == ATH_BF16) return (double)ath_f32_of_bf16(((const uint16_t *)p)[i]);
    return ath_dtype_get(p, dtype, i);
}

static void put(void *p, ath_dtype dtype, int64_t i, double x)
{
    if (dtype == ATH_F64)
        ((double *)p)[i] = x;
    else if (dtype == ATH_F32)
        ((float *)p)[i] = (float)x;
    else if (dtype == ATH_BF16)
        ((uint16_t *)p)[i] = ath_bf16_of_f32(ath_f32_odd_of_f64(x));
    else
        ath_dtype_put(p, dtype, i, x);
}

/* The nearest value of a dtype. */
static double rounded(double x, ath_dtype dtype)
{
    double as;

    put(&as, dtype, 0, x);
    return get(&as, dtype, 0);
}

void ath_array_fill(void *p, ath_dtype dtype, int64_t n, ath_dtype data, const ath_fill *fill)
{
    ATH_PAR_FOR(FILL_THREADS)
    for (int64_t b = 0; b < (n + 1) / 2; b++) {
        uint32_t word[4] = {(uint32_t)b, (uint32_t)(b >> 32), fill->stream.slot, 0};
        ath_philox(word, fill->stream.key, word);
        for (int64_t i = 2 * b; i < 2 * b + 2 && i < n; i++)
            put(p, dtype, i, rounded(value(fill, n, i, word + 2 * (i % 2)), data));
    }
}

ath_diff ath_array_diff(const void *got, ath_dtype dtype, int64_t n, const double *want,
                        const double *base)
{
    double want2 = 0, diff2 = 0;
    ath_diff d = {.max = -1};

    for (int64_t i = 0; i < n; i++) {
        double w = want[i] + (base ? base[i] : 0), x = get(got, dtype, i) - w;
        want2 += w * w;
        diff2 += x * x;
    }
    const double rms = want2 > 0 ? sqrt(want2 / (double)n) : 1;
    d.rel = sqrt(diff2) / (want2 > 0 ? sqrt(want2) : 1);
    for (int64_t i = 0; i < n; i++) {
        double g = get(got, dtype, i), w = want[i] + (base ? base[i] : 0);
        double x = g == w ? 0 : fabs(g - w) / (fabs(w) + rms);
        if (x <= d.max) continue;
        d = (ath_diff){d.rel, x, i, g, w};
        if (x != x) break;
    }
    return d;
}

double ath_array_dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void ath_array_axpy(int64_t n, double c, const double *x, double *y)
{
    for (int64_t i = 0; i < n; i++) y[i] += c * x[i];
}

int64_t ath_array_first_unequal(const void *a, const void *b, ath_dtype dtype, int64_t n)
{
    const size_t size = ath_dtype_bytes(dtype);
    int64_t i = 0;

    if (memcmp(a, b, (size_t)n * size) == 0) return n;
    while (memcmp((const char *)a + (size_t)i * size, (const char *)b + (size_t)i * size, size) ==
           0)
        i++;
    return i;
}

int64_t ath_array_first_unadded(const void *sum, const void *base, const void *term,
                                ath_dtype dtype, int64_t n)
{
    const double rounding = dtype == ATH_F64 ? 0x1p-49 : dtype == ATH_F32 ? 0x1p-20 : 0x1.02p-8;

    for (int64_t i = 0; i < n; i++) {
        double b = get(base, dtype, i), t = get(term, dtype, i), size = fabs(t) + fabs(b + t);
        if (!(fabs(get(sum, dtype, i) - (b + t)) <= rounding * size)) return i;
    }
    return n;
}

uint64_t ath_array_evict(const void *p, size_t bytes, int n_threads)
{
    const size_t line = 64;
    uint64_t seen[64] = {0}, all = 0;

    if (n_threads > 64) n_threads = 64;
    ATH_PAR_FOR(n_threads)
    for (int t = 0; t < n_threads; t++) {
        uint64_t sum = 0;
        const size_t n = bytes / line, end = n * ((size_t)t + 1) / (size_t)n_threads;
        for (size_t i = n * (size_t)t / (size_t)n_threads; i < end; i++)
            sum += ((const uint8_t *)p)[i * line];
        seen[t] = sum;
    }
    for (int t = 0; t < n_threads; t++) all += seen[t];
    return all;
}
