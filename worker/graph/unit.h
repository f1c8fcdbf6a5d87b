/*
 * What a rank computes on: the CPU, or one of its machine's GPUs (kernels/cuda.h), with the backend whose
 * kernels run there.
 */
#ifndef ATH_GRAPH_UNIT_H
#define ATH_GRAPH_UNIT_H

#include "kernels/device.h"
#include "kernels/op.h"

/* In the order of train.device. */
typedef enum ath_unit_wish {
    ATH_UNIT_AUTO,
    ATH_UNIT_CPU,
    ATH_UNIT_CUDA,
    ATH_N_UNIT_WISHES
} ath_unit_wish;

/* Makes of AUTO what this machine has. ENOTSUP where CUDA is wished for and cannot be: says whether the
 * backend, the driver or a GPU lacks. Before anything is compiled for it. */
ATH_MUST ath_err ath_unit_settle(ath_unit_wish wish, ath_unit_wish *out);

typedef struct ath_unit {
    ath_backend backend;
    ath_device *device;
} ath_unit;

/*
 * For a wish, or one that was settled. Of the n_local ranks on this machine, rank i_local gets GPU i_local:
 * EINVAL where there are more ranks than GPUs, unless ATH_SHARE_GPUS deals them in turn.
 */
ATH_MUST ath_err ath_unit_open(ath_unit_wish wish, int32_t i_local, int32_t n_local, ath_unit *out);
/* After everything that lies on its device. Accepts {0}, clears. */
void ath_unit_close(ath_unit *unit);

#endif
