/*
 * What a LoRA says of itself: every key of kohya's that readers ask for, in order and once, with
 * values as Python prints them; folders, tags and buckets as JSON; steps and epochs as they are done
 * (spec quirk 41). A whole model gets modelspec.* alone.
 */
#include "core/mem.h"
#include "proto/job.h"
#include "tests/harness.h"
#include "worker/adapter/metadata.h"
#include <math.h>

static Athanor__Job *read_job(const char *more)
{
    static const char text[] = "name = \"fox\"\n[model]\nbase = \"models/base v1.safetensors\"\n"
                               "[data]\ntrain = \"t\"\nresolution = [512, 768]\ntrigger = \"q\"\n"
                               "[optimizer]\nunet_lr = 1e-5\nwarmup = \"5%\"\n";
    const char *sets[] = {"adapter.conv_rank=4", "train.clip_skip=2", more};
    Athanor__Job *job = NULL;

    CHECK_OK(ath_job_read_text(text, sizeof text - 1, "x.toml", sets, more ? 3 : 2, &job));
    return job;
}

typedef struct made {
    Athanor__Image image[3], *images[3];
    Athanor__Shape shape, *shapes[1];
    double rate[2];
    uint64_t first_step[3];
    Athanor__Plan plan;
} made;

static Athanor__Image picture(const char *path, const char *caption, bool is_reg)
{
    Athanor__Image m = ATHANOR__IMAGE__INIT;

    m.path = (char *)(uintptr_t)path; /* protobuf's texts are not const, and not written to */
    m.caption = (char *)(uintptr_t)caption;
    m.resized_width = 500;
    m.resized_height = 1000;
    m.is_regularization = is_reg;
    return m;
}

static void make_plan(made *m)
{
    *m = (made){.rate = {1e-5, 0}, .first_step = {0, 20, 40}};
    m->image[0] = picture("t/10_fox/a.png", "Fox, red fur,, snow", false);
    m->image[1] = picture("t/10_fox/b.png", "fox ,\xc3\xa9toile", false);
    m->image[2] = picture("r/2_animal/c.png", "animal", true);
    athanor__shape__init(&m->shape);
    m->shape.width = 512;
    m->shape.height = 768;
    athanor__plan__init(&m->plan);
    for (int i = 0; i < 3; i++) m->images[i] = &m->image[i];
    m->shapes[0] = &m->shape;
    m->plan.n_image = 3;
    m->plan.image = m->images;
    m->plan.n_bucket = 1;
    m->plan.bucket = m->shapes;
    m->plan.n_unet_rate = m->plan.n_text_encoder_rate = 1;
    m->plan.unet_rate = &m->rate[0];
    m->plan.text_encoder_rate = &m->rate[1];
    m->plan.n_first_step = 3;
    m->plan.first_step = m->first_step;
    m->plan.steps = 40;
    m->plan.epochs = 2;
    m->plan.micros_per_step = 4;
}

static const ath_trained trained = {.epoch = 1,
                                    .step = 25,
                                    .started_ns = INT64_C(1700000000500000000),
                                    .finished_ns = INT64_C(1700000100000000000),
                                    .loss = (double)NAN,
                                    .base_hash = "0123abcd"};

static const char *find(int32_t n, const ath_st_meta *meta, const char *key)
{
    for (int32_t i = 0; i < n; i++)
        if (strcmp(meta[i].key, key) == 0) return meta[i].value;
    return "no such key";
}

static const struct {
    const char *key, *value;
} rows[] = {
    {"modelspec.architecture", "stable-diffusion-v1/lora"},
    {"modelspec.date", "2023-11-14T22:15:00"},
    {"modelspec.encoder_layer", "2"},
    {"modelspec.prediction_type", "epsilon"},
    {"modelspec.resolution", "512x768"},
    {"modelspec.sai_model_spec", "1.0.1"},
    {"modelspec.title", "fox"},
    {"modelspec.trigger_phrase", "q"},
    {"ss_base_model_version", "sd_v1"},
    {"ss_bucket_info", "{\"buckets\": {\"0\": {\"resolution\": [512, 768], \"count\": 22}}, "
                       "\"mean_img_ar_error\": 0.16666666666666663}"},
    {"ss_clip_skip", "2"},
    {"ss_dataset_dirs", "{\"10_fox\": {\"n_repeats\": 10, \"img_count\": 2}}"},
    {"ss_epoch", "1"},
    {"ss_learning_rate", "1e-05"},
    {"ss_lr_scheduler", "cosine"},
    {"ss_lr_warmup_steps", "2"},
    {"ss_max_grad_norm", "1.0"},
    {"ss_max_train_steps", "40"},
    {"ss_network_alpha", "16.0"},
    {"ss_network_args", "{\"conv_dim\": \"4\", \"conv_alpha\": \"16.0\"}"},
    {"ss_network_dim", "32"},
    {"ss_network_dropout", "None"},
    {"ss_network_module", "networks.lora"},
    {"ss_noise_offset", "None"},
    {"ss_num_batches_per_epoch", "80"},
    {"ss_num_reg_images", "2"},
    {"ss_num_train_images", "20"},
    {"ss_optimizer", "torch.optim.adamw.AdamW(weight_decay=0.01)"},
    {"ss_output_name", "fox"},
    {"ss_reg_dataset_dirs", "{\"2_animal\": {\"n_repeats\": 2, \"img_count\": 1}}"},
    {"ss_resolution", "(512, 768)"},
    {"ss_sd_model_hash", "0123abcd"},
    {"ss_sd_model_name", "base v1.safetensors"},
    {"ss_seed", "42"},
    {"ss_shuffle_caption", "False"},
    {"ss_steps", "25"},
    {"ss_tag_frequency", "{\"10_fox\": {\"fox\": 2, \"red fur\": 1, \"snow\": 1, "
                         "\"\\u00E9toile\": 1}, \"2_animal\": {\"animal\": 1}}"},
    {"ss_text_encoder_lr", "None"},
    {"ss_training_started_at", "1700000000.5"},
    {"ss_unet_lr", "1e-05"},
    {"ss_v2", "False"},
};

static void check_lora(void)
{
    Athanor__Job *job = read_job(NULL);
    ath_arena arena = {0};
    const ath_st_meta *meta = NULL;
    int32_t n = 0;
    made m;

    ath_test_begin("LoRA");
    make_plan(&m);
    CHECK_OK(ath_metadata_make(job, &m.plan, &trained, &arena, &meta, &n));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(find(n, meta, rows[i].key), rows[i].value);
    for (int32_t i = 1; i < n; i++) CHECK(strcmp(meta[i - 1].key, meta[i].key) < 0);
    CHECK_STR(find(n, meta, "ss_new_sd_model_hash"), "no such key");
    ath_arena_release(&arena);
    ath_job_free(&job);
}

static void check_model(void)
{
    Athanor__Job *job = read_job("adapter.kind=\"none\"");
    ath_arena arena = {0};
    const ath_st_meta *meta = NULL;
    int32_t n = 0;
    made m;

    ath_test_begin("a whole model");
    if (!job) return;
    make_plan(&m);
    CHECK_OK(ath_metadata_make(job, &m.plan, &trained, &arena, &meta, &n));
    CHECK_STR(find(n, meta, "modelspec.architecture"), "stable-diffusion-v1");
    for (int32_t i = 0; i < n; i++) CHECK(strncmp(meta[i].key, "modelspec.", 10) == 0);
    ath_arena_release(&arena);
    ath_job_free(&job);
}

static void check_failures(void)
{
    Athanor__Job *job = read_job(NULL);
    const int64_t held = ath_mem_get_stats().n_held;
    bool is_done = false;
    made m;

    ath_test_begin("failing allocations");
    make_plan(&m);
    for (int64_t i = 1; !is_done; i++) {
        ath_arena arena = {0};
        const ath_st_meta *meta = NULL;
        int32_t n = 0;
        ath_mem_fail_from(i);
        const ath_err err = ath_metadata_make(job, &m.plan, &trained, &arena, &meta, &n);
        ath_mem_fail_from(0);
        CHECK(!err || err == ATH_ENOMEM);
        is_done = !err;
        ath_arena_release(&arena);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    ath_job_free(&job);
}

int main(void)
{
    check_lora();
    check_model();
    check_failures();
    return ath_test_end();
}
