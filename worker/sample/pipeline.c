#include "worker/sample/pipeline.h"

#include "core/mem.h"
#include <math.h>
#include <string.h>

struct ath_pipeline {
    ath_pipeline_opts opts;
    ath_networks *networks;
    ath_tokenizer *tokenizer;
    ath_noise_schedule schedule;
};

ath_err ath_pipeline_create(const ath_pipeline_opts *opts, ath_pipeline **out)
{
    ath_pipeline *p = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(opts->networks.spec.text.positions == ATH_CHUNK, ATH_EINVAL,
             "sampling: the text encoder has %d positions, wanted %d",
             opts->networks.spec.text.positions, ATH_CHUNK);
    ATH_TRY_OUT(ATH_NEW(1, "pipeline", &p));
    p->opts = *opts;
    ath_noise_schedule_init(&p->schedule);
    ATH_TRY_OUT(ath_networks_create(&opts->networks, &p->networks));
    ATH_TRY_OUT(ath_tokenizer_create(opts->networks.spec.text.vocab, &p->tokenizer));
    *out = p;
    p = NULL;
out:
    ath_pipeline_destroy(&p);
    return err;
}

void ath_pipeline_destroy(ath_pipeline **pipeline)
{
    ath_pipeline *p = *pipeline;

    if (!p) return;
    ath_networks_destroy(&p->networks);
    ath_tokenizer_destroy(&p->tokenizer);
    ath_mem_free(pipeline);
}

ath_err ath_recipe_check(const ath_recipe *r)
{
    ath_noise_schedule schedule;
    ath_steps steps;
    int n = 0;
    const char *network = ath_prompt_find_network(r->prompt, &n);

    ATH_NEED(!network, ATH_EINVAL,
             "the prompt has \"%.*s\", which nothing here acts on; leave it out and name the file "
             "beside the prompt: --lora FILE:WEIGHT",
             n < 80 ? n : 80, network);
    ATH_NEED(r->width > 0 && r->height > 0 && r->width % ATH_SIDE_STEP == 0 &&
                 r->height % ATH_SIDE_STEP == 0 && r->width <= ATH_IMAGE_SIDE_MAX &&
                 r->height <= ATH_IMAGE_SIDE_MAX,
             ATH_EINVAL, "the size is %dx%d, wanted multiples of %d, at most %d", r->width,
             r->height, ATH_SIDE_STEP, ATH_IMAGE_SIDE_MAX);
    ATH_NEED(isfinite(r->cfg) && r->cfg >= 0, ATH_EINVAL,
             "the guidance (CFG scale) is %g, wanted 0 or more", r->cfg);
    ATH_NEED(isfinite(r->eta) && r->eta >= 0 && r->eta <= 1, ATH_EINVAL, "eta is %g, wanted 0 to 1",
             r->eta);
    ath_noise_schedule_init(&schedule);
    return ath_steps_init(&steps, &schedule, r->sampler, r->spacing, r->n_steps);
}

static ath_networks_size size_of(const ath_pipeline *p, const ath_recipe *r, int32_t n,
                                 int32_t n_tokens)
{
    const int32_t scale = ath_networks_scale(p->networks);

    return (ath_networks_size){r->cfg == 1 ? n : 2 * n, r->height / scale, r->width / scale,
                               n_tokens};
}

static int64_t latent_count(const ath_pipeline *p, const ath_recipe *r)
{
    const int64_t scale = ath_networks_scale(p->networks);

    return r->height / scale * (r->width / scale) * p->opts.networks.spec.vae.latents;
}

/* ---- text ---- */

static double mean(const float *x, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    return sum / (double)n;
}

/* Emphasis: each token's state times its weight, then all of the chunk scaled so that its mean is what
 * it was (as the WebUI's "Original"). */
static void weigh(float *states, const float *weight, int64_t width)
{
    bool is_plain = true;
    const int64_t n = ATH_CHUNK * width;

    for (int64_t t = 0; t < ATH_CHUNK; t++) is_plain = is_plain && weight[t] == 1;
    if (is_plain) return;
    const double before = mean(states, n);
    for (int64_t i = 0; i < n; i++) states[i] *= weight[i / width];
    const double after = mean(states, n), scale = before / after;
    if (!isfinite(scale)) return; /* a mean of zero: nothing to hold on to */
    for (int64_t i = 0; i < n; i++) states[i] = (float)((double)states[i] * scale);
}

static ath_err encode(ath_pipeline *p, const ath_chunks *chunks, float *states)
{
    const int64_t width = p->opts.networks.spec.text.width;

    for (int64_t c = 0; c < chunks->n; c++) {
        float *to = states + c * ATH_CHUNK * width;
        ATH_TRY(ath_networks_encode(p->networks, chunks->id + c * ATH_CHUNK, to));
        weigh(to, chunks->weight + c * ATH_CHUNK, width);
    }
    return ATH_OK;
}

/* Both prompts in as many chunks as the longer one needs. */
static ath_err cut(const ath_pipeline *p, const ath_recipe *r, ath_chunks *prompt,
                   ath_chunks *negative)
{
    ATH_TRY(ath_prompt_chunks(p->tokenizer, r->prompt, 1, prompt));
    if (r->cfg == 1) return ATH_OK;
    ATH_TRY(ath_prompt_chunks(p->tokenizer, r->negative, prompt->n, negative));
    if (negative->n == prompt->n) return ATH_OK;
    ath_chunks_release(prompt);
    return ath_prompt_chunks(p->tokenizer, r->prompt, negative->n, prompt);
}

static ath_err make_states(ath_pipeline *p, const ath_recipe *r, int32_t n, ath_states *states)
{
    const int64_t width = p->opts.networks.spec.text.width;
    ath_chunks prompt = {0}, negative = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(cut(p, r, &prompt, &negative));
    states->n_tokens = prompt.n * ATH_CHUNK;
    ATH_TRY_OUT(ATH_NEW(2 * states->n_tokens * width, "text states", &states->negative));
    states->prompt = states->negative + states->n_tokens * width;
    ATH_TRY_OUT(ath_networks_fit(p->networks, size_of(p, r, n, states->n_tokens)));
    ATH_TRY_OUT(encode(p, &prompt, states->prompt));
    ATH_TRY_OUT(encode(p, &negative, states->negative));
out:
    ath_chunks_release(&prompt);
    ath_chunks_release(&negative);
    return err;
}

/* [n, ...] negative states first, then [n, ...] of the prompt. */
static ath_err set_states(const ath_pipeline *p, const ath_recipe *r, int32_t n,
                          const ath_states *states)
{
    const int64_t count = (int64_t)states->n_tokens * p->opts.networks.spec.text.width;
    const int32_t rows = r->cfg == 1 ? n : 2 * n;
    float *all = NULL;

    ATH_TRY(ATH_NEW(rows * count, "text states of a batch", &all));
    for (int32_t i = 0; i < rows; i++)
        memcpy(all + i * count, i < rows - n ? states->negative : states->prompt,
               (size_t)count * sizeof *all);
    ath_err err = ath_networks_set_states(p->networks, all);
    ath_mem_free(&all);
    return err;
}

/* ---- denoising ---- */

typedef struct job {
    const ath_pipeline *p;
    const ath_recipe *recipe;
    int32_t n, step, n_steps;
    int64_t count; /* of a latent */
    ath_noise_source *sources;
    float *twice;  /* [2n, h, w, c] what the U-Net reads under guidance */
    float *answer; /* its answer */
    float *planes; /* [c, h, w] noise as it is drawn */
} job;

/* Noise lies in planes, latents have their channels last. */
static void draw_noise(const job *j, ath_noise_source *source, float *out)
{
    const int64_t channels = j->p->opts.networks.spec.vae.latents, area = j->count / channels;

    ath_noise_draw(source, j->count, j->planes);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < area; i++) out[i * channels + c] = j->planes[c * area + i];
}

static ath_err fresh_noise(void *context, float *out)
{
    job *j = context;

    for (int32_t i = 0; i < j->n; i++) draw_noise(j, &j->sources[i], out + i * j->count);
    return ATH_OK;
}

static ath_err predict_guided(job *j, const float *x, double t, float *out)
{
    const int64_t n = j->n * j->count;
    const size_t bytes = (size_t)n * sizeof *x;

    memcpy(j->twice, x, bytes);
    memcpy(j->twice + n, x, bytes);
    ATH_TRY(ath_networks_predict(j->p->networks, j->twice, t, j->answer));
    for (int64_t i = 0; i < n; i++) {
        const double without = (double)j->answer[i], with = (double)j->answer[n + i];
        out[i] = (float)(without + j->recipe->cfg * (with - without));
    }
    return ATH_OK;
}

static ath_err predict(void *context, const float *x, double t, float *out)
{
    job *j = context;
    const ath_pipeline_opts *opts = &j->p->opts;

    if (j->recipe->cfg == 1)
        ATH_TRY(ath_networks_predict(j->p->networks, x, t, out));
    else
        ATH_TRY(predict_guided(j, x, t, out));
    j->step++;
    if (opts->progress) opts->progress(opts->progress_context, j->step, j->n_steps);
    return ATH_OK;
}

static ath_err job_init(job *j)
{
    const ath_recipe *r = j->recipe;

    j->count = latent_count(j->p, r);
    ATH_TRY(ATH_NEW(j->count, "noise", &j->planes));
    if (r->cfg == 1) return ATH_OK;
    ATH_TRY(ATH_NEW(2 * j->n * j->count, "guided latents", &j->twice));
    return ATH_NEW(2 * j->n * j->count, "guided answers", &j->answer);
}

static void job_release(job *j)
{
    ath_mem_free(&j->planes);
    ath_mem_free(&j->twice);
    ath_mem_free(&j->answer);
}

static ath_err denoise(job *j, const ath_states *states, float *x)
{
    const ath_recipe *r = j->recipe;
    ath_steps steps;

    ATH_TRY(ath_steps_init(&steps, &j->p->schedule, r->sampler, r->spacing, r->n_steps));
    ATH_TRY(ath_networks_fit(j->p->networks, size_of(j->p, r, j->n, states->n_tokens)));
    ATH_TRY(set_states(j->p, r, j->n, states));
    j->n_steps = steps.n;
    const ath_sampling s = {.sampler = r->sampler,
                            .steps = &steps,
                            .prediction = r->prediction,
                            .eta = r->eta,
                            .predict = predict,
                            .fresh_noise = j->sources ? fresh_noise : NULL,
                            .context = j};
    return ath_sampler_run(&s, j->n * j->count, x);
}

ath_err ath_pipeline_denoise(ath_pipeline *pipeline, const ath_recipe *recipe, int32_t n,
                             const ath_states *states, ath_noise_source *sources, float *x)
{
    job j = {.p = pipeline, .recipe = recipe, .n = n, .sources = sources};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(job_init(&j));
    ATH_TRY_OUT(denoise(&j, states, x));
out:
    job_release(&j);
    return err;
}

/* ---- pictures ---- */

static uint8_t to_byte(float x)
{
    const double scaled = ((double)x + 1) / 2 * 255;

    if (!(scaled > 0)) return 0; /* also what is no number */
    return (uint8_t)(scaled < 255 ? rint(scaled) : 255);
}

ath_err ath_pipeline_decode(ath_pipeline *pipeline, const ath_recipe *recipe, const float *latent,
                            ath_image *out)
{
    const size_t n = (size_t)recipe->width * (size_t)recipe->height * 3;
    ath_image image = {.width = recipe->width, .height = recipe->height};
    float *picture = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(n, "decoded picture", &picture));
    ATH_TRY_OUT(ATH_NEW(n, "picture", &image.rgb));
    ATH_TRY_OUT(ath_networks_decode(pipeline->networks, latent, picture));
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(picture[i])) {
            err = ath_raise(ATH_ENAN,
                            "the decoded picture is not finite: the model's weights are damaged or "
                            "have diverged in training");
            goto out;
        }
        image.rgb[i] = to_byte(picture[i]);
    }
    *out = image;
    image = (ath_image){0};
out:
    ath_mem_free(&picture);
    ath_image_release(&image);
    return err;
}

static ath_err check_draw(const ath_pipeline *p, const ath_recipe *r, int32_t n)
{
    const int32_t scale = ath_networks_scale(p->networks);

    ATH_TRY(ath_recipe_check(r));
    ATH_NEED(n >= 1 && n <= ATH_PICTURES_MAX, ATH_EINVAL, "a batch of %d pictures, wanted 1..%d", n,
             ATH_PICTURES_MAX);
    ATH_NEED(r->width % scale == 0 && r->height % scale == 0, ATH_EINVAL,
             "the size is %dx%d, wanted multiples of %d for this model", r->width, r->height,
             scale);
    return ATH_OK;
}

/* Standard normal noise of all pictures, each from its own source. */
static ath_err begin_noise(const ath_pipeline *p, const ath_recipe *r, int32_t n,
                           const uint64_t *seeds, ath_noise_source *sources, float *x)
{
    job j = {.p = p, .count = latent_count(p, r)};

    ATH_TRY(ATH_NEW(j.count, "noise", &j.planes));
    for (int32_t i = 0; i < n; i++) {
        ath_noise_begin(&sources[i], r->noise, seeds[i]);
        draw_noise(&j, &sources[i], x + i * j.count);
    }
    job_release(&j);
    return ATH_OK;
}

ath_err ath_pipeline_draw(ath_pipeline *pipeline, const ath_recipe *recipe, int32_t n,
                          const uint64_t *seeds, ath_image *images)
{
    const int64_t count = latent_count(pipeline, recipe);
    ath_noise_source *sources = NULL;
    ath_states states = {0};
    float *x = NULL;
    int32_t n_done = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(check_draw(pipeline, recipe, n));
    ATH_TRY_OUT(ATH_NEW(n, "sources of noise", &sources));
    ATH_TRY_OUT(ATH_NEW(n * count, "latents", &x));
    ATH_TRY_OUT(begin_noise(pipeline, recipe, n, seeds, sources, x));
    ATH_TRY_OUT(make_states(pipeline, recipe, n, &states));
    ATH_TRY_OUT(ath_pipeline_denoise(pipeline, recipe, n, &states, sources, x));
    for (; n_done < n; n_done++)
        ATH_TRY_OUT(ath_pipeline_decode(pipeline, recipe, x + n_done * count, &images[n_done]));
out:
    if (err)
        while (n_done > 0) ath_image_release(&images[--n_done]);
    ath_mem_free(&states.negative);
    ath_mem_free(&sources);
    ath_mem_free(&x);
    return err;
}
