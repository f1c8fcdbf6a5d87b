/*
 * The CUDA backend, as a library of its own that is opened at run time: libathanor_cuda.so, beside the
 * program or where ATH_CUDA_LIBRARY says. So one program starts anywhere. A plan for cuda is made where its
 * GPU is: products pin what the libraries advise for that very one (gemm_cublaslt.h, conv_cudnn.h).
 *
 * The library holds a kernel for each op (x.cu, or x_cublaslt.c, x_cudnn.c) and the device of kind
 * "cuda". It calls back into the program for errors and memory, which therefore exports its symbols.
 */
#ifndef ATH_KERNELS_CUDA_H
#define ATH_KERNELS_CUDA_H

#include "kernels/device.h"
#include "kernels/op.h"

/* The kernels of one op; a pass without `run` has none. */
typedef struct ath_cuda_op {
    ath_kernel fwd, bwd;
} ath_cuda_op;

typedef struct ath_cuda_library {
    uint64_t abi;                  /* ath_cuda_abi of the headers that it was compiled with */
    const ath_cuda_op *const *ops; /* by op's index; NULL: no kernel */
    /* GPUs that this process may use. ECUDA with the driver's sentence where it cannot be asked. */
    ath_err (*count)(int32_t *n_gpus);
    ath_err (*device_create)(int32_t gpu, ath_device **out);
} ath_cuda_library;

/* The one symbol that the program looks for. */
typedef const ath_cuda_library *ath_cuda_entry_fn(void);
#define ATH_CUDA_ENTRY "ath_cuda_entry"

/* What program and library must agree on: the layouts that cross between them. */
static inline uint64_t ath_cuda_abi(void)
{
    return 1u << 24 ^ (uint64_t)sizeof(ath_call) << 40 ^ (uint64_t)sizeof(ath_site) << 28 ^
           (uint64_t)sizeof(ath_kernel) << 12 ^ (uint64_t)sizeof(ath_bound);
}

/*
 * Opens the library, once for the process. ENOTSUP, with a sentence that says which: no library, one of
 * another version, no driver, no GPU. One thread at a time; not while plans are being made.
 */
ATH_MUST ath_err ath_cuda_open(void);

/* GPU `gpu` of those that ath_cuda_open found: ENOTSUP where it was not opened, EINVAL out of range. */
ATH_MUST ath_err ath_device_create_cuda(int32_t gpu, ath_device **out);
/* 0 where nothing was opened. */
int32_t ath_cuda_n_gpus(void);

/* Puts a library in the place of the one that is opened: for tests, whose kernels run on the host. */
void ath_cuda_install(const ath_cuda_library *library);
/* NULL where none was opened or installed, or it has no such kernel. */
const ath_kernel *ath_cuda_kernel(const ath_op *op, ath_pass pass);

#endif
