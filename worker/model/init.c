#include "worker/model/init.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/rng.h"
#include "worker/model/params.h"
#include "worker/model/vae_box.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 256, NAME_BYTES = 192 };

struct ath_init {
    ath_arena arena;
    ath_model_spec spec;
    uint64_t seed;
    ath_st_dtype dtype;
    bool has_box;
    const ath_param *params[ATH_N_PARTS];
    int32_t n[ATH_N_PARTS];
};

/* A constant, uniform within `size`, or normal of deviation `size`. */
typedef struct rule {
    enum { CONSTANT, UNIFORM, NORMAL } kind;
    float size;
} rule;

ath_err ath_init_create(const ath_model_spec *spec, uint64_t seed, ath_st_dtype dtype,
                        ath_init **out)
{
    ath_init *init = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(ath_param_dtype(dtype) != ATH_NONE, ATH_EDTYPE,
             "init: weights of type %s, wanted F32, F16, BF16 or F64", ath_st_dtype_name(dtype));
    ATH_TRY(ATH_NEW(1, "fresh model", &init));
    init->spec = *spec;
    init->seed = seed;
    init->dtype = dtype;
    for (int i = 0; i < ATH_N_PARTS; i++)
        ATH_TRY_OUT(
            ath_params_list(spec, (ath_part)i, &init->arena, &init->params[i], &init->n[i]));
    *out = init;
    init = NULL;
out:
    ath_init_destroy(&init);
    return err;
}

void ath_init_destroy(ath_init **init)
{
    if (!*init) return;
    ath_arena_release(&(*init)->arena);
    ath_mem_free(init);
}

ath_err ath_init_use_box(ath_init *init)
{
    ATH_TRY(ath_vae_box_check(&init->spec.vae));
    init->has_box = true;
    return ATH_OK;
}

static const ath_param *find(const ath_init *init, ath_part part, const char *name)
{
    for (int32_t i = 0; i < init->n[part]; i++)
        if (strcmp(init->params[part][i].name, name) == 0) return &init->params[part][i];
    return NULL;
}

static bool ends(const char *name, const char *ending)
{
    const size_t n = strlen(name), k = strlen(ending);
    return n >= k && strcmp(name + n - k, ending) == 0;
}

/* The weight of the layer whose bias this is. */
static const ath_param *weight_of(const ath_init *init, ath_part part, const char *bias)
{
    char name[NAME_BYTES];

    snprintf(name, sizeof name, "%.*s.weight", (int)(strrchr(bias, '.') - bias), bias);
    return find(init, part, name);
}

static rule text_rule(const ath_text_spec *t, const ath_param *p)
{
    const double width = 1 / sqrt((double)t->width), depth = 1 / sqrt(2 * (double)t->layers);

    if (ends(p->name, ".bias")) return (rule){CONSTANT, 0};
    if (p->n_dim == 1) return (rule){CONSTANT, 1};
    if (strstr(p->name, ".embeddings.")) return (rule){NORMAL, 0.02f};
    if (ends(p->name, ".out_proj.weight")) return (rule){NORMAL, (float)width};
    if (ends(p->name, ".fc1.weight")) return (rule){NORMAL, (float)(width / sqrt(2))};
    return (rule){NORMAL, (float)(width * depth)}; /* q, k, v, fc2 */
}

static rule image_rule(const ath_init *init, ath_part part, const ath_param *p)
{
    const bool is_bias = ends(p->name, ".bias");
    const ath_param *w = is_bias ? weight_of(init, part, p->name) : p;

    ATH_ASSERT(w);
    if (w->n_dim == 1) return (rule){CONSTANT, is_bias ? 0 : 1}; /* a norm */
    return (rule){UNIFORM, (float)(1 / sqrt((double)(ath_param_count(w) / w->dim[0])))};
}

/* Numbers first .. first + CHUNK - 1 of a draw. */
static void draw(const rule *r, const uint32_t key[2], ath_hash name, int64_t first,
                 float out[CHUNK])
{
    for (int64_t i = 0; i < CHUNK; i += 4) {
        const uint32_t counter[4] = {(uint32_t)((first + i) / 4), ATH_DRAW_INIT, (uint32_t)name.lo,
                                     (uint32_t)(name.lo >> 32)};
        uint32_t word[4];
        if (r->kind == CONSTANT) {
            for (int k = 0; k < 4; k++) out[i + k] = r->size;
            continue;
        }
        ath_philox(counter, key, word);
        if (r->kind == NORMAL) ath_normal4(word, out + i);
        for (int k = 0; k < 4; k++)
            out[i + k] =
                r->size * (r->kind == NORMAL ? out[i + k] : 2 * ath_uniform_f32(word[k]) - 1);
    }
}

/* All numbers of a parameter by the rules of its network. */
static void draw_all(const ath_init *init, ath_part part, const ath_param *p, char *data)
{
    const rule r =
        part == ATH_PART_TEXT ? text_rule(&init->spec.text, p) : image_rule(init, part, p);
    const uint32_t key[2] = {(uint32_t)init->seed, (uint32_t)(init->seed >> 32)};
    const ath_hash hash = ath_hash_of(p->name, strlen(p->name));
    const ath_dtype dtype = ath_param_dtype(init->dtype);
    const int64_t count = ath_param_count(p);
    float chunk[CHUNK];

    for (int64_t i = 0; i < count; i += CHUNK) {
        draw(&r, key, hash, i, chunk);
        ath_dtype_convert(data + (size_t)i * ath_dtype_bytes(dtype), dtype, chunk, ATH_F32,
                          count - i < CHUNK ? count - i : CHUNK);
    }
}

static ath_err construct(ath_init *init, const ath_param *p, char *data)
{
    const int64_t count = ath_param_count(p);
    float *values = NULL;

    ATH_TRY(ATH_NEW(count, "box autoencoder", &values));
    ath_vae_box_fill(&init->spec.vae, p, values);
    ath_dtype_convert(data, ath_param_dtype(init->dtype), values, ATH_F32, count);
    ath_mem_free(&values);
    return ATH_OK;
}

void ath_init_uniform(uint64_t seed, const char *name, double size, int64_t n, float *out)
{
    const rule r = {UNIFORM, (float)size};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const ath_hash hash = ath_hash_of(name, strlen(name));
    float chunk[CHUNK];

    for (int64_t i = 0; i < n; i += CHUNK) {
        draw(&r, key, hash, i, chunk);
        memcpy(out + i, chunk, (size_t)(n - i < CHUNK ? n - i : CHUNK) * sizeof *out);
    }
}

ath_err ath_init_find(void *context, ath_part part, const char *name, ath_st_tensor *out)
{
    ath_init *init = context;
    const ath_param *p = find(init, part, name);

    ATH_NEED(p, ATH_EMISSING, "init: the %s has no parameter \"%s\"", ath_part_name(part), name);
    const size_t element = ath_dtype_bytes(ath_param_dtype(init->dtype));
    const int64_t count = ath_param_count(p);
    char *data = NULL;

    ATH_TRY(ath_arena_new(&init->arena, (size_t)count, element, (void **)&data));
    if (init->has_box && part == ATH_PART_VAE)
        ATH_TRY(construct(init, p, data));
    else
        draw_all(init, part, p, data);
    *out = (ath_st_tensor){.name = name,
                           .dtype = init->dtype,
                           .n_dim = p->n_dim,
                           .dim = p->dim,
                           .data = data,
                           .bytes = (size_t)count * element};
    return ATH_OK;
}
