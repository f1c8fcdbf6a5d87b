/*
 * Loops over threads. Work is cut by data: what one index computes depends on nothing but the
 * index, so the number of threads cannot change the bits. Built with ATH_OPENMP=0 (the thread
 * sanitizer's build, which does not know libgomp) the loops run on one thread.
 */
#ifndef ATH_KERNELS_PAR_H
#define ATH_KERNELS_PAR_H

#include <stdint.h>

#ifndef ATH_OPENMP
#error "the build defines ATH_OPENMP as 0 or 1"
#endif

#define ATH_PRAGMA(text) _Pragma(#text)
#if ATH_OPENMP
/* Before a for loop of canonical form over n_threads threads. */
#define ATH_PAR_FOR(n_threads) ATH_PRAGMA(omp parallel for schedule(static) num_threads(n_threads))
/* Before a block that n_threads threads run, and before each loop in it that they share: all wait at
 * the loop's end. */
#define ATH_PARALLEL(n_threads) ATH_PRAGMA(omp parallel num_threads(n_threads))
#define ATH_SHARE               ATH_PRAGMA(omp for schedule(static))
#else
#define ATH_PAR_FOR(n_threads)  (void)(n_threads);
#define ATH_PARALLEL(n_threads) (void)(n_threads);
#define ATH_SHARE
#endif

/* Before the loop whose iterations shall be the lanes of a vector. */
#if ATH_OPENMP
#define ATH_SIMD _Pragma("omp simd")
#else
#define ATH_SIMD
#endif

#endif
