/* Weights and slab from the inside: for the files of worker/graph alone. */
#ifndef ATH_GRAPH_EXEC_PRIVATE_H
#define ATH_GRAPH_EXEC_PRIVATE_H

#include "worker/graph/exec.h"
#include "worker/graph/plan_private.h"

/* The frozen weight of that name and shape, or an error that says what was found and wanted. */
ath_err ath_weights_need(const ath_weights *weights, const char *name, const ath_desc *desc,
                         int32_t *out);
ath_buf ath_weights_plain(const ath_weights *weights, int32_t i);

/* The packing of weight i under `key`: found, or made with the kernel of `b`. */
ath_err ath_weights_pack(ath_weights *weights, int32_t i, const pack *want, const binding *b,
                         ath_buf *out);

/* The whole of a part; checks that the slab is laid out as the plan wants. */
ath_err ath_slab_fit(const ath_slab *slab, const ath_plan *plan);
ath_buf ath_slab_part_of(const ath_slab *slab, ath_slab_part part);

#endif
