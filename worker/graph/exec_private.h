/* Weights and slab from the inside: for the files of worker/graph alone. */
#ifndef ATH_GRAPH_EXEC_PRIVATE_H
#define ATH_GRAPH_EXEC_PRIVATE_H

#include "worker/graph/exec.h"
#include "worker/graph/plan_private.h"

/* Readies what the plan reads: gives the index of each frozen parameter and each packing, made where
 * it is missing. They stay in their places until detach, which undoes only an attach that succeeded. */
ath_err ath_weights_attach(ath_weights *weights, const ath_plan *plan, int32_t *frozen,
                           ath_buf *packs);
void ath_weights_detach(ath_weights *weights, const ath_plan *plan);
/* {0} where no step of an attached plan reads weight i as it is. */
ath_buf ath_weights_plain(const ath_weights *weights, int32_t i);

/* Checks that the slab is laid out as the plan wants. */
ath_err ath_slab_fit(const ath_slab *slab, const ath_plan *plan);

#endif
