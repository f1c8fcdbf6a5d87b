/*
 * The budget: what a run will do, decided before its first step and the same for any number of ranks.
 *
 * An epoch shows every training picture as often as its folder's repeats say and, where there is a
 * regularization set, as many regularization pictures. Which of them goes round: one endless shuffled
 * circle is cut into epochs, so any two are used equally often, give or take one, over any number
 * of epochs.
 *
 * The samples of an epoch are shuffled (a keyed permutation of seed and epoch), dealt to their
 * buckets and cut into micro-batches: one shape each, `micro_batch` samples, fewer only in the last of
 * a bucket. The micro-batches are shuffled; each `global_batch / micro_batch` of them in order are
 * one step, the last step of an epoch takes what is left:
 *
 *     steps of an epoch = ceil(sum over buckets of ceil(samples / micro_batch)
 *                              / (global_batch / micro_batch))
 *
 * which is samples / global_batch where everything divides. Ranks own contiguous runs of a step's
 * micro-batches.
 */
#ifndef ATH_COORDINATOR_BUDGET_H
#define ATH_COORDINATOR_BUDGET_H

#include "coordinator/bucket.h"
#include "coordinator/scan.h"
#include "core/hash.h"

typedef struct ath_budget_rule {
    uint64_t seed;
    int64_t n_epochs;
    int64_t n_steps; /* above 0: ends after so many, however many epochs that takes */
    int64_t micro_batch, global_batch;
    ath_bucket_rule buckets;
} ath_budget_rule;

typedef struct ath_budget_bucket {
    ath_size size;
    int64_t n_images;
    int64_t n_train; /* training samples of every epoch */
} ath_budget_bucket;

typedef struct ath_budget {
    ath_budget_rule rule;
    const ath_scan *scan; /* borrowed: must outlive the budget */
    int64_t n_train_images, n_reg_images;
    int64_t n_missing;      /* of n_reg_images: the run draws them first */
    int64_t n_train, n_reg; /* samples of an epoch; n_reg is n_train, or 0 without a set */
    int64_t n_circle;       /* regularization: repeats x images */
    int64_t n_buckets;
    ath_budget_bucket *bucket; /* by width, then height; only those in use */
    ath_bucket_fit *fit;       /* of every image */
    int32_t *bucket_of;        /* of every image */
    int32_t *train;            /* [n_train]: the image of each training sample */
    int32_t *circle;           /* [n_circle]: images in the order in which they take part */
    int64_t n_epochs, n_steps; /* of the run; the last epoch may be cut short */
    int64_t *first_step;       /* [n_epochs + 1] */
    int64_t n_samples;         /* of the run */
    ath_hash hash;             /* over all of it: rule, names, sizes, captions, steps */
} ath_budget;

/* EJOB where the rule cannot be followed, EMISSING where there are no pictures, ESHAPE where one has
 * no bucket, EFORMAT where one could not be read. */
ATH_MUST ath_err ath_budget_create(const ath_scan *scan, const ath_budget_rule *rule,
                                   ath_budget **out);
void ath_budget_destroy(ath_budget **budget);

typedef struct ath_sample {
    int32_t image;
    int32_t id; /* within the epoch: names its random numbers; training samples come first */
} ath_sample;

typedef struct ath_micro {
    int64_t first; /* of the epoch's samples */
    int32_t n, bucket;
} ath_micro;

/* The order of one epoch. {0} is an empty one. */
typedef struct ath_epoch {
    int64_t epoch, n_samples, n_micros, n_steps; /* steps as of a whole epoch */
    int64_t micros_per_step;
    ath_sample *sample; /* by micro-batch */
    ath_micro *micro;   /* in order */
} ath_epoch;

/* A pure function of budget and epoch (from 0, also beyond the run's). */
ATH_MUST ath_err ath_epoch_make(const ath_budget *budget, int64_t epoch, ath_epoch *out);
void ath_epoch_release(ath_epoch *epoch);

typedef struct ath_span {
    int64_t first, n; /* of the epoch's micro-batches */
} ath_span;

/* The micro-batches of a step, from 0 within the epoch; and those of them that a rank owns: as even
 * as can be, some may own none. */
ath_span ath_epoch_step(const ath_epoch *epoch, int64_t step);
ath_span ath_epoch_shard(const ath_epoch *epoch, int64_t step, int64_t rank, int64_t n_ranks);

/* What one rank does in an epoch. */
typedef struct ath_share {
    int64_t n_micros, n_train, n_reg; /* micro-batches, samples */
    int64_t n_idle;                   /* steps in which it owns none */
    int64_t first_image, n_images;    /* whose latents it encodes, before the run */
} ath_share;
ATH_MUST ath_err ath_budget_share(const ath_budget *budget, const ath_epoch *epoch, int64_t n_ranks,
                                  ath_share *out);

#endif
