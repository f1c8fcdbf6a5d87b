#include "cli/sample_jobs.h"

#include "core/io/file.h"
#include "core/mem.h"
#include "core/text/prompt_line.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPTS_MAX_BYTES = 1 << 24 };

/* "512x768" */
static ath_err parse_size(const char *text, int32_t *width, int32_t *height)
{
    char *end = NULL, *last = NULL;
    const int64_t w = strtoll(text, &end, 10), h = *end == 'x' ? strtoll(end + 1, &last, 10) : 0;

    ATH_NEED(last && !*last && w > 0 && h > 0 && w <= ATH_IMAGE_SIDE_MAX && h <= ATH_IMAGE_SIDE_MAX,
             ATH_EINVAL, "--size is \"%s\", wanted WxH, such as 512x768", text);
    *width = (int32_t)w;
    *height = (int32_t)h;
    return ATH_OK;
}

/* Where nothing else is said: WebUI's habit. */
static double eta_of(const ath_sample_values *v, ath_sampler sampler)
{
    if (v->eta >= 0) return v->eta;
    return sampler == ATH_SAMPLER_EULER_A ? 1 : 0;
}

static ath_err make_recipe(const ath_sample_values *v, ath_recipe *out)
{
    *out = (ath_recipe){.prompt = v->prompt,
                        .negative = v->negative,
                        .cfg = v->cfg,
                        .n_steps = (int32_t)v->steps,
                        .sampler = (ath_sampler)v->sampler,
                        .spacing = (ath_spacing)v->schedule,
                        .prediction = (ath_prediction)v->predicts,
                        .eta = eta_of(v, (ath_sampler)v->sampler),
                        .noise = (ath_noise_kind)v->noise};
    return parse_size(v->size, &out->width, &out->height);
}

/* All pictures of one prompt, in batches. */
static ath_err add_prompt(ath_sample_jobs *jobs, const ath_sample_values *v, const ath_recipe *r,
                          uint64_t seed)
{
    const ath_sample_batch *last = jobs->n ? &jobs->batches[jobs->n - 1] : NULL;
    const int64_t first = last ? last->first + last->n : 0;

    ATH_TRY(ath_recipe_check(r));
    for (int64_t i = 0; i < v->count; i += v->batch) {
        const int64_t left = v->count - i;
        ATH_TRY(ath_mem_grow(&jobs->batches, jobs->n, &jobs->room, sizeof *jobs->batches,
                             "batches of pictures"));
        ath_sample_batch *b = &jobs->batches[jobs->n++];
        *b = (ath_sample_batch){.recipe = *r, .first = first + i};
        b->n = (int32_t)(left < v->batch ? left : v->batch);
        for (int32_t k = 0; k < b->n; k++) b->seeds[k] = seed + (uint64_t)(i + k);
    }
    return ATH_OK;
}

/* Our own names, and those that sd-scripts has for the same. */
static ath_err find_sampler(const char *file, const ath_prompt_line *line, ath_sampler *out)
{
    static const struct {
        const char *name;
        ath_sampler sampler;
    } others[] = {{"k_euler", ATH_SAMPLER_EULER},
                  {"k_euler_a", ATH_SAMPLER_EULER_A},
                  {"dpmsolver++", ATH_SAMPLER_DPMPP_2M}};

    for (int i = 0; i < ATH_N_SAMPLERS; i++) {
        if (strcmp(ath_sampler_name((ath_sampler)i), line->sampler) != 0) continue;
        *out = (ath_sampler)i;
        return ATH_OK;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i].name, line->sampler) != 0) continue;
        *out = others[i].sampler;
        return ATH_OK;
    }
    return ath_raise(ATH_EFORMAT,
                     "%s:%d: no sampler \"%s\"; wanted ddim, euler, euler_a or dpmpp_2m", file,
                     line->i_line, line->sampler);
}

static ath_err add_line(ath_sample_jobs *jobs, const ath_sample_values *v,
                        const ath_recipe *initial, const ath_prompt_line *line)
{
    ath_recipe r = *initial;

    r.prompt = line->prompt;
    r.negative = line->negative;
    r.width = line->width;
    r.height = line->height;
    r.n_steps = line->steps;
    r.cfg = line->scale;
    if (line->sampler) {
        ATH_TRY(find_sampler(v->prompts, line, &r.sampler));
        r.eta = eta_of(v, r.sampler);
    }
    return add_prompt(jobs, v, &r, line->has_seed ? line->seed : (uint64_t)v->seed);
}

static ath_err read_prompts(ath_sample_jobs *jobs, const ath_sample_values *v, const ath_recipe *r)
{
    ath_prompt_line initial = ath_prompt_line_initial();
    ath_prompt_lines lines = {0};
    char *text = NULL;
    size_t n = 0;
    ath_err err = ATH_OK;

    initial.negative = r->negative;
    initial.width = r->width;
    initial.height = r->height;
    initial.steps = r->n_steps;
    initial.scale = r->cfg;
    ATH_TRY_OUT(ath_file_read(v->prompts, PROMPTS_MAX_BYTES, &text, &n));
    ATH_TRY_OUT(ath_prompt_lines_parse(v->prompts, text, n, &initial, &jobs->texts, &lines));
    if (lines.n == 0) err = ath_raise(ATH_EMISSING, "%s: there is no prompt in it", v->prompts);
    for (int64_t i = 0; !err && i < lines.n; i++) err = add_line(jobs, v, r, &lines.line[i]);
out:
    ath_mem_free(&text);
    return err;
}

ath_err ath_sample_jobs_init(ath_sample_jobs *jobs, const ath_sample_values *v)
{
    ath_recipe r;

    ATH_NEED(v->prompt || v->prompts, ATH_EINVAL,
             "sample: nothing to draw; say what with --prompt TEXT or --prompts FILE");
    ATH_NEED(!v->prompt || !v->prompts, ATH_EINVAL,
             "sample: --prompt and --prompts exclude each other");
    ATH_TRY(make_recipe(v, &r));
    if (v->prompts) return read_prompts(jobs, v, &r);
    return add_prompt(jobs, v, &r, (uint64_t)v->seed);
}

void ath_sample_jobs_release(ath_sample_jobs *jobs)
{
    ath_mem_free(&jobs->batches);
    ath_arena_release(&jobs->texts);
    *jobs = (ath_sample_jobs){0};
}
