/* The text of a picture is the WebUI's, field by field, and what it left out there is left out here. */
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/sample/parameters.h"

static void check(const ath_parameters *p, const char *wanted)
{
    ath_str text = {0};

    ath_parameters_print(p, &text);
    CHECK_OK(ath_str_check(&text));
    CHECK_STR(ath_str_text(&text), wanted);
    ath_str_release(&text);
}

static void check_name(const char *path, const char *wanted)
{
    ath_str text = {0};

    ath_model_name_print(path, &text);
    CHECK_STR(ath_str_text(&text), wanted);
    ath_str_release(&text);
}

static void check_texts(void)
{
    ath_recipe r = {.prompt = "a cat, (wet:1.2)",
                    .negative = "blurry",
                    .cfg = 7,
                    .width = 512,
                    .height = 768,
                    .n_steps = 20,
                    .sampler = ATH_SAMPLER_EULER_A,
                    .eta = 1,
                    .noise = ATH_NOISE_NV};
    ath_parameters p = {.recipe = &r,
                        .seed = 4294967296,
                        .model_hash = "6ce0161689",
                        .model = "v1-5-pruned",
                        .clip_skip = 1,
                        .batch = 1};

    check(&p, "a cat, (wet:1.2)\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, "
              "Schedule type: Uniform, CFG scale: 7, Seed: 4294967296, Size: 512x768, "
              "Model hash: 6ce0161689, Model: v1-5-pruned, RNG: NV");
    r.negative = "";
    r.cfg = 7.5;
    r.sampler = ATH_SAMPLER_DPMPP_2M;
    p.model_hash = NULL;
    p.model = "a: \"b\", c";
    p.clip_skip = 2;
    p.batch = 2;
    p.place = 1;
    check(&p, "a cat, (wet:1.2)\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, "
              "CFG scale: 7.5, Seed: 4294967296, Size: 512x768, Model: \"a: \\\"b\\\", c\", "
              "Batch size: 2, Batch pos: 1, Clip skip: 2, RNG: NV");
    r.sampler = ATH_SAMPLER_DDIM;
    r.noise = ATH_NOISE_TORCH_CPU;
    p = (ath_parameters){.recipe = &r, .model = "m", .batch = 1};
    check(&p, "a cat, (wet:1.2)\nSteps: 20, Sampler: DDIM, Schedule type: leading, "
              "CFG scale: 7.5, Seed: 0, Size: 512x768, Model: m, Eta: 1, RNG: CPU");
    r.spacing = ATH_SPACING_DDIM;
    r.eta = 0;
    r.noise = ATH_NOISE_OWN;
    check(&p, "a cat, (wet:1.2)\nSteps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 0, "
              "Size: 512x768, Model: m, RNG: athanor");
}

int main(void)
{
    ath_test_begin("texts");
    check_texts();
    ath_test_begin("names");
    check_name("v1-5.safetensors", "v1-5");
    check_name("/a/b.c/v1.5.ckpt", "v1.5");
    check_name("models/sd15/", "sd15");
    check_name("x/.ckpt", ".ckpt");
    check_name("/", "");
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
