/* The CUDA device as its own backend sees it: streams and outcomes. Also seen by .cu files. */
#ifndef ATH_KERNELS_DEVICE_CUDA_H
#define ATH_KERNELS_DEVICE_CUDA_H

#include "kernels/cuda.h"
#include <cuda_runtime_api.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* What work of this stream is launched into; NULL gives CUDA's default stream. */
cudaStream_t ath_cuda_stream(const ath_stream *stream);

/* ECUDA with CUDA's sentence, ENOMEM where memory ran out; `what` names what was tried. */
ATH_MUST ath_err ath_cuda_check(cudaError_t code, const char *what);

/* The library's two functions of the same names. */
ath_err ath_cuda_count(int32_t *n_gpus);
ath_err ath_cuda_device_create(int32_t gpu, ath_device **out);

#if defined(__cplusplus)
}
#endif
#endif
