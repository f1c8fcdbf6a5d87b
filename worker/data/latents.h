/*
 * The latents of a plan's pictures: what the autoencoder says of each (means and log-variances), made
 * once, kept in the cache under the hash of picture bytes, crop, mirroring and autoencoder. Where
 * pictures are cut at random nothing can be kept: each is encoded when it is used.
 */
#ifndef ATH_DATA_LATENTS_H
#define ATH_DATA_LATENTS_H

#include "core/thread.h"
#include "proto/plan.pb-c.h"
#include "worker/graph/exec.h"
#include "worker/model/spec.h"
#include "worker/train/draws.h"

typedef ath_err ath_latents_load_fn(void *context, const ath_plan *plan, ath_weights *weights);

typedef struct ath_latents_opts {
    ath_vae_spec spec;
    ath_hash vae; /* identity of the autoencoder's weights */
    ath_backend backend;
    ath_device *device; /* borrowed until destroy; NULL: the host */
    int32_t n_threads;
    const char *folder;        /* of the cache; borrowed */
    const Athanor__Plan *plan; /* borrowed */
    bool mirrored;             /* the mirrored pictures too */
    bool random_crop;          /* nothing is made ahead */
    ath_latents_load_fn *load; /* borrowed with its context: with random_crop until destroy */
    void *load_context;
    void (*progress)(void *context, int64_t done, int64_t n); /* may be NULL */
    void *progress_context;
    const ath_cancel *cancel; /* set: ECANCELED after the picture at hand; may be NULL */
} ath_latents_opts;

typedef struct ath_latents ath_latents;

/* Makes what lacks or was damaged, in F32: each rank encodes its even share of it, in the plan's order,
 * and publishes it; then all find all. What was made before a cancel is kept. A NaN is an error that
 * names the picture. All ranks; an error is everybody's. */
ATH_MUST ath_err ath_latents_create(const ath_latents_opts *opts, ath_latents **out);
void ath_latents_destroy(ath_latents **latents);

/* moments [height, width, 2 latents] of a picture of the plan (posterior.h), valid until the next
 * find; sizes are the bucket's divided by the autoencoder's. `draw` says where a random cut is. Any
 * one thread at a time. */
ATH_MUST ath_err ath_latents_find(ath_latents *latents, uint32_t image, bool mirrored,
                                  const ath_draw *draw, const float **moments);

/* Pixels on a side for one element of a latent. */
int32_t ath_latents_scale(const ath_latents *latents);

#endif
