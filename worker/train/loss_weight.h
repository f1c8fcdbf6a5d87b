/*
 * The weight of a sample's loss (spec/training-semantics 5.5, 5.6): a product of what is switched on.
 * `snr` is the signal-to-noise ratio of its time (ath_ddpm).
 */
#ifndef ATH_TRAIN_LOSS_WEIGHT_H
#define ATH_TRAIN_LOSS_WEIGHT_H

#include "core/err.h"

typedef struct ath_loss_opts {
    bool v_prediction;
    double prior_weight;     /* of regularization pictures; 1: as all others */
    double min_snr_gamma;    /* 0: off */
    bool scale_v_like_noise; /* v-prediction only */
    double v_like;           /* noise prediction only: adds this times the loss v-prediction has */
    bool debiased;
} ath_loss_opts;

/* Refuses what contradicts itself. */
ATH_MUST ath_err ath_loss_check(const ath_loss_opts *opts);

double ath_loss_weight(const ath_loss_opts *opts, double snr, bool is_regularization);

/* The width of the pseudo-Huber losses at a time. SNR ignores the scale, as the field has it. */
typedef enum ath_huber_schedule {
    ATH_HUBER_CONSTANT,
    ATH_HUBER_EXPONENTIAL,
    ATH_HUBER_SNR,
    ATH_N_HUBER_SCHEDULES
} ath_huber_schedule;

typedef struct ath_huber_opts {
    ath_huber_schedule schedule;
    double c, scale; /* c > 0 */
} ath_huber_opts;

double ath_huber_width(const ath_huber_opts *opts, int32_t t, double alpha_bar);

#endif
