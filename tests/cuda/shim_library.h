/* The CUDA backend with its own kernels on the host (shim.h), and the reference for those that call
 * NVIDIA's libraries. */
#ifndef ATH_TESTS_CUDA_SHIM_LIBRARY_H
#define ATH_TESTS_CUDA_SHIM_LIBRARY_H

#include "kernels/op.h"

/* Plans for backend cuda have kernels from now on: run them on the host device or on the sim. */
void ath_shim_install(void);
/* Whether the op's kernel is one of ours, not the reference in its place. */
bool ath_shim_has(const ath_op *op, ath_pass pass);

#endif
