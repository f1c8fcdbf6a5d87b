#include "worker/train/loss_weight.h"

#include "worker/train/ddpm.h"

#include <math.h>

ath_err ath_loss_check(const ath_loss_opts *o)
{
    ATH_NEED(isfinite(o->prior_weight) && o->prior_weight >= 0, ATH_EJOB,
             "prior_loss_weight is %g, wanted 0 or more", o->prior_weight);
    ATH_NEED(isfinite(o->min_snr_gamma) && o->min_snr_gamma >= 0, ATH_EJOB,
             "min_snr_gamma is %g, wanted 0 (off) or more; 5 is usual", o->min_snr_gamma);
    ATH_NEED(isfinite(o->v_like) && o->v_like >= 0, ATH_EJOB,
             "v_pred_like_loss is %g, wanted 0 (off) or more", o->v_like);
    ATH_NEED(
        o->v_prediction || !o->scale_v_like_noise, ATH_EJOB,
        "scale_v_pred_loss_like_noise_pred is for v-prediction; switch one on or the other off");
    ATH_NEED(!o->v_prediction || o->v_like == 0, ATH_EJOB,
             "v_pred_like_loss is %g under v-prediction, whose loss it is already; leave it out",
             o->v_like);
    return ATH_OK;
}

double ath_loss_weight(const ath_loss_opts *o, double snr, bool is_regularization)
{
    const double limited = snr < 1000 ? snr : 1000; /* the first times have more than is of use */
    double weight = is_regularization ? o->prior_weight : 1;

    if (o->min_snr_gamma > 0) {
        const double least = snr < o->min_snr_gamma ? snr : o->min_snr_gamma;
        weight *= least / (o->v_prediction ? snr + 1 : snr);
    }
    if (o->scale_v_like_noise) weight *= limited / (limited + 1);
    if (o->v_like > 0) weight *= 1 + o->v_like * (limited + 1) / limited;
    if (o->debiased) weight *= o->v_prediction ? 1 / (limited + 1) : 1 / sqrt(limited);
    return weight;
}

double ath_huber_width(const ath_huber_opts *o, int32_t t, double alpha_bar)
{
    switch (o->schedule) {
    case ATH_HUBER_CONSTANT:
        return o->c * o->scale;
    case ATH_HUBER_EXPONENTIAL:
        return pow(o->c, (double)t / ATH_DDPM_TIMES) * o->scale;
    case ATH_HUBER_SNR: {
        /* no signal left: sigma is infinite, the first term 0 */
        const double sigma = sqrt((1 - alpha_bar) / alpha_bar);
        return (1 - o->c) / ((1 + sigma) * (1 + sigma)) + o->c;
    }
    case ATH_N_HUBER_SCHEDULES:
        break;
    }
    ATH_ASSERT(!"a Huber schedule");
    return 0;
}
