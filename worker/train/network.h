/*
 * What a training step computes, as a program: text encoder where it trains, U-Net, loss. One for each
 * shape of a micro-batch; all have the same parameters in the same places.
 *
 * Inputs, of `latents` channels and in the dtype of the run unless noted: "x", "target" (F32) [n,height,
 * width,latents], "t" and "w" [n] F32; "ids" [n * n_chunks, positions] or "states" [n, tokens, width].
 * Kept: "losses" [n] F64, without weight. The loss op divides by n, so "w" is n times a sample's weight.
 */
#ifndef ATH_TRAIN_NETWORK_H
#define ATH_TRAIN_NETWORK_H

#include "worker/train/trainer.h"

typedef struct ath_train_shape {
    int32_t n, height, width; /* of the latents */
} ath_train_shape;

/* The smallest that the U-Net takes: parameters do not depend on it. */
ath_train_shape ath_train_shape_least(const ath_model_spec *spec);

/* Tokens of the states that the U-Net reads. */
int32_t ath_train_tokens(const ath_trainer_opts *opts);

/* Records and compiles. */
ATH_MUST ath_err ath_train_plan(const ath_trainer_opts *opts, ath_train_shape shape,
                                ath_plan **out);

/* True for parameters of the text encoder, adapters' included: they have their own rate. */
bool ath_train_is_text(const char *name);

#endif
