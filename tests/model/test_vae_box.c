/*
 * The constructed autoencoder is what vae_box.h says, in either layout on disk: its latents are the
 * means over squares of the picture less 1, its pictures their linear interpolation over paper, within
 * 5e-4 of the range [-1, 1] in f32 and a step of bf16 in bf16, computed here in double without any of
 * its layers. A spec without room is refused by what it lacks; memory that fails is said.
 */
#include "core/half.h"
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/model/base.h"
#include "worker/model/init.h"
#include "worker/model/save.h"
#include "worker/model/vae_box.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIDE = 24, SQUARE = 4, LATENT = SIDE / SQUARE, CHANNELS = 3, LATENTS = 5 };

/* Groups of 4, 8 and 4 channels, and shortcuts between levels. */
static ath_model_spec make_spec(void)
{
    ath_model_spec spec = ath_model_tiny;

    spec.vae = (ath_vae_spec){.n_levels = 3,
                              .width = {16, 32, 16},
                              .blocks = 2,
                              .groups = 4,
                              .channels = CHANNELS,
                              .latents = LATENTS,
                              .scale = 1.5f};
    spec.unet.in_channels = spec.unet.out_channels = LATENTS;
    return spec;
}

static float picture[SIDE][SIDE][CHANNELS];

/* Colours with edges, from black to white, and noise. */
static void paint(void)
{
    uint32_t state = 1;

    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < CHANNELS; c++) {
                state = state * 1664525u + 1013904223u;
                const double noise = (double)(state >> 8) / (1 << 24);
                picture[y][x][c] = x < 10 && y > 5 ? (float)(2 * noise - 1) : (float)(1 - c);
            }
}

/* ---- the truth ---- */

static double mean(int y, int x, int c)
{
    double sum = 0;

    for (int i = 0; i < SQUARE; i++)
        for (int k = 0; k < SQUARE; k++) sum += (double)picture[y * SQUARE + i][x * SQUARE + k][c];
    return sum / (SQUARE * SQUARE);
}

/* A pixel of the interpolation at 2^doublings the size, less 1; paper is 0. */
static double interpolate(int doublings, int y, int x, int c)
{
    const int side = LATENT << doublings;
    double sum = 0;

    if (y < 0 || x < 0 || y >= side || x >= side) return 0;
    if (doublings == 0) return mean(y, x, c) - 1;
    for (int i = -1; i <= 1; i++)
        for (int k = -1; k <= 1; k++) {
            const int v = y + i, u = x + k;
            const bool inside = v >= 0 && u >= 0 && v < side && u < side;
            if (!inside) continue;
            sum += (2 - abs(i)) * (2 - abs(k)) / 16.0 * interpolate(doublings - 1, v / 2, u / 2, c);
        }
    return sum;
}

/* ---- the network ---- */

typedef struct answers {
    float moments[LATENT][LATENT][2 * LATENTS];
    float decoded[SIDE][SIDE][CHANNELS];
} answers;

static ath_err put(ath_exec *exec, ath_dtype dtype, const char *name, const float *x, int64_t n)
{
    static uint16_t narrow[SIDE * SIDE * CHANNELS];

    if (dtype == ATH_F32) return ath_exec_write(exec, name, x, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) narrow[i] = ath_bf16_from_f32(x[i]);
    return ath_exec_write(exec, name, narrow, (size_t)n * sizeof *narrow);
}

static ath_err get(ath_exec *exec, ath_dtype dtype, const char *name, float *x, int64_t n)
{
    static uint16_t narrow[SIDE * SIDE * CHANNELS];

    if (dtype == ATH_F32) return ath_exec_read(exec, name, x, (size_t)n * sizeof *x);
    ATH_TRY(ath_exec_read(exec, name, narrow, (size_t)n * sizeof *narrow));
    for (int64_t i = 0; i < n; i++) x[i] = ath_f32_from_bf16(narrow[i]);
    return ATH_OK;
}

/* The picture's latents as they come out go in again. */
static ath_err run(const ath_base *base, ath_dtype dtype, answers *out)
{
    const ath_vae_spec *spec = &ath_base_spec(base)->vae;
    const ath_plan_opts opts = {.backend = ATH_CPU, .n_threads = 1};
    float latent[LATENT][LATENT][LATENTS] = {0};
    ath_net *net = NULL;
    ath_plan *plan = NULL;
    ath_device *device = NULL;
    ath_weights *weights = NULL;
    ath_exec *exec = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_net_create(dtype, &net));
    const ath_val in = ath_net_input(net, "picture", (ath_desc){dtype, 4, {1, SIDE, SIDE, 3}});
    const ath_desc desc = {dtype, 4, {1, LATENT, LATENT, LATENTS}};
    ath_net_keep(net, "moments", ath_vae_encode(net, spec, in));
    ath_net_keep(net, "decoded", ath_vae_decode(net, spec, ath_net_input(net, "latent", desc)));
    ATH_TRY_OUT(ath_plan_create(net, &opts, &plan));
    ATH_TRY_OUT(ath_device_create_host(&device));
    ATH_TRY_OUT(ath_weights_create(device, &weights));
    ATH_TRY_OUT(ath_base_load(base, plan, weights, NULL));
    ATH_TRY_OUT(ath_exec_create(plan, device, &(ath_exec_opts){.weights = weights}, &exec));
    ATH_TRY_OUT(put(exec, dtype, "picture", &picture[0][0][0], SIDE * SIDE * CHANNELS));
    for (int pass = 0; pass < 2; pass++) {
        ATH_TRY_OUT(put(exec, dtype, "latent", &latent[0][0][0], LATENT * LATENT * LATENTS));
        ATH_TRY_OUT(ath_exec_run(exec, ATH_PHASE_GRAD));
        ATH_TRY_OUT(
            get(exec, dtype, "moments", &out->moments[0][0][0], LATENT * LATENT * 2 * LATENTS));
        for (int i = 0; i < LATENT * LATENT; i++)
            memcpy(latent[i / LATENT][i % LATENT], out->moments[i / LATENT][i % LATENT],
                   sizeof latent[0][0]);
    }
    ATH_TRY_OUT(get(exec, dtype, "decoded", &out->decoded[0][0][0], SIDE * SIDE * CHANNELS));
out:
    ath_exec_destroy(&exec);
    ath_weights_destroy(&weights);
    ath_device_destroy(&device);
    ath_plan_destroy(&plan);
    ath_net_destroy(&net);
    return err;
}

static void check_latents(const answers *a, double bound)
{
    double worst = 0, variance = 0;

    for (int i = 0; i < LATENT * LATENT; i++) {
        const int y = i / LATENT, x = i % LATENT;
        double sum = 0;
        for (int c = 0; c < LATENTS; c++) {
            const double wanted = c < CHANNELS ? mean(y, x, c) - 1 : sum / CHANNELS;
            sum += c < CHANNELS ? wanted : 0;
            worst = fmax(worst, fabs((double)a->moments[y][x][c] - wanted));
            variance = fmax(variance, fabs((double)a->moments[y][x][LATENTS + c] + 30));
        }
    }
    CHECK_NEAR(worst, 0, bound);
    CHECK_NEAR(variance, 0, 1e-6);
}

static void check_picture(const answers *a, double bound)
{
    double worst = 0;

    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < CHANNELS; c++)
                worst =
                    fmax(worst, fabs((double)a->decoded[y][x][c] - 1 - interpolate(2, y, x, c)));
    CHECK_NEAR(worst, 0, bound);
}

static ath_err write_model(const char *path, ath_layout layout)
{
    const ath_model_spec spec = make_spec();
    ath_init *init = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_init_create(&spec, 3, ATH_ST_F32, &init));
    ATH_TRY_OUT(ath_init_use_box(init));
    ATH_TRY_OUT(ath_model_save(path, layout, &spec, ATH_ST_F32,
                               &(ath_save_from){.find = ath_init_find, .context = init}));
out:
    ath_init_destroy(&init);
    return err;
}

static void test_layout(const char *path, ath_layout layout)
{
    ath_base *base = NULL;
    answers a = {0};

    ath_test_begin(layout == ATH_LAYOUT_SINGLE ? "single file" : "folder");
    CHECK_OK(write_model(path, layout));
    CHECK_OK(ath_base_open(path, &base));
    if (!base) return;
    CHECK_OK(run(base, ATH_F32, &a));
    check_latents(&a, 5e-4);
    check_picture(&a, 5e-4);
    CHECK_OK(run(base, ATH_BF16, &a));
    check_latents(&a, 0.02);
    check_picture(&a, 0.03);
    ath_base_close(&base);
}

static void test_refusals(void)
{
    ath_vae_spec narrow = ath_vae_tiny, few = ath_vae_sd15;

    ath_test_begin("refusals");
    CHECK_OK(ath_vae_box_check(&ath_vae_sd15));
    CHECK_ERR(ath_vae_box_check(&narrow), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "found 8 groups of 2 at level 0");
    few.latents = 2;
    CHECK_ERR(ath_vae_box_check(&few), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "each of 3 channels of a picture, found 2 latents");
}

static void test_memory(const char *path)
{
    ath_test_begin("failing memory");
    ath_err err = ATH_ENOMEM;

    for (int64_t n = 1; err == ATH_ENOMEM; n += 1 + n / 8) {
        ath_mem_fail_from(n);
        err = write_model(path, ATH_LAYOUT_SINGLE);
        ath_mem_fail_from(0);
    }
    CHECK_OK(err);
}

int main(void)
{
    char home[] = "/tmp/test_vae_box.XXXXXX", file[64], folder[64], command[64];

    if (!mkdtemp(home)) return 1;
    snprintf(file, sizeof file, "%s/box.safetensors", home);
    snprintf(folder, sizeof folder, "%s/box", home);
    paint();
    test_layout(file, ATH_LAYOUT_SINGLE);
    test_layout(folder, ATH_LAYOUT_FOLDER);
    test_refusals();
    test_memory(file);
    snprintf(command, sizeof command, "rm -r %s", home);
    if (system(command) != 0) return 1;
    return ath_test_end();
}
