/* What the program finds in libathanor_cuda.so. */
#include "kernels/cuda_ops.h"
#include "kernels/device_cuda.h"

__attribute__((visibility("default"))) ath_cuda_entry_fn ath_cuda_entry;

const ath_cuda_library *ath_cuda_entry(void)
{
    static ath_cuda_library library = {
        .ops = ath_cuda_table,
        .count = ath_cuda_count,
        .device_create = ath_cuda_device_create,
    };

    library.abi = ath_cuda_abi();
    return &library;
}
