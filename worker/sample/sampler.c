#include "worker/sample/sampler.h"

#include "core/mem.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name, *webui;
} names[ATH_N_SAMPLERS] = {
    [ATH_SAMPLER_DDIM] = {"ddim", "DDIM"},
    [ATH_SAMPLER_EULER] = {"euler", "Euler"},
    [ATH_SAMPLER_EULER_A] = {"euler_a", "Euler a"},
    [ATH_SAMPLER_DPMPP_2M] = {"dpmpp_2m", "DPM++ 2M"},
};

const char *ath_sampler_name(ath_sampler sampler)
{
    ATH_ASSERT((size_t)sampler < ATH_N_SAMPLERS);
    return names[sampler].name;
}

const char *ath_sampler_webui(ath_sampler sampler)
{
    ATH_ASSERT((size_t)sampler < ATH_N_SAMPLERS);
    return names[sampler].webui;
}

/* A run: the picture as the sampler holds it, and what each step works on. */
typedef struct run {
    const ath_sampling *s;
    int64_t n;
    float *x;          /* [n] with noise sigma; DDIM: of variance one */
    float *in, *noise; /* [n] what the network sees; its answer, as noise */
    float *fresh;      /* [n] noise to add */
    double *clean;     /* [n] DPM++ 2M: the picture as the step before saw it */
} run;

/* The network's answer at step i as noise, whatever it predicts. */
static ath_err ask(run *r, int32_t i)
{
    const double sigma = r->s->steps->sigma[i], whole = sqrt(1 + sigma * sigma);
    const bool is_scaled = r->s->sampler == ATH_SAMPLER_DDIM;

    for (int64_t k = 0; k < r->n; k++)
        r->in[k] = is_scaled ? r->x[k] : (float)((double)r->x[k] / whole);
    ATH_TRY(r->s->predict(r->s->context, r->in, r->s->steps->time[i], r->noise));
    if (r->s->prediction == ATH_PREDICTS_NOISE) return ATH_OK;
    for (int64_t k = 0; k < r->n; k++)
        r->noise[k] = (float)(((double)r->noise[k] + sigma * (double)r->in[k]) / whole);
    return ATH_OK;
}

/* Adds `share` of fresh noise to x. */
static ath_err add_fresh(run *r, double share)
{
    if (!(share > 0)) return ATH_OK;
    ATH_NEED(r->s->fresh_noise, ATH_EINVAL, "sampler %s: adds noise but was given none",
             ath_sampler_name(r->s->sampler));
    ATH_TRY(r->s->fresh_noise(r->s->context, r->fresh));
    for (int64_t k = 0; k < r->n; k++)
        r->x[k] = (float)((double)r->x[k] + share * (double)r->fresh[k]);
    return ATH_OK;
}

static ath_err ddim(run *r, double sigma, double next)
{
    const double a = 1 / (1 + sigma * sigma), b = 1 / (1 + next * next);
    const double fresh = r->s->eta * sqrt((1 - b) / (1 - a)) * sqrt(1 - a / b);
    const double keep = sqrt(b) / sqrt(a), left = sqrt(fmax(1 - b - fresh * fresh, 0));

    for (int64_t k = 0; k < r->n; k++) {
        const double noise = (double)r->noise[k];
        r->x[k] = (float)(keep * ((double)r->x[k] - sqrt(1 - a) * noise) + left * noise);
    }
    return add_fresh(r, fresh);
}

/* With eta 0 Euler, with more of it ancestral: down below `next`, then up to it with fresh noise. */
static ath_err euler(run *r, double sigma, double next, double eta)
{
    const double variance = next * next * (sigma * sigma - next * next) / (sigma * sigma);
    const double up = fmin(next, eta * sqrt(fmax(variance, 0)));
    const double down = sqrt(fmax(next * next - up * up, 0));

    for (int64_t k = 0; k < r->n; k++)
        r->x[k] = (float)((double)r->x[k] + (double)r->noise[k] * (down - sigma));
    return add_fresh(r, up);
}

/* Second order from two calls: the clean picture is carried on along its last change. */
static ath_err dpmpp_2m(run *r, int32_t i)
{
    const double *sigma = r->s->steps->sigma + i;
    const bool is_last = !(sigma[1] > 0);
    const double h = is_last ? 0 : log(sigma[0] / sigma[1]);
    const double before = i > 0 ? log(sigma[-1] / sigma[0]) : 0;
    const double lead = i > 0 && !is_last ? h / (2 * before) : 0;
    const double keep = sigma[1] / sigma[0], take = is_last ? 1 : -expm1(-h);

    for (int64_t k = 0; k < r->n; k++) {
        const double x = (double)r->x[k], clean = x - sigma[0] * (double)r->noise[k];
        r->x[k] = (float)(keep * x + take * (clean + lead * (clean - r->clean[k])));
        r->clean[k] = clean;
    }
    return ATH_OK;
}

static ath_err step(run *r, int32_t i)
{
    const double sigma = r->s->steps->sigma[i], next = r->s->steps->sigma[i + 1];

    ATH_TRY(ask(r, i));
    switch (r->s->sampler) {
    case ATH_SAMPLER_DDIM:
        return ddim(r, sigma, next);
    case ATH_SAMPLER_EULER:
        return euler(r, sigma, next, 0);
    case ATH_SAMPLER_EULER_A:
        return euler(r, sigma, next, r->s->eta);
    case ATH_SAMPLER_DPMPP_2M:
        return dpmpp_2m(r, i);
    case ATH_N_SAMPLERS:
        break;
    }
    ATH_ASSERT(!"a sampler");
}

ath_err ath_sampler_run(const ath_sampling *s, int64_t n, float *x)
{
    run r = {.s = s, .n = n, .x = x};
    float *work = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(n > 0 && s->steps->n > 0, ATH_EINVAL, "sampler: nothing to sample");
    ATH_TRY_OUT(ATH_NEW(3 * n, "sampler", &work));
    ATH_TRY_OUT(ATH_NEW(n, "sampler", &r.clean));
    r.in = work;
    r.noise = work + n;
    r.fresh = work + 2 * n;
    for (int64_t k = 0; k < n; k++) x[k] = (float)(s->steps->start * (double)x[k]);
    for (int32_t i = 0; i < s->steps->n; i++) ATH_TRY_OUT(step(&r, i));
out:
    ath_mem_free(&work);
    ath_mem_free(&r.clean);
    return err;
}
