/*
 * CUDA's runtime, as far as kernels/device_cuda.c calls it, over host memory: for tests where no GPU is.
 * Work of a stream is done as late as the rules allow, when somebody waits for it, so that pinned memory
 * that is used again too early spoils a copy. Misuse ends the program with a sentence.
 */
#ifndef ATH_TESTS_CUDA_FAKE_RUNTIME_H
#define ATH_TESTS_CUDA_FAKE_RUNTIME_H

#include <cuda_runtime_api.h>
#include <stdint.h>

/* What a kernel launch is here. */
void ath_fake_kernel(cudaStream_t stream, void (*run)(void *arg), void *arg);

/* What cudaGetDeviceCount and cudaDriverGetVersion answer from now on. */
void ath_fake_set_gpus(cudaError_t code, int n_gpus, int driver);

/* Streams, events, graphs and blocks that are not given back. */
int64_t ath_fake_n_live(void);

#endif
