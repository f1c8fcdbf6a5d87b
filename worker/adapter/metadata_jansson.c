#include "worker/adapter/metadata.h"

#include "core/str.h"
#include "core/time.h"
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 112, REAL_BYTES = 40 };

typedef struct table {
    const Athanor__Job *job;
    const Athanor__Plan *plan;
    const ath_trained *trained;
    ath_arena *arena;
    ath_st_meta *rows; /* [ROWS_MAX] */
    int32_t n;
    ath_err err; /* the first one */
} table;

/* ---- values as Python prints them ---- */

static void put(table *t, const char *key, const char *value)
{
    ATH_ASSERT(t->n < ROWS_MAX);
    ath_st_meta *row = &t->rows[t->n++];
    row->key = key;
    if (!t->err) t->err = ath_arena_print(t->arena, &row->value, "%s", value ? value : "None");
}

static void put_int(table *t, const char *key, int64_t value)
{
    char text[REAL_BYTES];

    snprintf(text, sizeof text, "%" PRId64, value);
    put(t, key, text);
}

static void put_bool(table *t, const char *key, bool value)
{
    put(t, key, value ? "True" : "False");
}

/* The fewest digits that read back as the same number; "1e-05", "0.0001", "1.0". */
static void print_real(double value, char out[REAL_BYTES])
{
    int digits = 1;

    for (; digits < 17; digits++) {
        snprintf(out, REAL_BYTES, "%.*e", digits - 1, value);
        if (strtod(out, NULL) == value) break;
    }
    snprintf(out, REAL_BYTES, "%.*e", digits - 1, value);
    const char *e = strchr(out, 'e');
    const int64_t power = e ? strtol(e + 1, NULL, 10) : 16;
    if (power < -4 || power >= 16) return;
    const int decimals = digits - 1 - (int)power;
    snprintf(out, REAL_BYTES, "%.*f", decimals > 1 ? decimals : 1, value);
}

static void put_real(table *t, const char *key, double value)
{
    char text[REAL_BYTES];

    print_real(value, text);
    put(t, key, text);
}

/* None where it is 0, as options are that were not given. */
static void put_given(table *t, const char *key, double value)
{
    if (value > 0 || value < 0)
        put_real(t, key, value);
    else
        put(t, key, NULL);
}

static void put_seconds(table *t, const char *key, int64_t ns)
{
    put_real(t, key, (double)ns / 1e9);
}

static int put_piece(const char *text, size_t n, void *to)
{
    ath_str_put(to, text, n);
    return 0;
}

/* Takes the value over. */
static void put_json(table *t, const char *key, json_t *value)
{
    ath_str text = {0};
    const int result =
        json_dump_callback(value, put_piece, &text, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

    json_decref(value);
    if (!t->err) t->err = ath_str_check(&text);
    if (result != 0 && !t->err)
        t->err = ath_raise(ATH_ENOMEM, "metadata %s: no memory for its text", key);
    put(t, key, ath_str_text(&text));
    ath_str_release(&text);
}

/* ---- the data ---- */

/* The folder that a picture lies in, "10_concept", and what its name says. */
typedef struct folder {
    char name[256];
    int64_t repeats;
} folder;

static folder folder_of(const Athanor__Image *image)
{
    const char *end = strrchr(image->path, '/'), *begin = end;
    folder f = {.repeats = 1};

    if (!end) return f;
    while (begin > image->path && begin[-1] != '/') begin--;
    snprintf(f.name, sizeof f.name, "%.*s", (int)(end - begin), begin);
    const int64_t n = strtol(f.name, NULL, 10);
    if (n > 0) f.repeats = n;
    return f;
}

static json_t *child(json_t *root, const char *key)
{
    json_t *found = json_object_get(root, key);

    if (found) return found;
    json_object_set_new(root, key, json_object());
    return json_object_get(root, key);
}

static void count(json_t *object, const char *key, json_int_t by)
{
    const json_int_t before = json_integer_value(json_object_get(object, key));
    json_object_set_new(object, key, json_integer(before + by));
}

/* The tags of a caption, in lower case and without blanks around them, each counted once. */
static void count_tags(table *t, json_t *of_folder, const char *caption)
{
    ath_str tag = {0};

    for (const char *at = caption; *at;) {
        const size_t n = strcspn(at, ",");
        size_t first = 0, last = n;
        while (first < last && isspace((unsigned char)at[first])) first++;
        while (last > first && isspace((unsigned char)at[last - 1])) last--;
        tag.n = 0;
        for (size_t i = first; i < last; i++) {
            const char c = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] - 'A' + 'a') : at[i];
            ath_str_put(&tag, &c, 1);
        }
        if (last > first) count(of_folder, ath_str_text(&tag), 1);
        at += n + (at[n] == ',');
    }
    if (tag.err && !t->err) t->err = ath_str_check(&tag);
    ath_str_release(&tag);
}

static void put_folders(table *t)
{
    json_t *tags = json_object(), *dirs[2] = {json_object(), json_object()};
    int64_t n[2] = {0, 0};

    for (size_t i = 0; i < t->plan->n_image; i++) {
        const Athanor__Image *image = t->plan->image[i];
        const int is_reg = image->is_regularization;
        const folder f = folder_of(image);
        json_t *dir = child(dirs[is_reg], f.name);
        json_object_set_new(dir, "n_repeats", json_integer(f.repeats));
        count(dir, "img_count", 1);
        count_tags(t, child(tags, f.name), image->caption);
        n[is_reg] += f.repeats;
    }
    put_json(t, "ss_tag_frequency", tags);
    put_json(t, "ss_dataset_dirs", dirs[0]);
    put_json(t, "ss_reg_dataset_dirs", dirs[1]);
    put_int(t, "ss_num_train_images", n[0]);
    put_int(t, "ss_num_reg_images", n[1]);
    put_int(t, "ss_num_validation_images", 0);
}

static void put_bucket_info(table *t)
{
    const Athanor__Plan *p = t->plan;
    json_t *info = json_object(), *buckets = child(info, "buckets");
    double error = 0;
    int64_t n = 0;
    char key[24];

    for (size_t i = 0; i < p->n_bucket; i++) {
        snprintf(key, sizeof key, "%zu", i);
        json_t *side = json_array(), *bucket = child(buckets, key);
        json_array_append_new(side, json_integer(p->bucket[i]->width));
        json_array_append_new(side, json_integer(p->bucket[i]->height));
        json_object_set_new(bucket, "resolution", side);
        count(bucket, "count", 0);
    }
    for (size_t i = 0; i < p->n_image; i++) {
        const Athanor__Image *m = p->image[i];
        const int64_t repeats = folder_of(m).repeats;
        if (m->bucket >= p->n_bucket || !m->resized_height) continue;
        const Athanor__Shape *to = p->bucket[m->bucket];
        snprintf(key, sizeof key, "%" PRIu32, m->bucket);
        count(child(buckets, key), "count", repeats);
        n += repeats;
        error += (double)repeats * fabs((double)to->width / to->height -
                                        (double)m->resized_width / m->resized_height);
    }
    json_object_set_new(info, "mean_img_ar_error", json_real(n ? error / (double)n : 0));
    put_json(t, "ss_bucket_info", t->job->data->buckets->enabled ? info : json_null());
    if (!t->job->data->buckets->enabled) json_decref(info);
}

static void put_data(table *t)
{
    const Athanor__Data *d = t->job->data;
    const Athanor__Train *r = t->job->train;
    char text[64];

    put_folders(t);
    put_bucket_info(t);
    snprintf(text, sizeof text, "(%" PRId64 ", %" PRId64 ")", d->resolution->width,
             d->resolution->height);
    put(t, "ss_resolution", text);
    put_int(t, "ss_batch_size_per_device", r->micro_batch);
    put_int(t, "ss_total_batch_size", r->global_batch);
    put_bool(t, "ss_color_aug", false);
    put_bool(t, "ss_flip_aug", d->flip);
    put_bool(t, "ss_random_crop", d->random_crop);
    put_bool(t, "ss_shuffle_caption", d->shuffle_tags);
    put_int(t, "ss_keep_tokens", d->keep_tokens);
    put_bool(t, "ss_enable_bucket", d->buckets->enabled);
    put_bool(t, "ss_bucket_no_upscale", d->buckets->no_upscale);
    put_int(t, "ss_min_bucket_reso", d->buckets->min);
    put_int(t, "ss_max_bucket_reso", d->buckets->max);
    put_real(t, "ss_caption_dropout_rate", d->caption_dropout);
    put_int(t, "ss_caption_dropout_every_n_epochs", 0);
    put_real(t, "ss_caption_tag_dropout_rate", d->tag_dropout);
    put(t, "ss_face_crop_aug_range", NULL);
    put_bool(t, "ss_cache_latents", true);
}

/* ---- the run ---- */

static bool has_rate(size_t n, const double *rate)
{
    for (size_t i = 0; i < n; i++)
        if (rate[i] > 0) return true;
    return false;
}

static void put_optimizer(table *t)
{
    static const char *const schedules[] = {
        [ATHANOR__OPTIMIZER__SCHEDULE__CONSTANT] = "constant",
        [ATHANOR__OPTIMIZER__SCHEDULE__CONSTANT_WITH_WARMUP] = "constant_with_warmup",
        [ATHANOR__OPTIMIZER__SCHEDULE__LINEAR] = "linear",
        [ATHANOR__OPTIMIZER__SCHEDULE__POLYNOMIAL] = "polynomial",
        [ATHANOR__OPTIMIZER__SCHEDULE__COSINE] = "cosine",
        [ATHANOR__OPTIMIZER__SCHEDULE__COSINE_WITH_RESTARTS] = "cosine_with_restarts"};
    const Athanor__Optimizer *o = t->job->optimizer;
    const Athanor__Plan *p = t->plan;
    const double share = o->warmup ? o->warmup->share * (double)p->steps : 0;
    char decay[REAL_BYTES], text[128];

    put_real(t, "ss_learning_rate", o->unet_lr);
    put_given(t, "ss_unet_lr", has_rate(p->n_unet_rate, p->unet_rate) ? o->unet_lr : 0);
    put_given(t, "ss_text_encoder_lr",
              has_rate(p->n_text_encoder_rate, p->text_encoder_rate) ? o->text_encoder_lr : 0);
    put_int(t, "ss_lr_warmup_steps", share > 0 || !o->warmup ? (int64_t)share : o->warmup->steps);
    put(t, "ss_lr_scheduler", schedules[o->schedule]);
    print_real(o->weight_decay, decay);
    snprintf(text, sizeof text, "torch.optim.adamw.AdamW(weight_decay=%s)", decay);
    put(t, "ss_optimizer", text);
    put_real(t, "ss_max_grad_norm", t->job->train->max_norm);
}

static void put_noise(table *t)
{
    const Athanor__Noise *n = t->job->noise;

    put_given(t, "ss_noise_offset", n->offset);
    put(t, "ss_adaptive_noise_scale", NULL);
    if (n->pyramid_iterations)
        put_int(t, "ss_multires_noise_iterations", n->pyramid_iterations);
    else
        put(t, "ss_multires_noise_iterations", NULL);
    put_real(t, "ss_multires_noise_discount", n->pyramid_discount);
    put_given(t, "ss_min_snr_gamma", t->job->train->min_snr_gamma);
    put(t, "ss_scale_weight_norms", NULL);
    put_bool(t, "ss_zero_terminal_snr", false);
    put_bool(t, "ss_debiased_estimation", false);
    put(t, "ss_loss_type", "l2");
    put_real(t, "ss_prior_loss_weight", t->job->train->prior_loss_weight);
}

static void put_network(table *t)
{
    const Athanor__Adapter *a = t->job->adapter;
    char text[REAL_BYTES];

    put(t, "ss_network_module", "networks.lora");
    put_int(t, "ss_network_dim", a->rank);
    put_real(t, "ss_network_alpha", a->alpha);
    put(t, "ss_network_dropout", NULL);
    if (!a->conv_rank) return;
    json_t *args = json_object();
    snprintf(text, sizeof text, "%" PRId64, a->conv_rank);
    json_object_set_new(args, "conv_dim", json_string(text));
    print_real(a->alpha, text);
    json_object_set_new(args, "conv_alpha", json_string(text));
    put_json(t, "ss_network_args", args);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void put_base(table *t)
{
    const ath_trained *r = t->trained;

    put_bool(t, "ss_v2", false);
    put(t, "ss_base_model_version", t->job->train->v_prediction ? "sd_v1_v" : "sd_v1");
    put(t, "ss_sd_model_name", r->base_name ? r->base_name : name_of(t->job->model->base_));
    if (r->base_hash) put(t, "ss_sd_model_hash", r->base_hash);
    if (r->base_sha256) put(t, "ss_new_sd_model_hash", r->base_sha256);
    if (t->job->model->vae[0]) put(t, "ss_vae_name", name_of(t->job->model->vae));
}

/* Steps of one process, as these tools count them: of the first epoch. */
static int64_t batches_of_epoch(const Athanor__Plan *p)
{
    const uint64_t steps = p->n_first_step > 1 ? p->first_step[1] - p->first_step[0] : p->steps;
    return (int64_t)(steps * (p->micros_per_step ? p->micros_per_step : 1));
}

static void put_run(table *t)
{
    const Athanor__Train *r = t->job->train;
    const Athanor__Plan *p = t->plan;
    int64_t session = 0;

    for (size_t i = 0; i < 4 && i < p->hash.len; i++) session |= (int64_t)p->hash.data[i] << 8 * i;
    put_int(t, "ss_session_id", session);
    put_seconds(t, "ss_training_started_at", t->trained->started_ns);
    put_seconds(t, "ss_training_finished_at", t->trained->finished_ns);
    put(t, "ss_output_name", t->job->name[0] ? t->job->name : "last");
    put(t, "ss_training_comment", NULL);
    put_int(t, "ss_seed", t->job->seed);
    put_int(t, "ss_num_epochs", (int64_t)p->epochs);
    put_int(t, "ss_max_train_steps", (int64_t)p->steps);
    put_int(t, "ss_epoch", t->trained->epoch);
    put_int(t, "ss_steps", t->trained->step);
    put_int(t, "ss_num_batches_per_epoch", batches_of_epoch(p));
    put_int(t, "ss_gradient_accumulation_steps", (int64_t)p->micros_per_step);
    put_bool(t, "ss_gradient_checkpointing", r->recompute);
    put(t, "ss_mixed_precision", r->mixed == ATHANOR__DTYPE__BF16 ? "bf16" : "no");
    put_bool(t, "ss_full_fp16", false);
    put_bool(t, "ss_lowram", false);
    put_int(t, "ss_clip_skip", r->clip_skip);
    put_int(t, "ss_max_token_length", r->tokens);
}

static void put_modelspec(table *t, bool is_adapter)
{
    const Athanor__Data *d = t->job->data;
    char text[ATH_TIME_TEXT];

    put(t, "modelspec.sai_model_spec", "1.0.1");
    put(t, "modelspec.architecture",
        is_adapter ? "stable-diffusion-v1/lora" : "stable-diffusion-v1");
    put(t, "modelspec.implementation",
        is_adapter ? "diffusers" : "https://github.com/Stability-AI/generative-models");
    put(t, "modelspec.implementation_version", "athanor/" ATH_VERSION);
    put(t, "modelspec.title", t->job->name[0] ? t->job->name : "last");
    snprintf(text, sizeof text, "%" PRId64 "x%" PRId64, d->resolution->width,
             d->resolution->height);
    put(t, "modelspec.resolution", text);
    ath_time_print(t->trained->finished_ns, text);
    text[19] = 0; /* whole seconds, no zone */
    put(t, "modelspec.date", text);
    put(t, "modelspec.prediction_type", t->job->train->v_prediction ? "v" : "epsilon");
    if (t->job->train->clip_skip > 1)
        put_int(t, "modelspec.encoder_layer", t->job->train->clip_skip);
    if (d->trigger[0]) put(t, "modelspec.trigger_phrase", d->trigger);
    const Athanor__Noise *n = t->job->noise;
    if (n->min_timestep == 0 && n->max_timestep == 1000) return;
    snprintf(text, sizeof text, "%d,%d", (int)n->min_timestep, (int)n->max_timestep);
    put(t, "modelspec.timestep_range", text);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const ath_st_meta *)a)->key, ((const ath_st_meta *)b)->key);
}

ath_err ath_metadata_make(const Athanor__Job *job, const Athanor__Plan *plan,
                          const ath_trained *trained, ath_arena *arena, const ath_st_meta **out,
                          int32_t *n)
{
    table t = {.job = job, .plan = plan, .trained = trained, .arena = arena};
    const bool is_adapter = job->adapter->kind == ATHANOR__ADAPTER__KIND__LORA;

    ATH_TRY(ATH_ARENA_NEW(arena, ROWS_MAX, &t.rows));
    put_modelspec(&t, is_adapter);
    if (is_adapter) {
        put_run(&t);
        put_base(&t);
        put_network(&t);
        put_optimizer(&t);
        put_noise(&t);
        put_data(&t);
    }
    ATH_TRY(t.err);
    qsort(t.rows, (size_t)t.n, sizeof *t.rows, by_key);
    *out = t.rows;
    *n = t.n;
    return ATH_OK;
}
