/*
 * Plain copies and sums in x_cpu.c files: rows, concat, the gradients of sums. F32 or BF16 on both
 * sides; a strip is `rows` runs of `cols` elements, each side with a distance of its own from run
 * to run. Work is cut into spans of the strip's elements, whatever the length of a run.
 */
#ifndef ATH_KERNELS_COPY_SPAN_H
#define ATH_KERNELS_COPY_SPAN_H

#include "kernels/par.h"
#include "kernels/span.h"

typedef struct copy_strip {
    ath_dtype dtype;
    int64_t rows, cols;
    void *to;
    const void *from;
    int64_t to_at, from_at;         /* index of the first element */
    int64_t to_stride, from_stride; /* from run to run; of no matter where rows is 1 */
    bool add;                       /* to += from, else to = from */
} copy_strip;

static inline void *copy_to(void *p, ath_dtype dtype, int64_t i)
{
    return (char *)p + i * (dtype == ATH_F32 ? 4 : 2);
}

static inline const void *copy_from(const void *p, ath_dtype dtype, int64_t i)
{
    return (const char *)p + i * (dtype == ATH_F32 ? 4 : 2);
}

/* One run by one thread. */
static inline void copy_run(void *to, const void *from, ath_dtype dtype, int64_t n, bool add)
{
    if (!add) {
        memcpy(to, from, (size_t)n * (dtype == ATH_F32 ? 4 : 2));
        return;
    }
    for (int64_t i = 0; i < n; i += VL)
        span_grad(to, dtype, i, n, span_load(from, dtype, i, n), true);
}

static inline void copy_strips(const copy_strip *m, int32_t n_threads)
{
    const int64_t n = m->rows * m->cols, n_spans = span_count(n);

    ATH_PAR_FOR(n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t end = span_end(s, n);
        for (int64_t i = s * SPAN, run; i < end; i += run) {
            const int64_t row = i / m->cols, col = i % m->cols;
            run = end - i < m->cols - col ? end - i : m->cols - col;
            copy_run(copy_to(m->to, m->dtype, m->to_at + row * m->to_stride + col),
                     copy_from(m->from, m->dtype, m->from_at + row * m->from_stride + col),
                     m->dtype, run, m->add);
        }
    }
}

/* Elements first .. end of p become 0. */
static inline void copy_zero(void *p, ath_dtype dtype, int64_t first, int64_t end,
                             int32_t n_threads)
{
    const int64_t n = end - first, n_spans = span_count(n);

    ATH_PAR_FOR(n_threads)
    for (int64_t s = 0; s < n_spans; s++) {
        const int64_t i = s * SPAN, bytes = dtype == ATH_F32 ? 4 : 2;
        memset(copy_to(p, dtype, first + i), 0, (size_t)((span_end(s, n) - i) * bytes));
    }
}

#endif
