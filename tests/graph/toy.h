/*
 * The toy of the graph tests: a U-Net of a few thousand parameters (skips, concatenation, attention,
 * upsampling to an odd size) with up to two adapters side by side on a batch of two. Weights, inputs
 * and first values are functions of their names, so two toys differ only in what is asked for.
 */
#ifndef ATH_TESTS_GRAPH_TOY_H
#define ATH_TESTS_GRAPH_TOY_H

#include "worker/graph/adapter_site.h"
#include "worker/graph/exec.h"

typedef struct toy_opts {
    ath_dtype compute;
    ath_plan_opts plan;
    bool has_a, has_b; /* adapters: a on image 0, b on image 1 */
    bool is_wide;      /* the adapters work at 3x3 convolutions too */
    bool trains_base;  /* a full fine-tune besides */
    bool wants_input;  /* the gradient of x too */
    bool is_sim;
    uint64_t seed; /* of the sim */
    int32_t drop_wait;
    bool reduces;         /* the reduce hook doubles every gradient, as two equal ranks would */
    bool puts_reduce;     /* it does so by work that it puts into the stream: can be captured */
    ath_reduce_fn reduce; /* a hook of the test's own instead, of either kind */
    ath_reduce_put_fn reduce_put;
    void *reduce_context;
    bool checks_nan;
    double nudge;  /* parameters are moved by nudge * direction, both functions of names */
    float x_scale; /* of the input x; 0: 1 */
} toy_opts;

enum { TOY_BUCKETS = 64 };

typedef struct toy_doubling {
    bool *is64;
    int32_t bucket;
    void *grads;
    int64_t count;
} toy_doubling;

typedef struct toy {
    ath_net *net;
    ath_plan *plan;
    ath_device *device;
    ath_weights *weights;
    ath_slab *slab;
    ath_exec *exec;
    ath_adapter adapters[2];
    bool is64;
    toy_doubling doubling[TOY_BUCKETS]; /* the work of the reduce hook, by bucket */
} toy;

/* Records the toy; the latched error is left in the net. */
ath_err toy_record(const toy_opts *opts, toy *t);
/* Records, compiles, makes the device and its memory, writes weights and inputs. */
ath_err toy_create(const toy_opts *opts, toy *t);
void toy_release(toy *t);
/* The inputs again, for the next run: with another x_scale. */
ath_err toy_write(const toy_opts *opts, toy *t);

/* Element i of the named tensor of kind `what`: about normal, the same everywhere. */
double toy_value(const char *name, uint32_t what, int64_t i);
enum { TOY_WEIGHT, TOY_DIRECTION, TOY_INPUT };

/* The loss in double. */
ath_err toy_loss(toy *t, double *out);
/* A part of the slab, all trainables whose name contains `like`, one after another in the order of
 * their names: *out is the caller's to free with ath_mem_free. */
ath_err toy_read(toy *t, ath_slab_part part, const char *like, void **out, size_t *bytes);

#endif
