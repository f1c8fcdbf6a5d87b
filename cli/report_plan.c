#include "cli/report_plan.h"

#include "core/mem.h"
#include <inttypes.h>
#include <stdio.h>

enum { RANKS_SHOWN = 16 };

int ath_plan_milestones(const ath_rate *rate, int64_t at[ATH_MILESTONES_MAX])
{
    const int64_t last = rate->n_updates - 1;
    const int64_t all[ATH_MILESTONES_MAX] = {
        0, rate->n_warmup, rate->n_updates / 4, rate->n_updates / 2, rate->n_updates * 3 / 4, last};
    int n = 0;

    /* insertion, without repetitions */
    for (int i = 0; i < ATH_MILESTONES_MAX; i++) {
        int64_t value = all[i] < last ? all[i] : last;
        int k = n;
        while (k > 0 && at[k - 1] > value) k--;
        if (k > 0 && at[k - 1] == value) continue;
        for (int m = n++; m > k; m--) at[m] = at[m - 1];
        at[k] = value;
    }
    return n;
}

ath_size ath_plan_largest(const ath_budget *b)
{
    ath_size most = {0};

    for (int64_t i = 0; i < b->n_buckets; i++) {
        const ath_size s = b->bucket[i].size;
        if ((int64_t)s.width * s.height > (int64_t)most.width * most.height) most = s;
    }
    return most;
}

/* Work goes with pixels; a step lasts as long as the rank that has most of its micro-batches. */
static double count_seconds(const ath_budget *b, const ath_cost *cost, int64_t n_ranks)
{
    const ath_size most = ath_plan_largest(b);
    const int64_t micros = b->rule.global_batch / b->rule.micro_batch;
    const double busy = (double)micros / (double)((micros + n_ranks - 1) / n_ranks); /* ranks */
    double pixels = 0;

    for (int64_t i = 0; i < b->n_buckets; i++)
        pixels += (double)b->bucket[i].n_train * b->bucket[i].size.width * b->bucket[i].size.height;
    pixels *= (double)b->n_samples / (double)b->n_train;
    const double of_cost = (double)b->rule.micro_batch * most.width * most.height;
    return pixels / of_cost * cost->flop / cost->flop_per_s / busy;
}

static void print_bytes(const char *name, int64_t bytes, const char *of, ath_str *to)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;

    for (; value >= 999.95 && unit < 4; unit++) value /= 1000;
    if (unit)
        ath_str_print(to, "  %-17s %8.1f %-2s  %s\n", name, value, units[unit], of);
    else
        ath_str_print(to, "  %-17s %8" PRId64 " %-2s  %s\n", name, bytes, units[unit], of);
}

static void print_steps(const ath_budget *b, ath_str *to)
{
    const int64_t micro = b->rule.micro_batch, per_step = b->rule.global_batch / micro;
    const int64_t factor = b->n_reg ? 2 : 1;
    const double plain =
        (double)(b->n_epochs * b->n_train * factor) / (double)micro / (double)per_step;

    ath_str_print(to,
                  "  %-17s %8" PRId64 "  of %" PRId64 " samples: %" PRId64
                  " micro-batches of %" PRId64 "\n",
                  "steps", b->n_steps, b->rule.global_batch, per_step, micro);
    if (b->rule.n_steps) return;
    ath_str_print(to,
                  "  %-17s %8.1f  = %" PRId64 " epochs x %" PRId64
                  " (repeats x pictures) x %" PRId64 " (regularization) / %" PRId64 " / %" PRId64
                  "\n",
                  "by the formula", plain, b->n_epochs, b->n_train, factor, micro, per_step);
    if ((double)b->n_steps - plain >= 0.05)
        ath_str_print(to,
                      "  %-17s %8.1f  a bucket's last micro-batch and an epoch's last step are "
                      "short\n",
                      "more than that", (double)b->n_steps - plain);
}

static void print_budget(const ath_plan_report *r, ath_str *to)
{
    const ath_budget *b = r->budget;
    char hash[ATH_HASH_TEXT];

    ath_str_print(to, "%s\n\nbudget\n", r->job->name);
    ath_str_print(to, "  %-17s %8" PRId64 "  pictures, %" PRId64 " samples an epoch\n", "training",
                  b->n_train_images, b->n_train);
    if (b->n_reg)
        ath_str_print(to,
                      "  %-17s %8" PRId64 "  pictures, %" PRId64
                      " samples an epoch, each picture %.2f times on average\n",
                      "regularization", b->n_reg_images, b->n_reg,
                      (double)b->n_reg / (double)b->n_reg_images);
    if (b->n_missing)
        ath_str_print(to, "  %-17s %8" PRId64 "  of these pictures: the run draws them first\n",
                      "class images", b->n_missing);
    ath_str_print(to, "  %-17s %8" PRId64 "\n", "epochs", b->n_epochs);
    print_steps(b, to);
    ath_str_print(to, "  %-17s %8" PRId64 "  seen in all\n", "samples", b->n_samples);
    ath_str_print(to, "  %-17s %s\n", "hash", ath_hash_print(b->hash, hash));
}

static void print_buckets(const ath_budget *b, ath_str *to)
{
    ath_str_print(to, "\nbuckets     pictures   training samples an epoch\n");
    for (int64_t i = 0; i < b->n_buckets; i++) {
        const ath_budget_bucket *k = &b->bucket[i];
        ath_str_print(to, "  %4" PRId32 "x%-4" PRId32 " %9" PRId64 " %27" PRId64 "\n",
                      k->size.width, k->size.height, k->n_images, k->n_train);
    }
}

static void print_rates(const ath_plan_report *r, ath_str *to)
{
    const Athanor__Optimizer *o = r->job->optimizer;
    int64_t at[ATH_MILESTONES_MAX];
    int n = ath_plan_milestones(&r->rate, at);

    ath_str_print(to, "\nlearning rate: %s", ath_rate_name(r->rate.kind));
    if (r->rate.n_warmup) ath_str_print(to, ", %" PRId64 " steps of warm-up", r->rate.n_warmup);
    ath_str_print(to, "\n  %8s %8s %12s %12s\n", "step", "factor", "U-Net", "text encoder");
    for (int i = 0; i < n; i++) {
        double f = ath_rate_at(&r->rate, at[i]);
        ath_str_print(to, "  %8" PRId64 " %8.4f", at[i], f);
        if (ath_recipe_trains_unet(r->job))
            ath_str_print(to, " %12.4g", f * o->unet_lr);
        else
            ath_str_print(to, " %12s", "frozen");
        if (ath_recipe_trains_text(r->job))
            ath_str_print(to, " %12.4g\n", f * o->text_encoder_lr);
        else
            ath_str_print(to, " %12s\n", "frozen");
    }
}

static void print_shards(const ath_plan_report *r, ath_str *to)
{
    ath_str_print(to, "\nshards of %" PRId64 " rank%s in the first epoch\n", r->n_ranks,
                  r->n_ranks == 1 ? "" : "s");
    ath_str_print(to, "  %4s %13s %9s %14s %10s   %s\n", "rank", "micro-batches", "training",
                  "regularization", "idle steps", "latents to encode");
    for (int64_t i = 0; i < r->n_ranks && i < RANKS_SHOWN; i++) {
        const ath_share *s = &r->share[i];
        ath_str_print(to, "  %4" PRId64 " %13" PRId64 " %9" PRId64 " %14" PRId64 " %10" PRId64, i,
                      s->n_micros, s->n_train, s->n_reg, s->n_idle);
        if (s->n_images)
            ath_str_print(to, "   pictures %" PRId64 " to %" PRId64 "\n", s->first_image,
                          s->first_image + s->n_images - 1);
        else
            ath_str_print(to, "   none\n");
    }
    if (r->n_ranks > RANKS_SHOWN)
        ath_str_print(to, "  and %" PRId64 " more (--json lists all)\n", r->n_ranks - RANKS_SHOWN);
}

static void print_cost(const ath_plan_report *r, ath_str *to)
{
    const int64_t minutes = (int64_t)(r->seconds / 60 + 0.5);

    if (!r->cost) {
        ath_str_print(to, "  activations come on top\n");
        return;
    }
    print_bytes("activations", r->cost->activation_bytes,
                "in memory of every rank, for the largest shape", to);
    ath_str_print(to, "  %-17s %5" PRId64 " h %02" PRId64 "   ", "steps last about", minutes / 60,
                  minutes % 60);
    ath_str_print(to,
                  "on ranks with %" PRId64 " thread%s of this machine each; latents, samples and "
                  "saving come on top\n",
                  r->job->train->threads, r->job->train->threads == 1 ? "" : "s");
}

static void print_forecast(const ath_plan_report *r, ath_str *to)
{
    const ath_forecast *f = &r->forecast;
    char text[128];

    ath_str_print(to, "\nforecast\n");
    print_bytes("latent cache", f->latent_bytes, "on disk, for all pictures", to);
    if (f->export_bytes) {
        snprintf(text, sizeof text,
                 "each; %" PRId64 " parameters train: U-Net %" PRId64 ", text encoder %" PRId64,
                 f->n_params_unet + f->n_params_text, f->n_params_unet, f->n_params_text);
        print_bytes("checkpoint", f->checkpoint_bytes, text, to);
        snprintf(text, sizeof text, "each; %" PRId64 " in the run", f->n_exports);
        print_bytes("model file", f->export_bytes, text, to);
        print_bytes("frozen weights", f->frozen_bytes, "in memory, of every rank", to);
        print_bytes("training state", f->state_bytes,
                    "in memory: parameters, gradients, two moments, average where one is kept", to);
        print_bytes("to save it", f->saving_bytes,
                    "in memory of the first rank, from the first checkpoint on", to);
        print_cost(r, to);
    } else {
        ath_str_print(to, "  other sizes are known for the model sd15 only\n");
    }
}

static void print_advice(const char *lines, ath_str *to)
{
    if (!*lines) return;
    ath_str_print(to, "\nadvice\n");
    while (*lines) {
        int n = 0;
        while (lines[n] && lines[n] != '\n') n++;
        ath_str_print(to, "  %.*s\n", n, lines);
        lines += n + (lines[n] == '\n');
    }
}

void ath_report_plan(const ath_plan_report *r, ath_str *to)
{
    print_budget(r, to);
    print_buckets(r->budget, to);
    print_rates(r, to);
    print_shards(r, to);
    print_forecast(r, to);
    print_advice(r->advice, to);
}

static ath_err advise_check(const Athanor__Job *job, const ath_budget *budget, ath_str *to)
{
    const ath_doctor_rule rule = ath_doctor_rule_of(job, false);
    ath_diagnosis d = {0};

    ATH_TRY(ath_doctor_examine(budget->scan, &rule, &d));
    if (d.n_findings)
        ath_str_print(to,
                      "the data has %" PRId64 " errors, for which a run is refused, and %" PRId64
                      " warnings: athanor check tells which\n",
                      d.n_of[ATH_SEVERITY_ERROR], d.n_of[ATH_SEVERITY_WARNING]);
    ath_diagnosis_release(&d);
    return ath_str_check(to);
}

ath_err ath_report_plan_make(const Athanor__Job *job, const ath_budget *budget,
                             const ath_cost *cost, int64_t n_ranks, bool is_json, ath_str *to)
{
    ath_err err = ATH_OK;
    ath_epoch first = {0};
    ath_share *share = NULL;
    ath_str advice = {0};
    ath_plan_report r = {.job = job,
                         .budget = budget,
                         .forecast = ath_forecast_of(job, budget),
                         .cost = cost,
                         .seconds = cost ? count_seconds(budget, cost, n_ranks) : 0,
                         .n_ranks = n_ranks};

    ATH_TRY_OUT(ath_rate_of(job, budget->n_steps, &r.rate));
    ATH_TRY_OUT(ATH_NEW(n_ranks, "shards", &share));
    ATH_TRY_OUT(ath_epoch_make(budget, 0, &first));
    ATH_TRY_OUT(ath_budget_share(budget, &first, n_ranks, share));
    ATH_TRY_OUT(ath_advise(job, budget, n_ranks, &advice));
    ATH_TRY_OUT(advise_check(job, budget, &advice));
    r.share = share;
    r.advice = ath_str_text(&advice);
    if (is_json)
        ATH_TRY_OUT(ath_report_plan_json(&r, to));
    else
        ath_report_plan(&r, to);
    ATH_TRY_OUT(ath_str_check(to));
out:
    ath_epoch_release(&first);
    ath_mem_free(&share);
    ath_str_release(&advice);
    return err;
}
