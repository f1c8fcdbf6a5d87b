#include "worker/sample/parameters.h"

#include <inttypes.h>
#include <string.h>

/* A value that would be mistaken for the end of it stands in quotes, as in JSON. */
static void print_quoted(const char *text, ath_str *to)
{
    if (!strpbrk(text, ",:\n")) {
        ath_str_print(to, "%s", text);
        return;
    }
    ath_str_print(to, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '\n')
            ath_str_print(to, "\\n");
        else if (c == '"' || c == '\\')
            ath_str_print(to, "\\%c", c);
        else if (c < 0x20)
            ath_str_print(to, "\\u%04x", (unsigned)c);
        else
            ath_str_put(to, text, 1);
    }
    ath_str_print(to, "\"");
}

static bool uses_eta(const ath_recipe *r)
{
    if (r->sampler == ATH_SAMPLER_DDIM) return r->eta != 0;
    return r->sampler == ATH_SAMPLER_EULER_A && r->eta != 1;
}

/* Spacings that the WebUI has none of go by our name. Its DDIM has only one, and does not say so. */
static void print_schedule(const ath_recipe *r, ath_str *to)
{
    const ath_spacing spacing = ath_spacing_resolve(r->spacing, r->sampler);
    const char *name = ath_spacing_webui(spacing);

    if (spacing == ATH_SPACING_DDIM && r->sampler == ATH_SAMPLER_DDIM) return;
    ath_str_print(to, ", Schedule type: %s", name ? name : ath_spacing_name(spacing));
}

void ath_parameters_print(const ath_parameters *p, ath_str *to)
{
    static const char *const sources[ATH_N_NOISE_KINDS] = {
        [ATH_NOISE_OWN] = "athanor", [ATH_NOISE_TORCH_CPU] = "CPU", [ATH_NOISE_NV] = "NV"};
    const ath_recipe *r = p->recipe;

    ath_str_print(to, "%s", r->prompt);
    if (r->negative[0]) ath_str_print(to, "\nNegative prompt: %s", r->negative);
    ath_str_print(to, "\nSteps: %d, Sampler: %s", r->n_steps, ath_sampler_webui(r->sampler));
    print_schedule(r, to);
    ath_str_print(to, ", CFG scale: %g, Seed: %" PRIu64 ", Size: %dx%d", r->cfg, p->seed, r->width,
                  r->height);
    if (p->model_hash) ath_str_print(to, ", Model hash: %s", p->model_hash);
    ath_str_print(to, ", Model: ");
    print_quoted(p->model, to);
    if (p->loras) {
        ath_str_print(to, ", Lora hashes: ");
        print_quoted(p->loras, to);
    }
    if (p->batch > 1) ath_str_print(to, ", Batch size: %d, Batch pos: %d", p->batch, p->place);
    if (p->clip_skip > 1) ath_str_print(to, ", Clip skip: %d", p->clip_skip);
    if (uses_eta(r)) ath_str_print(to, ", Eta: %g", r->eta);
    ath_str_print(to, ", RNG: %s", sources[r->noise]);
}

void ath_model_name_print(const char *path, ath_str *to)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/') n--;
    const char *name = path + n;
    while (name > path && name[-1] != '/') name--;
    n -= (size_t)(name - path);
    static const char *const suffixes[] = {".safetensors", ".ckpt", ".pt", ".bin"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        const size_t m = strlen(suffixes[i]);
        if (n > m && memcmp(name + n - m, suffixes[i], m) == 0) {
            n -= m;
            break;
        }
    }
    ath_str_put(to, name, n);
}
