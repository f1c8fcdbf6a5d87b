/*
 * A picture with a LoRA: text states and picture of the tiny model with lora_tiny.safetensors at
 * weight 0.8 are those of diffusers (tests/reference/make_adapter.py), at 45 dB or better in f32 and
 * 40 in bf16; without it they are not. Networks can borrow weights, again and again.
 */
#include "core/io/safetensors.h"
#include "tests/harness.h"
#include "worker/adapter/adapter_file.h"
#include "worker/sample/pipeline.h"
#include <math.h>

enum { TOKENS = 77, WIDTH = 32, LATENT = 12 * 16 * 4 };

typedef struct source {
    const ath_adapter_file *file; /* NULL: none */
} source;

static ath_st *models, *wanted;

static ath_err find_weight(const char *name, const ath_st_tensor **out)
{
    char key[192];

    for (int part = 0; part < ATH_N_PARTS; part++) {
        snprintf(key, sizeof key, "weight/%s/%s", ath_part_name((ath_part)part), name);
        *out = ath_st_find(models, key);
        if (*out) return ATH_OK;
    }
    return ath_raise(ATH_EMISSING, "%s: not in the fixture", name);
}

static ath_err load(void *context, const ath_plan *plan, ath_weights *weights)
{
    const source *s = context;
    const ath_plan_param *p = NULL;
    const ath_st_tensor *t = NULL;
    const int32_t n = ath_plan_frozen(plan, &p);

    if (s->file) ATH_TRY(ath_adapter_file_load(s->file, "own", plan, weights));
    for (int32_t i = 0; i < n; i++) {
        if (ath_weights_has(weights, p[i].name)) continue;
        ATH_TRY(find_weight(p[i].name, &t));
        const ath_dtype from = t->dtype == ATH_ST_BF16 ? ATH_BF16 : ATH_F32;
        ATH_TRY(ath_weights_put(weights, p[i].name, p[i].desc, from, t->data));
    }
    return ATH_OK;
}

static ath_networks_opts networks_opts(ath_dtype dtype, source *s)
{
    return (ath_networks_opts){.spec = ath_model_tiny,
                               .backend = ATH_CPU,
                               .dtype = dtype,
                               .n_threads = 1,
                               .clip_skip = 1,
                               .load = load,
                               .load_context = s};
}

/* Decibels of the wanted range over the mean error. */
static double psnr(const float *got, const char *name, int64_t n)
{
    const ath_st_tensor *t = NULL;
    double squares = 0, low = HUGE_VAL, high = -HUGE_VAL;

    CHECK_OK(ath_st_need(wanted, name, &t));
    const float *want = t->data;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        squares += d * d;
        low = fmin(low, (double)want[i]);
        high = fmax(high, (double)want[i]);
    }
    return squares > 0 ? 10 * log10((high - low) * (high - low) * (double)n / squares) : 999;
}

static const void *data_of(const char *name)
{
    const ath_st_tensor *t = NULL;

    CHECK_OK(ath_st_need(wanted, name, &t));
    return t->data;
}

static double states_psnr(ath_networks_opts opts)
{
    static float states[TOKENS * WIDTH];
    ath_networks *n = NULL;

    CHECK_OK(ath_networks_create(&opts, &n));
    CHECK_OK(ath_networks_fit(n, (ath_networks_size){2, 12, 16, TOKENS}));
    CHECK_OK(ath_networks_encode(n, data_of("ids"), states));
    ath_networks_destroy(&n);
    return psnr(states, "states", TOKENS * WIDTH);
}

static double rgb_psnr(const ath_image *image)
{
    const uint8_t *want = data_of("rgb");
    const int64_t n = (int64_t)image->width * image->height * 3;
    double squares = 0;

    for (int64_t i = 0; i < n; i++)
        squares += (image->rgb[i] - want[i]) * (image->rgb[i] - want[i]);
    return squares > 0 ? 10 * log10(255.0 * 255 * (double)n / squares) : 999;
}

static double picture_psnr(ath_networks_opts networks, double *latent)
{
    static float states[2][TOKENS * WIDTH], x[LATENT];
    const ath_pipeline_opts opts = {.networks = networks};
    const ath_states given = {TOKENS, states[0], states[1]};
    const ath_recipe recipe = {.cfg = 7.5,
                               .width = 32,
                               .height = 24,
                               .n_steps = 20,
                               .sampler = ATH_SAMPLER_DDIM,
                               .spacing = ATH_SPACING_LEADING};
    ath_pipeline *p = NULL;
    ath_image image = {0};

    memcpy(states[0], data_of("negative"), sizeof states[0]);
    memcpy(states[1], data_of("prompt"), sizeof states[1]);
    memcpy(x, data_of("noise"), sizeof x);
    CHECK_OK(ath_pipeline_create(&opts, &p));
    CHECK_OK(ath_pipeline_denoise(p, &recipe, 1, &given, NULL, x));
    CHECK_OK(ath_pipeline_decode(p, &recipe, x, &image));
    *latent = psnr(x, "latent", LATENT);
    const double picture = rgb_psnr(&image);
    ath_image_release(&image);
    ath_pipeline_destroy(&p);
    return picture;
}

static void check_dtype(ath_dtype dtype, const ath_adapter *adapter, source *s, double bound)
{
    ath_networks_opts opts = networks_opts(dtype, s);
    double latent = 0;

    opts.adapters = adapter;
    opts.n_adapters = 1;
    const double states = states_psnr(opts), picture = picture_psnr(opts, &latent);
    printf("%s: states %.1f dB, latent %.1f dB, picture %.1f dB\n", ath_dtype_name(dtype), states,
           latent, picture);
    CHECK(states >= bound);
    CHECK(latent >= bound);
    CHECK(picture >= bound);
}

static void check_borrowed(const ath_adapter *adapter, source *s)
{
    ath_networks_opts opts = networks_opts(ATH_F32, s);
    ath_device *device = NULL;
    ath_weights *weights = NULL;
    const float host[4] = {0};

    ath_test_begin("borrowed weights");
    CHECK_OK(ath_device_create_host(&device));
    CHECK_OK(ath_weights_create(device, &weights));
    CHECK_OK(ath_weights_put(weights, "another's", (ath_desc){ATH_F32, 1, {4}}, ATH_F32, host));
    opts.adapters = adapter;
    opts.n_adapters = 1;
    opts.weights = weights;
    for (int i = 0; i < 2; i++) {
        CHECK(states_psnr(opts) > 45);
        CHECK(ath_weights_has(weights, "another's"));
        CHECK(ath_weights_has(weights, "conv_in.weight"));
    }
    ath_weights_destroy(&weights);
    ath_device_destroy(&device);
}

int main(int argc, char **argv)
{
    ath_adapter_file *file = NULL;

    if (argc != 4) return 2;
    CHECK_OK(ath_st_open(argv[1], &models));
    CHECK_OK(ath_st_open(argv[2], &wanted));
    CHECK_OK(ath_adapter_file_open(argv[3], &file));
    source with = {file}, without = {NULL};
    const ath_lora lora = ath_adapter_file_lora(file, 0.8f);
    const ath_adapter adapter = ath_lora_adapter("own", &lora, 0, 0);
    double latent = 0;

    ath_test_begin("against diffusers");
    check_dtype(ATH_F32, &adapter, &with, 45);
    check_dtype(ATH_BF16, &adapter, &with, 40);
    CHECK(states_psnr(networks_opts(ATH_F32, &without)) < 45);
    CHECK(picture_psnr(networks_opts(ATH_F32, &without), &latent) < 30);
    check_borrowed(&adapter, &with);
    ath_adapter_file_close(&file);
    ath_st_close(&models);
    ath_st_close(&wanted);
    return ath_test_end();
}
