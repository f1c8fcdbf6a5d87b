/*
 * The loops of opcheck that see every element: filling, comparing, guarding. Built optimized and
 * without sanitizers in every build, so that full-size shapes stay affordable in the checked one.
 */
#ifndef ATH_TESTS_OPS_ARRAY_H
#define ATH_TESTS_OPS_ARRAY_H

#include "core/err.h"
#include "kernels/dtype.h"

/* Memory with a known pattern on both sides; `p` is aligned to 64, the far guard begins at the
 * byte behind the last. {0} is empty and intact. */
typedef struct ath_guarded {
    char *base; /* owned */
    void *p;
    size_t bytes;
} ath_guarded;

ATH_MUST ath_err ath_guarded_init(ath_guarded *g, size_t bytes, const char *what);
void ath_guarded_release(ath_guarded *g);
/* Of all of it from `base` on, guards included. */
size_t ath_guarded_span(const ath_guarded *g);
bool ath_guarded_is_intact(const ath_guarded *g);

typedef struct ath_stream_name {
    uint32_t key[2], slot;
} ath_stream_name;

/* The random stream of one array of a case; slots keep its arrays apart. */
ath_stream_name ath_fill_stream(uint64_t seed, const char *name, int slot);

/* What the elements of an array are: a pure function of (stream, index).
 *     kind  A W F H  normal * scale      O  normal + 30     G  1 + normal / 5 
 *           B P D    [0.5, 1.5)          T  [0, 1000)       M  1.5, the last third 0
 *           I        whole, [0, range)   K  any 32 bits */
typedef struct ath_fill {
    char kind;
    double scale;
    int64_t range;
    ath_stream_name stream;
} ath_fill;

/* Every value is rounded through the dtype `data` and then stored as `dtype`. */
void ath_array_fill(void *p, ath_dtype dtype, int64_t n, ath_dtype data, const ath_fill *fill);

/* How far `got` is from `want` (+ `base`, where not NULL). Where all that is wanted is 0, norm and
 * root mean square count as 1. */
typedef struct ath_diff {
    double rel; /* L2 norm of the difference / L2 norm of what is wanted */
    double max; /* largest |difference| / (|wanted| + root mean square of the wanted) */
    int64_t at; /* where: the index of `max`, or of the first NaN */
    double got, want;
} ath_diff;

ath_diff ath_array_diff(const void *got, ath_dtype dtype, int64_t n, const double *want,
                        const double *base);

double ath_array_dot(int64_t n, const double *a, const double *b);
/* y += c x */
void ath_array_axpy(int64_t n, double c, const double *x, double *y);

/* The first element whose bytes differ; n where none does. */
int64_t ath_array_first_unequal(const void *a, const void *b, ath_dtype dtype, int64_t n);

/* The first i where sum[i] is not base[i] + term[i]; n where there is none. In bf16 and f16 one
 * rounding of the term and one of the sum are allowed, in f32 and f64 16 of each: a product may add
 * its terms to the base one by one. */
int64_t ath_array_first_unadded(const void *sum, const void *base, const void *term,
                                ath_dtype dtype, int64_t n);

/* Reads `bytes` bytes, each thread its share: afterwards the caches hold nothing else. */
uint64_t ath_array_evict(const void *p, size_t bytes, int n_threads);

#endif
