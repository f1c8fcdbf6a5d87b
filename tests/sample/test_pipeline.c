/*
 * Drawing with the tiny model: from given noise and text states every sampler ends where diffusers
 * ends, at 45 dB or better in f32 (tests/reference/make_samples.py); a picture does not depend on
 * what was drawn before; guidance 1 is the prompt alone; emphasis, clip skip and long prompts matter;
 * what cannot be is refused; failing allocations leak nothing.
 */
#include "core/hash.h"
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/sample/pipeline.h"
#include <math.h>
#include <stdlib.h>

enum { NAME_BYTES = 160, N_MAX = 4096 };

/* ---- the tiny model ---- */

static ath_st *models, *samples;

static ath_err find_weight(const char *name, int *part, const ath_st_tensor **out)
{
    char key[NAME_BYTES];

    for (*part = 0; *part < ATH_N_PARTS; (*part)++) {
        snprintf(key, sizeof key, "weight/%s/%s", ath_part_name((ath_part)*part), name);
        *out = ath_st_find(models, key);
        if (*out) return ATH_OK;
    }
    return ath_raise(ATH_EMISSING, "%s: not in the fixture", name);
}

static ath_err load(void *context, const ath_plan *plan, ath_weights *weights)
{
    (void)context;
    const ath_plan_param *p = NULL;
    const ath_st_tensor *t = NULL;
    const int32_t n = ath_plan_frozen(plan, &p);
    int part = 0;

    for (int32_t i = 0; i < n; i++) {
        if (ath_weights_has(weights, p[i].name)) continue;
        ATH_TRY(find_weight(p[i].name, &part, &t));
        const ath_dtype from = t->dtype == ATH_ST_BF16 ? ATH_BF16 : ATH_F32;
        ATH_TRY(ath_weights_put(weights, p[i].name, p[i].desc, from, t->data));
    }
    return ATH_OK;
}

typedef struct steps_seen {
    int32_t n, step, n_steps;
} steps_seen;

static void see(void *context, int32_t step, int32_t n_steps)
{
    steps_seen *seen = context;

    seen->n++;
    seen->step = step;
    seen->n_steps = n_steps;
}

static ath_pipeline *open_pipeline(ath_dtype dtype, int32_t clip_skip, steps_seen *seen)
{
    ath_pipeline *p = NULL;
    const ath_pipeline_opts opts = {.networks = {.spec = ath_model_tiny,
                                                 .backend = ATH_CPU,
                                                 .dtype = dtype,
                                                 .n_threads = 1,
                                                 .clip_skip = clip_skip,
                                                 .load = load},
                                    .progress = seen ? see : NULL,
                                    .progress_context = seen};

    CHECK_OK(ath_pipeline_create(&opts, &p));
    return p;
}

/* ---- against diffusers ---- */

static const ath_st_tensor *need(const char *name)
{
    const ath_st_tensor *t = NULL;

    CHECK_OK(ath_st_need(samples, name, &t));
    return t;
}

/* Decibels of the wanted range over the mean error. */
static double psnr(double squares, int64_t n, double range)
{
    return squares > 0 ? 10 * log10(range * range * (double)n / squares) : 999;
}

static double latent_psnr(const float *got, const float *want, int64_t n)
{
    double squares = 0, low = HUGE_VAL, high = -HUGE_VAL;

    for (int64_t i = 0; i < n; i++) {
        const double w = (double)want[i], d = (double)got[i] - w;
        squares += d * d;
        low = fmin(low, w);
        high = fmax(high, w);
    }
    return psnr(squares, n, high - low);
}

static double rgb_psnr(const uint8_t *got, const uint8_t *want, int64_t n)
{
    double squares = 0;

    for (int64_t i = 0; i < n; i++) squares += (got[i] - want[i]) * (got[i] - want[i]);
    return psnr(squares, n, 255);
}

typedef struct peer {
    const char *name;
    ath_sampler sampler;
    ath_spacing spacing;
} peer;

static const peer peers[] = {
    {"ddim.leading", ATH_SAMPLER_DDIM, ATH_SPACING_LEADING},
    {"ddim.trailing", ATH_SAMPLER_DDIM, ATH_SPACING_TRAILING},
    {"euler.leading", ATH_SAMPLER_EULER, ATH_SPACING_LEADING},
    {"euler.linspace", ATH_SAMPLER_EULER, ATH_SPACING_LINSPACE},
    {"euler.trailing", ATH_SAMPLER_EULER, ATH_SPACING_TRAILING},
    {"euler_a.leading", ATH_SAMPLER_EULER_A, ATH_SPACING_LEADING},
    {"dpmpp_2m.leading", ATH_SAMPLER_DPMPP_2M, ATH_SPACING_LEADING},
    {"dpmpp_2m.linspace", ATH_SAMPLER_DPMPP_2M, ATH_SPACING_LINSPACE},
    {"dpmpp_2m.trailing", ATH_SAMPLER_DPMPP_2M, ATH_SPACING_TRAILING},
};

/* Gives the picture that the peer's own latent is decoded to. */
static ath_hash check_peer(const peer *q, ath_dtype dtype, double bound)
{
    const ath_st_tensor *noise = need("noise"), *prompt = need("prompt");
    const int32_t height = (int32_t)noise->dim[0] * 2, width = (int32_t)noise->dim[1] * 2;
    static float states[2][77 * 32], x[N_MAX];
    const ath_states given = {77, states[0], states[1]};
    static ath_noise_source source;
    char name[NAME_BYTES];
    ath_image image = {0};
    const ath_recipe recipe = {.cfg = 7.5,
                               .width = width,
                               .height = height,
                               .n_steps = 20,
                               .sampler = q->sampler,
                               .spacing = q->spacing,
                               .eta = q->sampler == ATH_SAMPLER_EULER_A ? 1 : 0};

    CHECK(prompt->bytes == sizeof states[1] && noise->bytes <= sizeof x);
    memcpy(states[0], need("negative")->data, sizeof states[0]);
    memcpy(states[1], prompt->data, sizeof states[1]);
    memcpy(x, noise->data, noise->bytes);
    ath_noise_begin(&source, ATH_NOISE_TORCH_CPU, 1234);
    ath_pipeline *p = open_pipeline(dtype, 1, NULL);
    CHECK_OK(ath_pipeline_denoise(p, &recipe, 1, &given, &source, x));
    CHECK_OK(ath_pipeline_decode(p, &recipe, x, &image));
    CHECK_EQ(image.width, width);
    CHECK_EQ(image.height, height);
    snprintf(name, sizeof name, "%s/latent", q->name);
    const double latent = latent_psnr(x, need(name)->data, (int64_t)noise->bytes / 4);
    snprintf(name, sizeof name, "%s/rgb", q->name);
    const ath_st_tensor *rgb = need(name);
    const double picture = rgb_psnr(image.rgb, rgb->data, (int64_t)rgb->bytes);
    printf("%-18s %s: latent %.1f dB, picture %.1f dB\n", q->name, ath_dtype_name(dtype), latent,
           picture);
    CHECK(latent >= bound);
    CHECK(picture >= bound);
    ath_image_release(&image);
    snprintf(name, sizeof name, "%s/latent", q->name);
    CHECK_OK(ath_pipeline_decode(p, &recipe, need(name)->data, &image));
    const ath_hash decoded = ath_hash_of(image.rgb, (size_t)rgb->bytes);
    ath_image_release(&image);
    ath_pipeline_destroy(&p);
    return decoded;
}

static void check_peers(void)
{
    ath_test_begin("against diffusers");
    for (size_t i = 1; i < sizeof peers / sizeof *peers; i++) check_peer(&peers[i], ATH_F32, 45);
    const ath_hash f32 = check_peer(&peers[0], ATH_F32, 45);
    const ath_hash bf16 = check_peer(&peers[0], ATH_BF16, 40);
    CHECK(ath_hash_is_equal(f32, bf16)); /* the decoder's type is its own */
}

/* ---- from prompts ---- */

static const ath_recipe plain = {.prompt = "a red fox",
                                 .negative = "blurry",
                                 .cfg = 4,
                                 .width = 16,
                                 .height = 24,
                                 .n_steps = 3,
                                 .sampler = ATH_SAMPLER_EULER_A,
                                 .eta = 1};

/* The pixels of n pictures with seeds 5, 6, ... */
static void draw(ath_pipeline *p, const ath_recipe *r, int32_t n, uint8_t *rgb)
{
    static const uint64_t seeds[] = {5, 6, 7};
    ath_image images[3] = {0};
    const size_t bytes = (size_t)r->width * (size_t)r->height * 3;

    CHECK_OK(ath_pipeline_draw(p, r, n, seeds, images));
    for (int32_t i = 0; i < n; i++) {
        if (images[i].rgb) memcpy(rgb + (size_t)i * bytes, images[i].rgb, bytes);
        ath_image_release(&images[i]);
    }
}

enum { BYTES = 16 * 24 * 3 };

static void check_same(void)
{
    static uint8_t first[3 * BYTES], again[3 * BYTES], other[4 * BYTES];
    steps_seen seen = {0};
    ath_pipeline *p = open_pipeline(ATH_F32, 1, &seen);
    ath_recipe r = plain;

    ath_test_begin("the same again");
    draw(p, &plain, 1, first);
    CHECK_EQ(seen.n, 3);
    CHECK_EQ(seen.step, 3);
    CHECK_EQ(seen.n_steps, 3);
    r.width = 32;
    r.height = 16;
    draw(p, &r, 2, other);
    draw(p, &plain, 1, again);
    CHECK_BITS(first, again, BYTES);
    draw(p, &plain, 3, again); /* equal up to what a batch does to sums */
    CHECK(rgb_psnr(first, again, BYTES) > 50);
    CHECK(memcmp(again, again + BYTES, BYTES) != 0);
    ath_pipeline_destroy(&p);
}

/* Whether the picture differs from the plain one. */
static bool differs(ath_pipeline *p, const ath_recipe *r)
{
    static uint8_t a[BYTES], b[BYTES];

    draw(p, &plain, 1, a);
    draw(p, r, 1, b);
    return memcmp(a, b, BYTES) != 0;
}

static void check_words(void)
{
    static char long_prompt[1000];
    ath_pipeline *p = open_pipeline(ATH_F32, 1, NULL);
    static uint8_t a[BYTES], b[BYTES];
    ath_recipe r = plain;

    ath_test_begin("what words do");
    CHECK(!differs(p, &r));
    r.prompt = "a (red:1.5) fox";
    CHECK(differs(p, &r));
    r.prompt = "a (red:1.0) fox";
    CHECK(!differs(p, &r));
    r = plain;
    r.negative = "";
    CHECK(differs(p, &r));
    r.cfg = 1;
    draw(p, &r, 1, a);
    r.negative = "nobody asks for it";
    draw(p, &r, 1, b);
    CHECK_BITS(a, b, BYTES);
    for (int i = 0; i < 90; i++) snprintf(long_prompt + 2 * i, 3, "x ");
    r = plain;
    r.negative = long_prompt; /* two chunks: the prompt gets a second one too */
    CHECK(differs(p, &r));
    r = plain;
    r.noise = ATH_NOISE_TORCH_CPU;
    CHECK(differs(p, &r));
    draw(p, &plain, 1, a);
    ath_pipeline_destroy(&p);
    p = open_pipeline(ATH_F32, 2, NULL);
    draw(p, &plain, 1, b);
    CHECK(memcmp(a, b, BYTES) != 0);
    ath_pipeline_destroy(&p);
}

/* ---- refusals ---- */

static void refuse(ath_pipeline *p, ath_recipe r, int32_t n, const char *says)
{
    static const uint64_t seeds[ATH_PICTURES_MAX + 1];
    static ath_image images[ATH_PICTURES_MAX + 1];

    CHECK_ERR(ath_pipeline_draw(p, &r, n, seeds, images), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), says);
}

static void check_refusals(void)
{
    ath_pipeline *p = open_pipeline(ATH_F32, 1, NULL), *none = NULL;
    ath_recipe r = plain;

    ath_test_begin("refusals");
    r.width = 20;
    refuse(p, r, 1, "the size is 20x24, wanted multiples of 8");
    r.width = 0;
    refuse(p, r, 1, "the size is 0x24");
    r = plain;
    r.cfg = -1;
    refuse(p, r, 1, "CFG scale) is -1");
    r = plain;
    r.eta = 2;
    refuse(p, r, 1, "eta is 2");
    r = plain;
    r.n_steps = 0;
    refuse(p, r, 1, "steps: 0");
    refuse(p, plain, 0, "a batch of 0 pictures");
    refuse(p, plain, ATH_PICTURES_MAX + 1, "a batch of 65 pictures");
    ath_pipeline_destroy(&p);

    ath_pipeline_opts opts = {
        .networks = {.spec = ath_model_tiny, .dtype = ATH_F32, .clip_skip = 3, .load = load}};
    CHECK_ERR(ath_pipeline_create(&opts, &none), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "clip skip 3: the text encoder has 2 layers");
    opts.networks.clip_skip = 1;
    opts.networks.dtype = ATH_F16;
    CHECK_ERR(ath_pipeline_create(&opts, &none), ATH_EDTYPE);
    opts.networks.dtype = ATH_F32;
    opts.networks.spec.text.positions = 64;
    CHECK_ERR(ath_pipeline_create(&opts, &none), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "64 positions");
    CHECK(none == NULL);
}

/* Some of the allocations of a whole drawing fail: each is told and nothing is left behind. */
static void check_failures(void)
{
    static const uint64_t seed = 1;
    const ath_pipeline_opts opts = {.networks = {.spec = ath_model_tiny,
                                                 .backend = ATH_CPU,
                                                 .dtype = ATH_F32,
                                                 .n_threads = 1,
                                                 .clip_skip = 1,
                                                 .load = load}};
    const int64_t held = ath_mem_get_stats().n_held;
    bool is_done = false;
    int n_failed = 0;

    ath_recipe short_one = plain;
    short_one.n_steps = 1;
    short_one.height = 16;
    ath_test_begin("failures");
    for (int64_t i = 1; !is_done; i += 1 + i / 3) {
        ath_pipeline *p = NULL;
        ath_image image = {0};
        ath_mem_fail_from(i);
        ath_err err = ath_pipeline_create(&opts, &p);
        if (!err) err = ath_pipeline_draw(p, &short_one, 1, &seed, &image);
        ath_mem_fail_from(0);
        CHECK(!err || err == ATH_ENOMEM || err == ATH_EDNNL);
        is_done = !err;
        n_failed += err != ATH_OK;
        ath_image_release(&image);
        ath_pipeline_destroy(&p);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(n_failed > 15);
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    CHECK_OK(ath_st_open(argv[1], &models));
    CHECK_OK(ath_st_open(argv[2], &samples));
    check_peers();
    check_same();
    check_words();
    check_refusals();
    check_failures();
    ath_st_close(&models);
    ath_st_close(&samples);
    return ath_test_end();
}
