/*
 * The sums of ath_reduce as work of a device, for worker/dist alone: of one rank, with the bits of the
 * host's. Nodes that stand lie in memory of the device, one fewer than on the host, for the whole sum takes
 * the place of the last micro-batch's gradients. All work goes into the stream that the hook is given, so it
 * runs beside backward, and can be captured once for all micro-batches.
 */
#ifndef ATH_DIST_DEVICE_SUMS_H
#define ATH_DIST_DEVICE_SUMS_H

#include "worker/dist/reduce.h"

typedef struct ath_device_sums ath_device_sums;

/* Of opts->on; everything is allocated here. ENOTSUP where the backend has no kernel. */
ATH_MUST ath_err ath_device_sums_create(const ath_reduce_opts *opts, ath_device_sums **out);
void ath_device_sums_destroy(ath_device_sums **sums);
size_t ath_device_sums_bytes(const ath_device_sums *sums);

void ath_device_sums_begin(ath_device_sums *sums, int32_t n_leaves);
/* What follows is the gradient of `leaf`; they come in order (else EINVAL). No work of the one before runs any more. */
ATH_MUST ath_err ath_device_sums_set_leaf(ath_device_sums *sums, int32_t leaf);
/* F32 gradients of the device, as many as the bucket has; borrowed until the step's update. Buckets come in
 * order (else EINVAL). */
ATH_MUST ath_err ath_device_sums_put(ath_device_sums *sums, int32_t bucket, float *grads,
                                     ath_stream *stream);
/* After the last leaf's work (EINVAL before): the sum of all squares, in the order of ath_reduce_finish. Waits
 * for it. */
ATH_MUST ath_err ath_device_sums_read(ath_device_sums *sums, double *norm2);
/* The sums of a bucket, on the device. */
float *ath_device_sums_of(const ath_device_sums *sums, int32_t bucket);

#endif
