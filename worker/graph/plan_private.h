/* What a plan is made of: for the files of worker/graph alone. */
#ifndef ATH_GRAPH_PLAN_PRIVATE_H
#define ATH_GRAPH_PLAN_PRIVATE_H

#include "core/arena.h"
#include "worker/graph/net_private.h"
#include "worker/graph/plan.h"

/* Where the bytes of a buffer lie. */
typedef enum home {
    IN_ARENA,
    IN_INPUT,  /* step data */
    IN_FROZEN, /* a frozen weight, `index` of plan->frozen, NONE if no step reads it */
    IN_PACKED, /* its private layout, `index` of plan->packs */
    IN_VALUE,  /* the slab: parameters, gradients, moments; `offset` in bytes */
    IN_GRAD,
    IN_MOMENT1,
    IN_MOMENT2,
    IN_NORMS, /* squared norms of the buckets; `offset` in bytes */
    N_HOMES
} home;

typedef struct buf {
    home home;        /* which block its bytes lie in */
    const char *name; /* of the value it holds */
    ath_desc desc;
    size_t bytes;
    size_t offset; /* arena, input, slab */
    int32_t index;
    int32_t first, last; /* steps between which the contents matter; arena only */
    bool is_grad;
    const char *keep;
} buf;

typedef enum step_kind {
    STEP_RUN,    /* a kernel */
    STEP_REDUCE, /* bucket ready: sum it over ranks, in the communication stream */
    STEP_WAIT,   /* from here on the compute stream sees the reduced bucket */
} step_kind;

enum { NONE = -1 };

typedef struct step {
    step_kind kind;
    bool is_update; /* belongs to ATH_PHASE_UPDATE */
    bool is_again;  /* forward of a region, computed again for backward */
    int32_t bucket; /* STEP_REDUCE, STEP_WAIT */
    const char *path, *file;
    int line;
    int32_t bound; /* index of plan->bounds */
    ath_site site;
    /* buffers, NONE where absent; in backward `out` and `saved` only if read */
    int32_t in[ATH_MAX_IN], out[ATH_MAX_OUT], saved[ATH_MAX_SAVED];
    int32_t dout[ATH_MAX_OUT], din[ATH_MAX_IN], pack[ATH_MAX_IN], scratch;
} step;

/* A kernel with what bind decided; equal sites share one. */
typedef struct binding {
    ath_site site;
    const ath_kernel *kernel;
    ath_bound bound;
} binding;

/* A private layout of a frozen weight, made when an exec is created. */
typedef struct pack {
    int32_t frozen;
    uint64_t key;
    size_t bytes;
    int32_t bound, operand; /* who makes it */
} pack;

typedef struct bucket {
    int64_t first, count; /* elements of the slab */
    int32_t last_write;   /* the step that completes it */
} bucket;

struct ath_plan {
    ath_arena arena;
    ath_plan_opts opts;
    ath_dtype full; /* F32, or F64: of the slab */
    buf *bufs;
    int32_t n_bufs;
    int64_t bufs_room;
    step *steps;
    int32_t n_steps;
    int64_t steps_room;
    binding *bounds;
    int32_t n_bounds;
    int64_t bounds_room;
    pack *packs;
    int32_t n_packs;
    int64_t packs_room;
    ath_plan_param *trainables, *frozen;
    int32_t n_trainables, n_frozen;
    bucket *buckets;
    int32_t n_buckets;
    int64_t slab_count; /* elements */
    int32_t loss_seed;  /* the input that backward starts from: dloss; NONE without backward */
    size_t input_bytes;
    ath_plan_stats stats;
    ath_hash hash;
};

/* Appends a zeroed element and gives it; the pointer is valid until the next append. */
ath_err ath_plan_add_buf(ath_plan *plan, buf b, int32_t *out);
ath_err ath_plan_add_step(ath_plan *plan, step s, step **out);
step ath_step_empty(step_kind kind);

/* The passes, in this order. Each is documented where it stands. */
ath_err ath_plan_schedule(ath_plan *plan, const ath_net *net);
ath_err ath_plan_bucket(ath_plan *plan);
ath_err ath_plan_bind(ath_plan *plan);
ath_err ath_plan_place(ath_plan *plan);
ath_err ath_plan_make_hash(ath_plan *plan);

/* Calls back with every buffer a step reads (is_write false) or writes. */
typedef void (*ath_step_use_fn)(void *context, int32_t buf, bool is_write);
void ath_step_each_use(const step *s, ath_step_use_fn use, void *context);

#endif
