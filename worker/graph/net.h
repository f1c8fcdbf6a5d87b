/*
 * Recording a network. Model code calls layer functions (layer.h), which record values and nodes
 * here; nothing is computed. The net is then compiled (plan.h).
 *
 * Errors latch: the first one sticks with the recording file and line, later calls do nothing and
 * give the value {0}, and ath_net_check or ath_plan_create returns it. One thread at a time.
 */
#ifndef ATH_GRAPH_NET_H
#define ATH_GRAPH_NET_H

#include "kernels/op.h"

typedef struct ath_net ath_net;
typedef struct ath_adapter ath_adapter;

/* A recorded value. {0} is none: also an optional operand left out. */
typedef struct ath_val {
    int32_t i;
} ath_val;

/* `compute` is the dtype of activations: F32, BF16, or F64 (backend ref64). */
ATH_MUST ath_err ath_net_create(ath_dtype compute, ath_net **out);
void ath_net_destroy(ath_net **net);
ath_dtype ath_net_compute(const ath_net *net);

/* The latched error, its text restored to this thread; ATH_OK if none. */
ATH_MUST ath_err ath_net_check(const ath_net *net);

/* Latches an error found by a layer function: "PATH: sentence (recorded at FILE:LINE)". */
void ath_net_fail(ath_net *net, ath_err err, const char *fmt, ...) ATH_PRINTF(3, 4);

/* Notes where the next nodes are recorded. Layer functions are macros that call it: ATH_HERE. */
ath_net *ath_net_here(ath_net *net, const char *file, int line);
#define ATH_HERE(net) ath_net_here((net), __FILE__, __LINE__)

/* Scopes: names of parameters and nodes are the path of open scopes joined by dots, which is the
 * checkpoint's own key. */
void ath_enter(ath_net *net, const char *name);
void ath_enter_at(ath_net *net, const char *name, int i); /* "name.i" */
void ath_leave(ath_net *net);
/* The open path; valid until a scope opens or closes. */
const char *ath_net_path(const ath_net *net);

/* A region whose inner values may be computed again in backward instead of being kept. Regions do
 * not nest. A node's gradient flows through them unchanged, bit for bit. */
void ath_region_begin(ath_net *net);
void ath_region_end(ath_net *net);

/* Step data, written by the host before each run (ath_exec_write). Names are unique. */
ath_val ath_net_input(ath_net *net, const char *name, ath_desc desc);

/* A parameter named by the open path and `name`. It is trainable while ath_net_train is on (F32,
 * F64 under F64 compute), else frozen and kept in `dtype`. The same name twice gives the same
 * value and needs the same shape. */
ath_val ath_net_param(ath_net *net, const char *name, ath_dtype dtype, int n_dim,
                      const int64_t *dim);
/* The parameters in the order of recording: pass {0}, then what it gave, until it gives {0}. The name
 * is valid until the net is destroyed. */
ath_val ath_net_next_param(const ath_net *net, ath_val after, const char **name);
void ath_net_train(ath_net *net, bool on); /* off at first */
bool ath_net_is_training(const ath_net *net);

/* Records a node. `in` has op->n_in entries. Gives its first output. */
ath_val ath_net_apply(ath_net *net, const ath_op *op, const void *attr, const ath_val *in);

/* The same bytes under another shape; count and dtype must agree. */
ath_val ath_net_view(ath_net *net, ath_val x, int n_dim, const int64_t *dim);

/* Marks the scalar F32 that backward starts from. Without one the plan has a forward pass only. */
void ath_net_loss(ath_net *net, ath_val loss);
/* Keeps a value readable after a run under `name`. */
void ath_net_keep(ath_net *net, const char *name, ath_val x);
/* Asks for the gradient of an input too; readable under its own name (ath_exec_read_grad). */
void ath_net_want(ath_net *net, ath_val input);

ath_desc ath_net_desc(const ath_net *net, ath_val x);     /* dtype NONE for {0} */
int64_t ath_dim(const ath_net *net, ath_val x, int axis); /* 0 for {0} */

/* Adapters work at every ath_linear and ath_conv2d recorded while they are attached: borrowed, they
 * must outlive the recording. Rows [row, row + n_rows) of the batch axis are theirs. */
void ath_net_attach(ath_net *net, const ath_adapter *adapters, int n_adapters);
int ath_net_adapters(const ath_net *net, const ath_adapter **out);

#endif
