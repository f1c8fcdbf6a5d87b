/*
 * Running a plan. Device memory lies in four blocks: the frozen weights (with the backends' private
 * packings), the trainable slab (parameters, gradients, moments), the arena, and the step data.
 * Weights and slab are shared by all plans of a model; the arena too (only one plan runs at a time).
 */
#ifndef ATH_GRAPH_EXEC_H
#define ATH_GRAPH_EXEC_H

#include "kernels/device.h"
#include "worker/graph/plan.h"

/*
 * ---- frozen weights: by name; local, one thread at a time ----
 *
 * A weight is held as steps read it: plain, packed in the layouts that kernels ask for, or both. What
 * a source can bring again is held plain only while some exec reads it so; what was put without a
 * source stays plain too, for packings that a later plan may want.
 */
typedef struct ath_weights ath_weights;
ATH_MUST ath_err ath_weights_create(ath_device *device, ath_weights **out);
/* Execs first. */
void ath_weights_destroy(ath_weights **weights);
/* What it was made for. */
ath_device *ath_weights_device(const ath_weights *weights);
/* Puts a tensor, converted to `desc.dtype` from `dtype`; `host` is borrowed for the call and aligned
 * to nothing. One that is there already gets the new values in place, its packings too, so execs that
 * read it go on with them; of another shape or dtype it is refused. Not while an exec runs. */
ATH_MUST ath_err ath_weights_put(ath_weights *weights, const char *name, ath_desc desc,
                                 ath_dtype dtype, const void *host);
bool ath_weights_has(const ath_weights *weights, const char *name);
/* Device bytes held, packings included. */
size_t ath_weights_bytes(const ath_weights *weights);
/* The i-th block of bytes that is held, plain or packed, and whose it is; false behind the last. One that
 * is given back has no bytes. */
bool ath_weights_block(const ath_weights *weights, int32_t i, const char **name, ath_buf *out);
/* Compares all blocks with what they were when they were first looked at: the name of one that changed
 * though nobody put it, or NULL. For devices whose memory the host reads. */
const char *ath_weights_look(ath_weights *weights);

/* Puts frozen parameter `p`, if it knows it, always with the same values. Called when an exec is
 * created for what is missing, one after another, so that a model is never held twice. */
typedef ath_err ath_weights_source_fn(const void *context, const ath_plan_param *p,
                                      ath_weights *weights);
/* From now on missing weights come from `source`; it is borrowed, with its context, for as long as
 * execs are created. What was put by hand is not asked for. */
void ath_weights_draw_from(ath_weights *weights, ath_weights_source_fn *source,
                           const void *context);

/* ---- the trainable slab: F32 (F64) parameters, gradients, two moments ---- */
typedef struct ath_slab ath_slab;
/* Lays it out in the plan's order. Other plans of the same model must agree (checked by exec). There
 * are moments only where the plan has an update. */
ATH_MUST ath_err ath_slab_create(ath_device *device, const ath_plan *plan, ath_slab **out);
void ath_slab_destroy(ath_slab **slab);
typedef enum ath_slab_part {
    ATH_VALUE,
    ATH_GRAD,
    ATH_MOMENT1,
    ATH_MOMENT2,
    ATH_N_SLAB_PARTS
} ath_slab_part;
/* Write or read one parameter (whole, in the slab's dtype) by name. Read and write wait. */
ATH_MUST ath_err ath_slab_write(ath_slab *slab, ath_slab_part part, const char *name,
                                const void *host, size_t bytes);
ATH_MUST ath_err ath_slab_read(ath_slab *slab, ath_slab_part part, const char *name, void *host,
                               size_t bytes);
/* The whole of a part, parameters at their offsets, gaps of zeros; {0} for moments that there are not. */
ath_buf ath_slab_part_of(const ath_slab *slab, ath_slab_part part);

/* ---- execution ---- */
typedef struct ath_exec ath_exec;

/* Sums a bucket over ranks, in place: called in the communication stream's order with `count`
 * gradients; returns their sum. NULL: one rank, nothing to do. Code of the host, so the program is not
 * captured; and the device's memory must be the host's. */
typedef ath_err (*ath_reduce_fn)(void *context, int32_t bucket, void *grads, int64_t count);

/* The same as work that is put into `stream`, which has waited for the gradients: can be captured, and
 * is then called for the capture and not again. */
typedef ath_err (*ath_reduce_put_fn)(void *context, int32_t bucket, void *grads, int64_t count,
                                     ath_stream *stream);

typedef struct ath_exec_opts {
    ath_weights *weights; /* may be NULL where the plan has no frozen parameters */
    ath_slab *slab;       /* may be NULL where the plan has no trainables */
    ath_buf arena;        /* at least arena_bytes, shared with other plans; {0}: own one */
    ath_reduce_fn reduce; /* one of these two, or neither */
    ath_reduce_put_fn reduce_put;
    void *reduce_context;
    bool check_nan;    /* sync after each step and name the first value that is not finite */
    int32_t drop_wait; /* tests of the sim: leave out the n-th wait between streams, counted through
                          all runs; 0: none */
} ath_exec_opts;

/* Resolves every pointer (the plan, weights and slab are borrowed until the exec is destroyed), packs
 * the frozen weights, makes the streams. A frozen parameter that is missing or of another shape is
 * named: found, wanted. */
ATH_MUST ath_err ath_exec_create(const ath_plan *plan, ath_device *device,
                                 const ath_exec_opts *opts, ath_exec **out);
void ath_exec_destroy(ath_exec **exec);

/* Step data for the next run; bytes must be the input's size. Every input must be written before
 * the first run. "adamw" [4] F32 is an input of plans with update: rate, weight decay, 1 - beta1^t,
 * 1 - beta2^t. */
ATH_MUST ath_err ath_exec_write(ath_exec *exec, const char *input, const void *host, size_t bytes);

/*
 * The program up to the reduced gradients; its update part; both. Run waits for the end and returns
 * the first error. Where the device captures, the second run of a phase does so (the first has brought
 * all kernels into memory), and from then on a run is one launch, which begins with the step data in one
 * copy. Nothing is allocated but by that capture.
 */
typedef enum ath_phase { ATH_PHASE_GRAD = 1, ATH_PHASE_UPDATE = 2, ATH_PHASE_ALL = 3 } ath_phase;
ATH_MUST ath_err ath_exec_run(ath_exec *exec, ath_phase phase);

/* The global norm of the gradients before clipping, of the last update; 0 without update. */
ATH_MUST ath_err ath_exec_read_norm(ath_exec *exec, double *out);

/* A kept value; the loss is kept under "loss". */
ATH_MUST ath_err ath_exec_read(ath_exec *exec, const char *kept, void *host, size_t bytes);
/* The gradient of an input marked with ath_net_want. */
ATH_MUST ath_err ath_exec_read_grad(ath_exec *exec, const char *input, void *host, size_t bytes);

#endif
