/*
 * A training step on the ranks of a run: networks, adapters, exact reduction, clipping, AdamW. It is
 * told what to compute (ath_micro_in); drawing times and noise, pictures and captions are others'
 * business (worker/data), so a test can feed it the numbers of another program.
 *
 * One step program for each shape of a micro-batch, made when it is first met and kept; all share
 * weights, trainables and one arena. Text encoder and U-Net are one program where the text encoder
 * trains, else the U-Net reads text states.
 *
 * A step is
 *
 *     ath_trainer_begin(t, n_leaves)                              all ranks
 *     ath_trainer_leaves(t, &first, &end)
 *     ath_trainer_micro(t, leaf, &in, losses)                     for the leaves of this rank, in order
 *     ath_trainer_finish(t, err, &rates, &out)                    all ranks
 *
 * and changes the parameters in the same way on any number of ranks, bit for bit.
 */
#ifndef ATH_TRAIN_TRAINER_H
#define ATH_TRAIN_TRAINER_H

#include "core/hash.h"
#include "worker/adapter/lora.h"
#include "worker/graph/exec.h"
#include "worker/model/spec.h"

/* Puts every frozen parameter of the plan into `weights`, and into `slab` the first values of the
 * trainable ones that the base has (those of adapters are the trainer's to set). */
typedef ath_err ath_trainer_load_fn(void *context, const ath_plan *plan, ath_weights *weights,
                                    ath_slab *slab);

/* The adapter's name in the networks: "<layer>.lora.lora_down.weight". */
#define ATH_TRAIN_ADAPTER "lora"

typedef struct ath_trainer_opts {
    ath_model_spec spec;
    ath_backend backend;
    ath_device *device; /* borrowed until destroy; NULL: the host */
    ath_dtype dtype;    /* of activations: F32 or BF16 */
    int32_t n_threads;
    bool recompute;
    bool trains_unet, trains_text; /* directly, or by the adapter; one of them at least */
    const ath_lora *lora;          /* borrowed; NULL: the networks themselves are trained */
    int32_t clip_skip;             /* 1: the text encoder's last layer */
    int32_t n_chunks;              /* of `positions` tokens in a caption; 1, 2, 3 */
    int32_t n_leaves_max;          /* micro-batches of a step, over all ranks */
    bool reduces_fast;             /* by the library: the bits depend on the ranks (reduce.h) */
    double max_norm;               /* 0: no clipping */
    double beta1, beta2, eps, weight_decay;
    double ema_decay;     /* 0: no average is kept */
    int64_t digest_every; /* steps between two looks at the frozen weights (where the device is not
                             the host: at its trained ones instead); 0: none */
    size_t bucket_bytes;  /* of gradients that are reduced together; 0: as the plan likes */
    uint64_t seed;        /* of the adapter's first values */
    ath_trainer_load_fn *load;
    void *load_context; /* borrowed until destroy */
} ath_trainer_opts;

typedef struct ath_trainer ath_trainer;
/* Shapes are met later; everything else is refused here. All ranks. */
ATH_MUST ath_err ath_trainer_create(const ath_trainer_opts *opts, ath_trainer **out);
void ath_trainer_destroy(ath_trainer **trainer);

/* The tokens of the states that the U-Net reads: positions, or (positions - 2) n_chunks + 2. */
int32_t ath_trainer_tokens(const ath_trainer *trainer);

/* A micro-batch: n samples of one shape. All arrays are borrowed for the call. */
typedef struct ath_micro_in {
    int32_t n, height, width; /* of the latents */
    const float *x;           /* [n, height, width, latents]: noisy */
    const float *target;      /* the same: what the U-Net is to answer */
    const float *time;        /* [n] */
    const float *weight; /* [n]: the step's loss is the sum over samples of weight * mean square */
    const int32_t *ids;  /* [n, n_chunks, positions]; where the text encoder trains */
    const float *states; /* [n, tokens, width]; where it does not */
} ath_micro_in;

/* Compiles the program of a shape now rather than when it is met. Local. */
ATH_MUST ath_err ath_trainer_prepare(ath_trainer *trainer, int32_t n, int32_t height,
                                     int32_t width);

ATH_MUST ath_err ath_trainer_begin(ath_trainer *trainer, int32_t n_leaves);
void ath_trainer_leaves(const ath_trainer *trainer, int32_t *first, int32_t *end);
/* Forward and backward of a leaf; `losses` [n] gets each sample's mean square, without weight. */
ATH_MUST ath_err ath_trainer_micro(ath_trainer *trainer, int32_t leaf, const ath_micro_in *in,
                                   double *losses);

typedef struct ath_trainer_rates {
    double unet, text;
} ath_trainer_rates;
typedef struct ath_trainer_step {
    double norm;  /* of the gradient before clipping; the same on all ranks */
    bool skipped; /* it was not finite, or some loss: nothing was changed, on any rank */
    /* ath_trainer_digest; {0} where a device that sums for itself holds them and nobody looked: it is
     * there before steps that look (digest_every) */
    ath_hash digest;
} ath_trainer_step;
/* `err` is this rank's outcome so far: where any rank failed, all get its error and nothing changes.
 * EPEER, naming the rank, where its trained parameters are not those that the last step left, or frozen
 * weights not those that they were: an update would hide it, for a rank takes most of its numbers from
 * the others and gives them its own. */
ATH_MUST ath_err ath_trainer_finish(ath_trainer *trainer, ath_err err,
                                    const ath_trainer_rates *rates, ath_trainer_step *out);

/* Of all trainable parameters as they are now: equal on all ranks, and for any number of them. Fetches
 * them, as ath_trainer_value does, where they are a device's and were not fetched since the last step. */
ATH_MUST ath_err ath_trainer_digest(ath_trainer *trainer, ath_hash *out);
/* The same of their average, which no update mends; {0} where none is kept. */
ATH_MUST ath_err ath_trainer_average_digest(const ath_trainer *trainer, ath_hash *out);

/* The trainable parameters by name, in the slab's order; the list is valid until destroy. */
int32_t ath_trainer_params(const ath_trainer *trainer, const ath_plan_param **out);
/* One of them: its values (in F32), or their average where one is kept and asked for; borrowed until
 * the next step. */
ATH_MUST ath_err ath_trainer_value(ath_trainer *trainer, const char *name, bool average,
                                   const float **out);

/*
 * All that a run goes on from, in F32 and in the slab's layout: a parameter's numbers are at
 * params[i].offset of each. Values and average are the trainer's own, equal on all ranks; the moments
 * are brought to rank 0, which keeps room for them from the first call on. All ranks.
 */
typedef struct ath_trainer_state {
    int64_t n_updates; /* of the optimizer: steps that were not skipped */
    /* of the values as the last step, or restore, left them; where nobody had fetched them since, as they
     * are */
    ath_hash digest;
    float *value, *average;   /* NULL: no average is kept */
    float *moment1, *moment2; /* NULL on other ranks */
} ath_trainer_state;
int64_t ath_trainer_n_updates(const ath_trainer *trainer);
ATH_MUST ath_err ath_trainer_collect(ath_trainer *trainer, ath_trainer_state *out);
/* After rank 0 changed what collect gave: makes it the state of all ranks. The others' `state` is not
 * looked at. */
ATH_MUST ath_err ath_trainer_restore(ath_trainer *trainer, const ath_trainer_state *state);

/* The frozen weights, for networks that run beside the trainer (sampling); borrowed. */
ath_weights *ath_trainer_weights(const ath_trainer *trainer);

/* The most device bytes that the programs made so far want together. */
size_t ath_trainer_bytes(const ath_trainer *trainer);

#endif
