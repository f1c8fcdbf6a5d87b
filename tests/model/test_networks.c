/*
 * The three networks of Stable Diffusion 1.5 have the published numbers of parameters and tensors,
 * every name once; a picture whose size is no multiple of eight keeps its way through the VAE; clip
 * skip leaves out whole layers; what cannot be is refused.
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/graph/plan.h"
#include "worker/model/spec.h"
#include <stdlib.h>

typedef struct parts {
    ath_net *net[ATH_N_PARTS];
    ath_plan *plan[ATH_N_PARTS];
} parts;

static ath_val record_text(ath_net *n, const ath_text_spec *spec, int32_t skip)
{
    return ath_text_encoder(n, spec, ath_net_input(n, "ids", (ath_desc){ATH_I32, 2, {1, 77}}),
                            skip);
}

static void record(ath_net *n, const ath_model_spec *spec, ath_part part)
{
    const ath_dtype compute = ath_net_compute(n);
    const ath_desc picture = {compute, 4, {1, 64, 64, 3}}, latent = {compute, 4, {1, 8, 8, 4}};
    const ath_desc context = {compute, 3, {1, 77, spec->unet.context_width}};

    switch (part) {
    case ATH_PART_TEXT:
        ath_net_keep(n, "states", record_text(n, &spec->text, 1));
        break;
    case ATH_PART_UNET:
        ath_net_keep(n, "pred",
                     ath_unet(n, &spec->unet, ath_net_input(n, "x", latent),
                              ath_net_input(n, "t", (ath_desc){ATH_F32, 1, {1}}),
                              ath_net_input(n, "context", context)));
        break;
    case ATH_PART_VAE:
        ath_net_keep(n, "moments",
                     ath_vae_encode(n, &spec->vae, ath_net_input(n, "picture", picture)));
        ath_net_keep(n, "decoded",
                     ath_vae_decode(n, &spec->vae, ath_net_input(n, "latent", latent)));
        break;
    case ATH_N_PARTS:
        break;
    }
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void check_counts(const ath_model_spec *spec, const int64_t counts[ATH_N_PARTS],
                         const int32_t tensors[ATH_N_PARTS])
{
    const ath_plan_opts opts = {.backend = ATH_REF};
    const ath_plan_param *p = NULL;
    const char *names[2048];
    int32_t n_names = 0, n_twice = 0;
    parts m = {0};

    for (int32_t k = 0; k < ATH_N_PARTS; k++) {
        int64_t count = 0;
        CHECK_OK(ath_net_create(ATH_BF16, &m.net[k]));
        record(m.net[k], spec, (ath_part)k);
        CHECK_OK(ath_plan_create(m.net[k], &opts, &m.plan[k]));
        const int32_t n = m.plan[k] ? ath_plan_frozen(m.plan[k], &p) : 0;
        for (int32_t i = 0; i < n && n_names < 2048; i++) {
            count += ath_desc_count(&p[i].desc);
            names[n_names++] = p[i].name;
        }
        CHECK_EQ(n, tensors[k]);
        CHECK_EQ(count, counts[k]);
    }
    qsort(names, (size_t)n_names, sizeof *names, by_name);
    for (int32_t i = 1; i < n_names; i++) n_twice += strcmp(names[i - 1], names[i]) == 0;
    CHECK_EQ(n_twice, 0);
    for (int32_t k = 0; k < ATH_N_PARTS; k++) {
        ath_plan_destroy(&m.plan[k]);
        ath_net_destroy(&m.net[k]);
    }
}

/* Recorded alone, so that a shape can be asked. */
static void check_vae_size(int64_t side, int64_t latent_side)
{
    const ath_desc picture = {ATH_F32, 4, {1, side, side, 3}};
    ath_net *net = NULL;

    CHECK_OK(ath_net_create(ATH_F32, &net));
    ath_val z = ath_vae_encode(net, &ath_vae_sd15, ath_net_input(net, "picture", picture));
    CHECK_OK(ath_net_check(net));
    CHECK_EQ(ath_dim(net, z, 1), latent_side);
    CHECK_EQ(ath_dim(net, z, 3), 8);
    const ath_desc latent = {ATH_F32, 4, {1, latent_side, latent_side, 4}};
    ath_val y = ath_vae_decode(net, &ath_vae_sd15, ath_net_input(net, "latent", latent));
    CHECK_OK(ath_net_check(net));
    CHECK_EQ(ath_dim(net, y, 2), 8 * latent_side);
    CHECK_EQ(ath_dim(net, y, 3), 3);
    ath_net_destroy(&net);
}

static int32_t count_params(const ath_text_spec *spec, int32_t skip)
{
    const ath_plan_opts opts = {.backend = ATH_REF};
    const ath_plan_param *p = NULL;
    ath_net *net = NULL;
    ath_plan *plan = NULL;

    CHECK_OK(ath_net_create(ATH_F32, &net));
    ath_net_keep(net, "states", record_text(net, spec, skip));
    CHECK_OK(ath_plan_create(net, &opts, &plan));
    const int32_t n = plan ? ath_plan_frozen(plan, &p) : 0;
    ath_plan_destroy(&plan);
    ath_net_destroy(&net);
    return n;
}

static void check_skip_refused(int32_t skip)
{
    ath_net *net = NULL;

    CHECK_OK(ath_net_create(ATH_F32, &net));
    ath_val y = record_text(net, &ath_text_sd15, skip);
    CHECK_EQ(y.i, 0);
    CHECK_ERR(ath_net_check(net), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "clip skip");
    CHECK_HAS(ath_err_text(), "wanted 1 to 12");
    ath_net_destroy(&net);
}

/* Every allocation of a recording fails in turn: an error, nothing leaks, nothing falls over. */
static void check_failing_allocations(void)
{
    const int64_t before = ath_mem_get_stats().n_held;
    int64_t n = 0;
    ath_err err = ATH_ENOMEM;

    while (err == ATH_ENOMEM && n < 10000) {
        ath_net *net = NULL;
        ath_mem_fail_from(++n);
        err = ath_net_create(ATH_F32, &net);
        if (!err) {
            record(net, &ath_model_tiny, ATH_PART_TEXT);
            record(net, &ath_model_tiny, ATH_PART_VAE);
            err = ath_net_check(net);
        }
        ath_mem_fail_from(0);
        ath_net_destroy(&net);
        if (err && err != ATH_ENOMEM) CHECK_ERR(err, ATH_ENOMEM);
    }
    CHECK_OK(err);
    CHECK(n > 5);
    CHECK_EQ(ath_mem_get_stats().n_held, before);
}

int main(void)
{
    ath_test_begin("numbers of parameters");
    check_counts(&ath_model_sd15, (const int64_t[]){123060480, 859520964, 83653863},
                 (const int32_t[]){196, 686, 248});

    ath_test_begin("sizes of pictures");
    check_vae_size(512, 64);
    check_vae_size(72, 9);
    check_vae_size(77, 9);

    ath_test_begin("clip skip");
    CHECK_EQ(count_params(&ath_text_sd15, 1), 196);
    CHECK_EQ(count_params(&ath_text_sd15, 2), 180);
    CHECK_EQ(count_params(&ath_text_sd15, 12), 20);
    check_skip_refused(0);
    check_skip_refused(13);

    ath_test_begin("names of parts");
    CHECK_STR(ath_part_name(ATH_PART_TEXT), "text_encoder");
    CHECK_STR(ath_part_name(ATH_PART_UNET), "unet");
    CHECK_STR(ath_part_name(ATH_PART_VAE), "vae");

    ath_test_begin("failing allocations");
    check_failing_allocations();
    return ath_test_end();
}
