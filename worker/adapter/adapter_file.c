#include "worker/adapter/adapter_file.h"

#include "core/arena.h"
#include "core/io/torch.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "worker/adapter/module.h"
#include "worker/adapter/peft.h"
#include "worker/model/kind.h"
#include "worker/model/params.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum role { DOWN, UP, ALPHA, N_ROLES } role;

/* A layer in the file; what it lacks is NULL. */
typedef struct module {
    char name[ATH_MODULE_BYTES];
    const ath_st_tensor *tensor[N_ROLES];
    float alpha;
} module;

struct ath_adapter_file {
    const char *path;
    ath_arena arena;
    ath_st *st;
    module *modules; /* by name */
    int64_t n;
};

/* ---- keys ---- */

static const struct {
    const char *text;
    role role;
} endings[] = {
    {".lora_down.weight", DOWN},
    {".lora_up.weight", UP},
    {".alpha", ALPHA},
    {".lora_A.weight", DOWN},
    {".lora_B.weight", UP},
    {".lora.down.weight", DOWN},
    {".lora.up.weight", UP},
    {".lora_linear_layer.down.weight", DOWN},
    {".lora_linear_layer.up.weight", UP},
    {"_lora.down.weight", DOWN},
    {"_lora.up.weight", UP},
};

static bool skip(const char **text, const char *start)
{
    const size_t n = strlen(start);

    if (strncmp(*text, start, n) != 0) return false;
    *text += n;
    return true;
}

static bool ends(const char *text, const char *ending)
{
    const size_t n = strlen(text), k = strlen(ending);
    return n >= k && strcmp(text + n - k, ending) == 0;
}

/* Kohya's name of the first n bytes of a key; "" where it belongs to no network of ours. */
static void name_module(const char *key, size_t n, char out[ATH_MODULE_BYTES])
{
    char layer[ATH_MODULE_BYTES] = "";
    const char *at = layer, *word = NULL;

    out[0] = 0;
    if (n >= sizeof layer) return;
    memcpy(layer, key, n);
    layer[n] = 0;
    if (strncmp(layer, "lora_unet_", 10) == 0 || strncmp(layer, "lora_te_", 8) == 0) {
        memcpy(out, layer, n + 1);
        return;
    }
    (void)skip(&at, "base_model.model.");
    if (!skip(&at, "unet.") && !skip(&at, "text_encoder.")) return;
    /* before diffusers 0.22: "attn1.processor.to_out_lora" for "attn1.to_out.0" */
    if ((word = strstr(at, ".processor."))) {
        char *to = layer + (word - layer);
        memmove(to, to + 10, strlen(to + 10) + 1);
        const size_t left = strlen(layer);
        if (ends(at, ".to_out") && left + 3 < sizeof layer) memcpy(layer + left, ".0", 3);
    }
    if (!ath_module_name(at, strlen(at), out)) out[0] = 0;
}

static ath_err read_key(const ath_adapter_file *f, const ath_st_tensor *t, module *out)
{
    const char *key = t->name;
    const size_t n = strlen(key);

    *out = (module){.name = ""};
    ATH_NEED(!strstr(key, ".dora_scale") && !strstr(key, "lora_magnitude"), ATH_EFORMAT,
             "%s: %.120s: a DoRA, which is not supported yet; wanted a plain LoRA", f->path, key);
    ATH_NEED(!strstr(key, ".lora_mid."), ATH_EFORMAT,
             "%s: %.120s: a LoCon in Tucker form, which is not supported yet; wanted a plain LoRA",
             f->path, key);
    for (size_t i = 0; i < sizeof endings / sizeof *endings && !out->name[0]; i++) {
        if (!ends(key, endings[i].text)) continue;
        name_module(key, n - strlen(endings[i].text), out->name);
        out->tensor[endings[i].role] = t;
    }
    ATH_NEED(out->name[0], ATH_EFORMAT,
             "%s: %.120s: no key of a LoRA for Stable Diffusion 1.x; wanted such as "
             "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight",
             f->path, key);
    return ATH_OK;
}

/* ---- opening ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const module *)a)->name, ((const module *)b)->name);
}

static ath_err read_keys(ath_adapter_file *f)
{
    const int64_t n = ath_st_count(f->st);

    ATH_TRY(ATH_NEW(n, "layers of an adapter", &f->modules));
    for (int64_t i = 0; i < n; i++) ATH_TRY(read_key(f, ath_st_get(f->st, i), &f->modules[i]));
    qsort(f->modules, (size_t)n, sizeof *f->modules, by_name);
    for (int64_t i = 0; i < n; i++) {
        module *m = f->n ? &f->modules[f->n - 1] : NULL;
        const module one = f->modules[i];
        if (!m || strcmp(m->name, one.name) != 0) f->modules[f->n++] = one;
        for (int k = 0; m && k < N_ROLES && strcmp(m->name, one.name) == 0; k++) {
            if (!one.tensor[k]) continue;
            ATH_NEED(!m->tensor[k], ATH_EFORMAT, "%s: %s and %s say the same", f->path,
                     m->tensor[k]->name, one.tensor[k]->name);
            m->tensor[k] = one.tensor[k];
        }
    }
    return ATH_OK;
}

static const char *shape_text(const ath_st_tensor *t, char out[ATH_DESC_TEXT])
{
    size_t n = (size_t)snprintf(out, ATH_DESC_TEXT, "[");

    for (int i = 0; i < t->n_dim && n + 24 < ATH_DESC_TEXT; i++)
        n += (size_t)snprintf(out + n, ATH_DESC_TEXT - n, "%s%" PRId64, i ? "," : "", t->dim[i]);
    snprintf(out + n, ATH_DESC_TEXT - n, "]");
    return out;
}

/* A matrix, or one with a window behind it, of `rows` (-1: any) by `columns`. */
static bool is_factor(const ath_st_tensor *t, int64_t columns)
{
    if (t->n_dim != 2 && t->n_dim != 4) return false;
    for (int i = 0; i < t->n_dim; i++)
        if (t->dim[i] < 1 || t->dim[i] > INT32_MAX) return false;
    return columns < 0 || t->dim[1] == columns;
}

static ath_err read_alpha(const ath_adapter_file *f, module *m)
{
    const ath_st_tensor *t = m->tensor[ALPHA];
    const char *part = strncmp(m->name, "lora_te_", 8) == 0 ? "text_encoder" : "unet";
    double value = (double)m->tensor[DOWN]->dim[0];
    int64_t whole = 0;
    int32_t half = 0;

    if (!t) {
        m->alpha =
            (float)ath_peft_alpha(ath_st_meta_find(f->st, "lora_adapter_metadata"), part, value);
    } else {
        const ath_dtype dtype = ath_param_dtype(t->dtype);
        if (dtype != ATH_NONE && t->bytes == ath_dtype_bytes(dtype)) {
            ath_dtype_convert(&value, ATH_F64, t->data, dtype, 1);
        } else if (t->dtype == ATH_ST_I64 && t->bytes == sizeof whole) {
            memcpy(&whole, t->data, sizeof whole);
            value = (double)whole;
        } else {
            ATH_NEED(t->dtype == ATH_ST_I32 && t->bytes == sizeof half, ATH_EFORMAT,
                     "%s: %s: wanted one number", f->path, t->name);
            memcpy(&half, t->data, sizeof half);
            value = half;
        }
        m->alpha = (float)value;
    }
    ATH_NEED(isfinite(m->alpha), ATH_EFORMAT, "%s: %s: alpha is %g", f->path, m->name,
             (double)m->alpha);
    return ATH_OK;
}

static ath_err check_module(const ath_adapter_file *f, module *m)
{
    const ath_st_tensor *down = m->tensor[DOWN], *up = m->tensor[UP];
    char found[ATH_DESC_TEXT], other[ATH_DESC_TEXT];

    ATH_NEED(down && up, ATH_EFORMAT, "%s: %s has no %s; the file is incomplete", f->path, m->name,
             down ? "lora_up" : "lora_down");
    ATH_NEED(is_factor(down, -1) && is_factor(up, down->dim[0]) &&
                 (up->n_dim == 2 || (up->dim[2] == 1 && up->dim[3] == 1)) &&
                 (down->n_dim == 2 || down->dim[2] == down->dim[3]),
             ATH_EFORMAT, "%s: %s: lora_down %s and lora_up %s do not fit each other", f->path,
             m->name, shape_text(down, found), shape_text(up, other));
    ATH_NEED(ath_param_dtype(down->dtype) != ATH_NONE && ath_param_dtype(up->dtype) != ATH_NONE,
             ATH_EFORMAT, "%s: %s is of type %s, wanted F32, F16, BF16 or F64", f->path, m->name,
             ath_st_dtype_name(down->dtype));
    return read_alpha(f, m);
}

static ath_err open_file(const char *path, ath_adapter_file *f)
{
    ATH_TRY(ath_arena_print(&f->arena, &f->path, "%s", path));
    ATH_TRY(ath_tensors_open(path, &f->st));
    const ath_kind kind = ath_kind_of(f->st);
    const bool is_adapter = kind >= ATH_KIND_LORA && kind <= ATH_KIND_DIFF;
    ATH_NEED(kind == ATH_KIND_LORA, ATH_EFORMAT, "%s: is %s%s; wanted a LoRA", path,
             ath_kind_text(kind), is_adapter ? ", which is not supported yet" : "");
    ATH_TRY(read_keys(f));
    for (int64_t i = 0; i < f->n; i++) ATH_TRY(check_module(f, &f->modules[i]));
    return ATH_OK;
}

ath_err ath_adapter_file_open(const char *path, ath_adapter_file **out)
{
    ath_adapter_file *f = NULL;

    ATH_TRY(ATH_NEW(1, "adapter file", &f));
    const ath_err err = open_file(path, f);
    if (err)
        ath_adapter_file_close(&f);
    else
        *out = f;
    return err;
}

void ath_adapter_file_close(ath_adapter_file **file)
{
    ath_adapter_file *f = *file;

    if (!f) return;
    ath_st_close(&f->st);
    ath_mem_free(&f->modules);
    ath_arena_release(&f->arena);
    ath_mem_free(file);
}

/* ---- at the layers ---- */

static const module *find(const ath_adapter_file *f, const char *layer, size_t n)
{
    module key;

    if (!ath_module_name(layer, n, key.name)) return NULL;
    return bsearch(&key, f->modules, (size_t)f->n, sizeof *f->modules, by_name);
}

static bool fits(const module *m, const ath_adapter_site *site)
{
    const ath_st_tensor *down = m->tensor[DOWN];
    const int64_t kernel = down->n_dim == 4 ? down->dim[2] : 1;

    return down->dim[1] == site->n_in && m->tensor[UP]->dim[0] == site->n_out &&
           kernel == site->kernel;
}

static ath_lora_size size_in_file(const ath_lora *lora, const char *layer,
                                  const ath_adapter_site *site)
{
    const module *m = find(lora->context, layer, strlen(layer));

    if (!m || !fits(m, site)) return (ath_lora_size){0};
    return (ath_lora_size){(int32_t)m->tensor[DOWN]->dim[0], m->alpha * lora->alpha};
}

ath_lora ath_adapter_file_lora(const ath_adapter_file *file, float scale)
{
    return (ath_lora){.alpha = scale, .is_frozen = true, .size = size_in_file, .context = file};
}

ath_err ath_adapter_file_load(const ath_adapter_file *file, const char *name, const ath_plan *plan,
                              ath_weights *weights)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_plan_frozen(plan, &p);
    const size_t length = strlen(name);
    ath_module_param parts = {0};

    for (int32_t i = 0; i < n; i++) {
        if (!ath_module_param_of(p[i].name, &parts)) continue;
        if (parts.adapter - parts.layer - 1 != length ||
            strncmp(p[i].name + parts.layer + 1, name, length) != 0)
            continue;
        const module *m = find(file, p[i].name, parts.layer);
        if (!m || ath_weights_has(weights, p[i].name)) continue;
        const ath_st_tensor *t = m->tensor[parts.is_up ? UP : DOWN];
        ATH_TRY(ath_weights_put(weights, p[i].name, p[i].desc, ath_param_dtype(t->dtype), t->data));
    }
    return ATH_OK;
}

/* ---- against a model ---- */

typedef struct checking {
    const ath_adapter_file *file;
    bool *seen; /* [n modules] */
    ath_err err;
} checking;

/* Attached to the model's networks to see which layers they have. */
static ath_lora_size look(const ath_lora *lora, const char *layer, const ath_adapter_site *site)
{
    checking *c = *(checking *const *)lora->context;
    const module *m = find(c->file, layer, strlen(layer));
    char down[ATH_DESC_TEXT], up[ATH_DESC_TEXT];

    if (!m) return (ath_lora_size){0};
    c->seen[m - c->file->modules] = true;
    if (!c->err && !fits(m, site))
        c->err = ath_raise(ATH_ESHAPE,
                           "%s: %s: %s and %s, but the model's layer goes from %" PRId64
                           " to %" PRId64 " channels, %dx%d; is it for another model?",
                           c->file->path, m->name, shape_text(m->tensor[DOWN], down),
                           shape_text(m->tensor[UP], up), site->n_in, site->n_out, site->kernel,
                           site->kernel);
    return (ath_lora_size){0};
}

static ath_err record(const ath_model_spec *spec, ath_part part, const ath_adapter *adapter)
{
    ath_net *net = NULL;

    ATH_TRY(ath_net_create(ATH_F32, &net));
    ath_net_attach(net, adapter, 1);
    ath_params_record(net, spec, part);
    const ath_err err = ath_net_check(net);
    ath_net_destroy(&net);
    return err;
}

ath_err ath_adapter_file_check(const ath_adapter_file *file, const ath_model_spec *spec)
{
    checking c = {.file = file}, *context = &c;
    const ath_lora lora = {.is_frozen = true, .size = look, .context = &context};
    const ath_adapter adapter = ath_lora_adapter("check", &lora, 0, 0);
    int64_t n_lost = 0, i_lost = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(file->n, "layers seen", &c.seen));
    ATH_TRY_OUT(record(spec, ATH_PART_TEXT, &adapter));
    ATH_TRY_OUT(record(spec, ATH_PART_UNET, &adapter));
    ATH_TRY_OUT(c.err);
    for (int64_t i = file->n - 1; i >= 0; i--) {
        if (c.seen[i]) continue;
        n_lost++;
        i_lost = i;
    }
    if (n_lost)
        err = ath_raise(ATH_EMISSING,
                        "%s: %" PRId64 " of its %" PRId64
                        " layers are not in the model, such as %s; is it for another model?",
                        file->path, n_lost, file->n, file->modules[i_lost].name);
out:
    ath_mem_free(&c.seen);
    return err;
}

/* ---- its name among others ---- */

static ath_err hash_tensors(const ath_st *st, ath_sha256 *s, char out[ATH_SHA256_TEXT])
{
    for (int64_t i = 0; i < ath_st_count(st); i++)
        ATH_TRY(ath_sha256_put(s, ath_st_get(st, i)->data, ath_st_get(st, i)->bytes));
    return ath_sha256_end(s, out);
}

ath_err ath_adapter_file_hash(const ath_adapter_file *file, char out[ATH_ADAPTER_HASH_TEXT])
{
    const char *noted = ath_st_meta_find(file->st, "sshs_model_hash");
    char text[ATH_SHA256_TEXT];
    ath_sha256 *s = NULL;

    if (!noted || strlen(noted) < ATH_ADAPTER_HASH_TEXT) {
        ATH_TRY(ath_sha256_create(&s));
        const ath_err err = hash_tensors(file->st, s, text);
        ath_sha256_destroy(&s);
        if (err) return err;
        noted = text;
    }
    snprintf(out, ATH_ADAPTER_HASH_TEXT, "%.12s", noted);
    return ATH_OK;
}
