#include "coordinator/forecast.h"

#include <inttypes.h>

/* SD 1.5 (spec/adapters-and-formats 1.0, 2.6, 4.0.1). */
static const int64_t unet_params = 859520964, text_params = 123060480, vae_params = 83653863;
static const int64_t lora_unet = 423936, lora_text = 165888;           /* per rank */
static const int64_t lora_unet_conv = 544000, lora_unet_other = 82880; /* more, with convolutions */
static const int64_t modules_unet = 192, modules_unet_conv = 278, modules_text = 72;
static const int64_t header_bytes = 142; /* of a tensor in a safetensors file, about */
/* The usual least steps at a learning rate of 1e-4. */
static const int64_t least_person = 1000, least_style = 2500, least_concept = 3000;

/* Of each element of a latent the means and the log-variances of 4 channels are kept. */
enum { MOMENTS = 8, LATENT_PIXELS = 8, F32 = 4 };

static int64_t bytes_of(Athanor__Dtype dtype)
{
    return dtype == ATHANOR__DTYPE__F32 ? 4 : 2;
}

static bool is_adapter(const Athanor__Job *job)
{
    return job->adapter->kind != ATHANOR__ADAPTER__KIND__NONE;
}

static int64_t latents(const Athanor__Job *job, const ath_budget *b)
{
    int64_t n = 0;

    for (int64_t i = 0; i < b->n_buckets; i++) {
        const ath_size size = b->bucket[i].size;
        n += b->bucket[i].n_images * (size.width / LATENT_PIXELS) * (size.height / LATENT_PIXELS);
    }
    return n * MOMENTS * F32 * (job->data->flip ? 2 : 1);
}

static void count_params(const Athanor__Job *job, ath_forecast *f)
{
    const Athanor__Adapter *a = job->adapter;
    const bool unet = ath_recipe_trains_unet(job), text = ath_recipe_trains_text(job);

    if (unet && is_adapter(job)) {
        f->n_params_unet = lora_unet * a->rank;
        if (a->conv_rank)
            f->n_params_unet += lora_unet_conv * a->conv_rank + lora_unet_other * a->rank;
    } else if (unet) {
        f->n_params_unet = unet_params;
    }
    if (text) f->n_params_text = is_adapter(job) ? lora_text * a->rank : text_params;
}

static int64_t export_size(const Athanor__Job *job, const ath_forecast *f)
{
    const int64_t width = bytes_of(job->save->dtype);
    int64_t n_modules = 0;

    if (!is_adapter(job)) return (unet_params + text_params + vae_params) * width;
    if (f->n_params_unet) n_modules += job->adapter->conv_rank ? modules_unet_conv : modules_unet;
    if (f->n_params_text) n_modules += modules_text;
    /* two matrices and alpha each */
    return (f->n_params_unet + f->n_params_text + n_modules) * width + 3 * n_modules * header_bytes;
}

static int64_t count_exports(const Athanor__Job *job, const ath_budget *b)
{
    const Athanor__Save *s = job->save;
    int64_t n = 1; /* at the end */

    if (s->every_epochs) n += (b->n_epochs - 1) / s->every_epochs;
    if (s->every_steps) n += (b->n_steps - 1) / s->every_steps;
    return n;
}

ath_forecast ath_forecast_of(const Athanor__Job *job, const ath_budget *b)
{
    ath_forecast f = {.latent_bytes = latents(job, b), .n_exports = count_exports(job, b)};

    if (job->model->spec != ATHANOR__MODEL__SPEC__SD15) return f;
    count_params(job, &f);
    const int64_t n = f.n_params_unet + f.n_params_text;
    const int64_t n_changing = job->train->ema_decay > 0 ? 2 : 1; /* parameters, their average */
    const bool is_scheduled = job->save->state_minutes > 0 || job->save->pin_every_epochs > 0;
    f.checkpoint_bytes = (n_changing + 2) * F32 * n; /* with two moments */
    f.saving_bytes = (2 + (is_scheduled ? n_changing : 0)) * F32 * n;
    f.export_bytes = export_size(job, &f);
    f.state_bytes = (n_changing + 3) * F32 * n; /* with gradients */
    int64_t frozen = vae_params;
    if (is_adapter(job) || !f.n_params_unet) frozen += unet_params;
    if (is_adapter(job) || !f.n_params_text) frozen += text_params;
    f.frozen_bytes = frozen * bytes_of(job->train->mixed);
    return f;
}

static int64_t samples_of(const ath_scan_folder *f)
{
    return f->is_reg ? 0 : f->repeats * f->n;
}

static void advise_balance(const ath_budget *b, ath_str *to)
{
    const ath_scan_folder *least = NULL, *most = NULL;

    for (int64_t i = 0; i < b->scan->n_folders; i++) {
        const ath_scan_folder *f = &b->scan->folder[i];
        int64_t n = samples_of(f);
        if (n == 0) continue;
        if (!least || n < samples_of(least)) least = f;
        if (!most || n > samples_of(most)) most = f;
    }
    if (!least || samples_of(most) <= 2 * samples_of(least)) return;
    const int64_t repeats = (samples_of(most) + least->n / 2) / least->n;
    ath_str_print(to,
                  "\"%s\" is seen %.1f times as often as \"%s\"; %" PRId64
                  " repeats of the latter instead of %" PRId32 " would balance them\n",
                  most->concept, (double)samples_of(most) / (double)samples_of(least),
                  least->concept, repeats > 0 ? repeats : 1, least->repeats);
}

static void advise_length(const Athanor__Job *job, const ath_budget *b, ath_str *to)
{
    const double lr = ath_recipe_lr(job);
    const double at_usual = (double)b->n_steps * lr / 1e-4;

    if (at_usual >= (double)least_concept) return;
    ath_str_print(to,
                  "%" PRId64 " steps at a rate of %g; usual at 1e-4 are at least %" PRId64
                  " for a person, %" PRId64 " for a style, %" PRId64 " for a concept\n",
                  b->n_steps, lr, least_person, least_style, least_concept);
}

static void advise_warmup(const ath_rate *rate, ath_str *to)
{
    const double share = 100 * (double)rate->n_warmup / (double)rate->n_updates;

    if (rate->kind == ATH_RATE_CONSTANT || (share >= 4.5 && share <= 10)) return;
    ath_str_print(to, "a warm-up of %" PRId64 " steps is %.1f%% of the run; 5%% to 10%% is usual\n",
                  rate->n_warmup, share);
}

static void advise_shape(const ath_budget *b, const ath_epoch *e, int64_t n_ranks, ath_str *to)
{
    int64_t n_short = 0;

    for (int64_t i = 0; i < e->n_micros; i++) n_short += e->micro[i].n < b->rule.micro_batch;
    if (n_short * 5 > e->n_micros)
        ath_str_print(to,
                      "%" PRId64 " of %" PRId64 " micro-batches of an epoch are short: %" PRId64
                      " shapes of few pictures each; a smaller train.micro_batch wastes less\n",
                      n_short, e->n_micros, b->n_buckets);
    if (n_ranks > e->micros_per_step)
        ath_str_print(to,
                      "a step has %" PRId64 " micro-batches: %" PRId64 " of %" PRId64
                      " ranks have nothing to do; raise train.global_batch or use fewer\n",
                      e->micros_per_step, n_ranks - e->micros_per_step, n_ranks);
    else if (e->micros_per_step % n_ranks)
        ath_str_print(to,
                      "%" PRId64 " micro-batches a step are no multiple of %" PRId64
                      " ranks: some wait for others\n",
                      e->micros_per_step, n_ranks);
}

ath_err ath_advise(const Athanor__Job *job, const ath_budget *b, int64_t n_ranks, ath_str *to)
{
    ath_rate rate;
    ath_epoch first = {0};

    ATH_TRY(ath_rate_of(job, b->n_steps, &rate));
    ATH_TRY(ath_epoch_make(b, 0, &first));
    advise_balance(b, to);
    advise_length(job, b, to);
    advise_warmup(&rate, to);
    advise_shape(b, &first, n_ranks, to);
    ath_epoch_release(&first);
    return ath_str_check(to);
}
