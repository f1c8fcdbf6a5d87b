#include "cli/report.h"

#include "cli/json_jansson.h"
#include "cli/report_plan.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static json_t *folders(const ath_scan *scan)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < scan->n_folders; i++) {
        const ath_scan_folder *f = &scan->folder[i];
        json_t *row =
            json_pack("{s:o, s:o, s:I, s:I, s:b}", "path", ath_json_text(f->path), "concept",
                      ath_json_text(f->concept), "repeats", (json_int_t)f->repeats, "pictures",
                      (json_int_t)f->n, "regularization", (int)f->is_reg);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *findings(const ath_diagnosis *d)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < d->n_findings; i++) {
        const ath_finding *f = &d->finding[i];
        const ath_finding_text *text = ath_finding_describe(f->kind);
        json_t *row = json_pack("{s:s, s:s, s:o, s:s, s:o, s:s}", "kind", text->name, "severity",
                                text->severity == ATH_SEVERITY_ERROR ? "error" : "warning", "path",
                                ath_json_text(f->path), "found", text->found, "detail",
                                ath_json_text(f->detail), "mend", text->mend);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *tags(const ath_diagnosis *d)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < d->n_tags; i++) {
        json_t *row = json_pack("{s:o, s:I}", "tag", ath_json_text(d->tag[i].text), "captions",
                                (json_int_t)d->tag[i].n);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

ath_err ath_report_diagnosis_json(const ath_scan *scan, const ath_diagnosis *d, ath_str *to)
{
    return ath_json_dump(
        json_pack("{s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "root", ath_json_text(scan->root),
                  "regularization", ath_json_text(scan->reg_root), "pictures",
                  (json_int_t)scan->n_images, "errors", (json_int_t)d->n_of[ATH_SEVERITY_ERROR],
                  "warnings", (json_int_t)d->n_of[ATH_SEVERITY_WARNING], "folders", folders(scan),
                  "findings", findings(d), "tags", tags(d)),
        to);
}

static json_t *buckets(const ath_budget *b)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < b->n_buckets; i++) {
        const ath_budget_bucket *k = &b->bucket[i];
        json_t *row = json_pack("{s:i, s:i, s:I, s:I}", "width", (int)k->size.width, "height",
                                (int)k->size.height, "pictures", (json_int_t)k->n_images,
                                "training", (json_int_t)k->n_train);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *rates(const ath_plan_report *r)
{
    const Athanor__Optimizer *o = r->job->optimizer;
    int64_t at[ATH_MILESTONES_MAX];
    int n = ath_plan_milestones(&r->rate, at);
    json_t *out = json_array();

    for (int i = 0; i < n; i++) {
        double f = ath_rate_at(&r->rate, at[i]);
        json_t *row =
            json_pack("{s:I, s:f, s:f, s:f}", "step", (json_int_t)at[i], "factor", f, "unet",
                      ath_recipe_trains_unet(r->job) ? f * o->unet_lr : 0.0, "text_encoder",
                      ath_recipe_trains_text(r->job) ? f * o->text_encoder_lr : 0.0);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *shards(const ath_plan_report *r)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < r->n_ranks; i++) {
        const ath_share *s = &r->share[i];
        json_t *row =
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rank", (json_int_t)i, "micro_batches",
                      (json_int_t)s->n_micros, "training", (json_int_t)s->n_train, "regularization",
                      (json_int_t)s->n_reg, "idle_steps", (json_int_t)s->n_idle, "first_picture",
                      (json_int_t)s->first_image, "pictures", (json_int_t)s->n_images);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *forecast(const ath_plan_report *r)
{
    const ath_forecast *f = &r->forecast;
    const int64_t activations = r->cost ? r->cost->activation_bytes : 0;

    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "unet_parameters",
        (json_int_t)f->n_params_unet, "text_encoder_parameters", (json_int_t)f->n_params_text,
        "latent_cache_bytes", (json_int_t)f->latent_bytes, "checkpoint_bytes",
        (json_int_t)f->checkpoint_bytes, "export_bytes", (json_int_t)f->export_bytes, "exports",
        (json_int_t)f->n_exports, "frozen_bytes", (json_int_t)f->frozen_bytes, "state_bytes",
        (json_int_t)f->state_bytes, "saving_bytes", (json_int_t)f->saving_bytes, "activation_bytes",
        (json_int_t)activations, "seconds", r->seconds);
}

static json_t *advice(const char *lines)
{
    json_t *out = json_array();

    for (size_t n; *lines; lines += n + (lines[n] == '\n')) {
        n = strcspn(lines, "\n");
        if (json_array_append_new(out, json_stringn(lines, n))) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

ath_err ath_report_plan_json(const ath_plan_report *r, ath_str *to)
{
    const ath_budget *b = r->budget;
    char hash[ATH_HASH_TEXT];

    return ath_json_dump(
        json_pack(
            "{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:I, s:o, s:o, "
            "s:o, s:o}",
            "name", ath_json_text(r->job->name), "hash", ath_hash_print(b->hash, hash), "pictures",
            (json_int_t)b->n_train_images, "regularization_pictures", (json_int_t)b->n_reg_images,
            "class_images_to_draw", (json_int_t)b->n_missing, "training_samples",
            (json_int_t)b->n_train, "regularization_samples", (json_int_t)b->n_reg, "epochs",
            (json_int_t)b->n_epochs, "steps", (json_int_t)b->n_steps, "samples",
            (json_int_t)b->n_samples, "micro_batch", (json_int_t)b->rule.micro_batch,
            "global_batch", (json_int_t)b->rule.global_batch, "buckets", buckets(b), "schedule",
            ath_rate_name(r->rate.kind), "warmup_steps", (json_int_t)r->rate.n_warmup,
            "learning_rate", rates(r), "shards", shards(r), "forecast", forecast(r), "advice",
            advice(r->advice)),
        to);
}
