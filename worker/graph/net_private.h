/* What a net is made of: for the files of worker/graph alone. */
#ifndef ATH_GRAPH_NET_PRIVATE_H
#define ATH_GRAPH_NET_PRIVATE_H

#include "core/arena.h"
#include "worker/graph/adapter_site.h"
#include "worker/graph/net.h"

typedef enum val_kind {
    VAL_NONE,   /* index 0 */
    VAL_INPUT,  /* step data */
    VAL_FROZEN, /* a parameter that does not train */
    VAL_TRAIN,  /* a parameter that does */
    VAL_NODE,   /* made by a node */
    VAL_VIEW,   /* the bytes of another value */
} val_kind;

typedef struct val {
    val_kind kind;
    ath_desc desc;
    const char *name; /* externs: the key; others: the path of the node */
    int32_t node;     /* VAL_NODE: its producer */
    int32_t root;     /* the value whose bytes these are: itself unless a view */
    bool is_wanted;   /* an input whose gradient was asked for */
    const char *keep; /* kept under this name, or NULL */
} val;

typedef struct node {
    const ath_op *op;
    const void *attr;
    int32_t in[ATH_MAX_IN];
    int32_t out;
    ath_desc saved[ATH_MAX_SAVED];
    const char *path;
    const char *file;
    int line;
    int32_t region; /* 0: none */
} node;

enum { SCOPES_MAX = 24, ERR_TEXT_BYTES = 1536 };

struct ath_net {
    ath_arena arena;
    ath_dtype compute;
    bool training;
    ath_err err;
    char err_text[ERR_TEXT_BYTES];
    const char *file; /* where the next nodes are recorded */
    int line;
    ath_str path;
    size_t scope[SCOPES_MAX]; /* length of the path before each open scope */
    int n_scopes;
    int32_t region, n_regions;
    val *vals;
    int32_t n_vals;
    int64_t vals_room;
    node *nodes;
    int32_t n_nodes;
    int64_t nodes_room;
    int32_t loss;
    const ath_adapter *adapters;
    int n_adapters;
};

#endif
