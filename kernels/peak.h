/*
 * What this machine can do, measured now: the figures that a kernel's speed is held against.
 */
#ifndef ATH_KERNELS_PEAK_H
#define ATH_KERNELS_PEAK_H

#include "core/err.h"
#include <stdint.h>

/* GFLOP/s of f32 multiply-adds between registers at the ISA level in use (two roundings on the
 * baseline), all threads together: the median of several runs, a few tenths of a second. */
double ath_peak_fma(int32_t n_threads);

/* GB/s, read and written bytes together, of a plain copy of `bytes` bytes cut among the threads:
 * the median of several runs. ATH_ENOMEM. */
ATH_MUST ath_err ath_peak_copy(int32_t n_threads, size_t bytes, double *gb_per_s);

/* One such copy: cut among the threads, its seconds returned. */
double ath_peak_copy_once(int32_t n_threads, void *to, const void *from, size_t bytes);

#endif
