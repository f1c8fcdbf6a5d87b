/*
 * The three networks of a model, compiled for one size of pictures and run on one arena: what
 * sampling asks. Forward only. One thread at a time.
 */
#ifndef ATH_SAMPLE_NETWORKS_H
#define ATH_SAMPLE_NETWORKS_H

#include "worker/graph/adapter_site.h"
#include "worker/graph/exec.h"
#include "worker/model/spec.h"

/* Puts every frozen parameter of the plan into `weights` where it is not yet. */
typedef ath_err ath_networks_load_fn(void *context, const ath_plan *plan, ath_weights *weights);

typedef struct ath_networks_opts {
    ath_model_spec spec;
    ath_backend backend;
    ath_device *device; /* borrowed; NULL: the host, or that of `weights` */
    ath_dtype dtype;    /* of activations: F32 or BF16; the autoencoder has ATH_VAE_DTYPE */
    int32_t n_threads;
    int32_t clip_skip;          /* 1: the text encoder's last layer */
    ath_networks_load_fn *load; /* borrowed with its context until destroy */
    void *load_context;
    const ath_adapter *adapters; /* of text encoder and U-Net; borrowed until destroy */
    int32_t n_adapters;
    ath_weights *weights; /* borrowed: shared with a trainer; NULL: own ones */
} ath_networks_opts;

typedef struct ath_networks ath_networks;
ATH_MUST ath_err ath_networks_create(const ath_networks_opts *opts, ath_networks **out);
void ath_networks_destroy(ath_networks **networks);
const ath_model_spec *ath_networks_spec(const ath_networks *networks);

typedef struct ath_networks_size {
    int32_t rows;          /* of the U-Net's batch */
    int32_t height, width; /* of a latent */
    int32_t n_tokens;      /* of the text states */
} ath_networks_size;

/* Pixels on a side for one element of a latent. */
int32_t ath_networks_scale(const ath_networks *networks);

/* Compiles for a size and loads the weights; nothing happens where it is the last one's. Text states
 * have to be set again after it. */
ATH_MUST ath_err ath_networks_fit(ath_networks *networks, ath_networks_size size);

/* ids [positions] of one chunk -> states [positions, width]. All below need a fit before. */
ATH_MUST ath_err ath_networks_encode(ath_networks *networks, const int32_t *ids, float *states);

/* What the U-Net reads: states [rows, n_tokens, width]. */
ATH_MUST ath_err ath_networks_set_states(ath_networks *networks, const float *states);

/* x [rows, height, width, channels] at time t for all rows -> the answer of the same shape. */
ATH_MUST ath_err ath_networks_predict(ath_networks *networks, const float *x, double t, float *out);

/* One latent [height, width, channels] as the sampler leaves it -> picture [H, W, 3], about -1..1. */
ATH_MUST ath_err ath_networks_decode(ath_networks *networks, const float *latent, float *picture);

#endif
