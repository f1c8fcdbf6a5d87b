/*
 * Flat arrays in x_cpu.c files: cut into spans of a fixed length, one thread a span, so the cut
 * never depends on the number of threads; loads and stores of F32 and BF16 that mind the end.
 */
#ifndef ATH_KERNELS_SPAN_H
#define ATH_KERNELS_SPAN_H

#include "kernels/dtype.h"
#include "kernels/vec.h"
#include <stdbool.h>

enum { SPAN = 16 * 1024, LINE = 64, STREAM = ATH_TORTURE ? 256 : 1 << 20 };

static inline int64_t span_count(int64_t n)
{
    return (n + SPAN - 1) / SPAN;
}

static inline int64_t span_end(int64_t s, int64_t n)
{
    return (s + 1) * SPAN < n ? (s + 1) * SPAN : n;
}

/* loop(..., dtype) with the type as a constant: an always-inline loop is compiled once for each type,
 * and keeps its constants in registers where a branch inside would load them again and again. */
#define SPAN_BY_DTYPE(dtype, loop, ...) \
    ((dtype) == ATH_F32 ? loop(__VA_ARGS__, ATH_F32) : loop(__VA_ARGS__, ATH_BF16))

/* Lanes i.. of p; those at or after `end` read as 0 and are not written. */
static inline vf span_load(const void *p, ath_dtype dtype, int64_t i, int64_t end)
{
    const int n = end - i < VL ? (int)(end - i) : VL;
    if (dtype == ATH_F32)
        return n == VL ? vload((const float *)p + i) : vload_n((const float *)p + i, n, 0);
    return n == VL ? vload_bf16((const uint16_t *)p + i) : vload_bf16_n((const uint16_t *)p + i, n);
}

static inline void span_store(void *p, ath_dtype dtype, int64_t i, int64_t end, vf x)
{
    const int n = end - i < VL ? (int)(end - i) : VL;
    if (dtype == ATH_F32) {
        if (n == VL)
            vstore((float *)p + i, x);
        else
            vstore_n((float *)p + i, x, n);
    } else {
        if (n == VL)
            vstore_bf16((uint16_t *)p + i, x);
        else
            vstore_bf16_n((uint16_t *)p + i, x, n);
    }
}

/* Whether `bytes` bytes written to p in whole lines had better go past the caches: they would
 * not stay in a core's own beside what is read for them, and rows of `row` elements begin on lines. */
static inline bool span_streams(const void *p, ath_dtype dtype, int64_t row, int64_t count)
{
    const int64_t size = dtype == ATH_F32 ? 4 : 2;
    return count * size > STREAM && (uintptr_t)p % LINE == 0 && row * size % LINE == 0;
}

/* span_store of all lanes, where span_streams allows it; vstreamed() ends it. */
static inline void span_stream(void *p, ath_dtype dtype, int64_t i, vf x)
{
    if (dtype == ATH_F32)
        vstream((float *)p + i, x);
    else
        vstream_bf16((uint16_t *)p + i, x);
}

/* Asks for the memory of element i, which may lie behind the end: where a loop jumps, or passes over
 * so little work that the processor's own guess does not reach far enough. */
static inline void span_prefetch(const void *p, ath_dtype dtype, int64_t i)
{
    __builtin_prefetch((const char *)p + i * (dtype == ATH_F32 ? 4 : 2));
}

/* The same for what is read later than the innermost cache would keep it. */
static inline void span_prefetch_far(const void *p, ath_dtype dtype, int64_t i)
{
    __builtin_prefetch((const char *)p + i * (dtype == ATH_F32 ? 4 : 2), 0, 2);
}

/* The same for what is going to be written. */
static inline void span_prefetch_write(const void *p, ath_dtype dtype, int64_t i)
{
    __builtin_prefetch((const char *)p + i * (dtype == ATH_F32 ? 4 : 2), 1, 3);
}

/* x with the lanes at or after `end` set to 0: for sums. */
static inline vf span_keep(vf x, int64_t i, int64_t end)
{
    return end - i < VL ? vkeep(x, (int)(end - i)) : x;
}

static inline void span_grad(void *p, ath_dtype dtype, int64_t i, int64_t end, vf x, bool add)
{
    span_store(p, dtype, i, end, add ? span_load(p, dtype, i, end) + x : x);
}

#endif
