#include "worker/model/base.h"

#include "core/io/torch.h"
#include "core/mem.h"
#include "worker/model/config.h"
#include "worker/model/folder.h"
#include "worker/model/kind.h"
#include "worker/model/names.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_BYTES_MAX = 1 << 20, SHAPE_TEXT = 128 };

typedef struct entry {
    const char *name;     /* the diffusers key */
    ath_st_tensor tensor; /* as in the file, but with the engine's shape */
} entry;

typedef struct part_table {
    char file[ATH_PATH_BYTES];
    ath_st **st; /* one file, or all shards */
    int32_t n_st;
    bool is_lent;     /* a single file belongs to the first part */
    bool is_ldm;      /* the names are those of single files */
    bool is_bare;     /* without the prefix that stands before them in a whole model */
    const char *like; /* where the shapes that are wanted come from, for the refusal */
    entry *entry;     /* by name */
    int32_t n;
} part_table;

struct ath_base {
    ath_arena arena;
    ath_model_spec spec;
    part_table part[ATH_N_PARTS];
};

/* ---- which tensor of the file is a parameter ---- */

static const char *print_shape(const int64_t *dim, int32_t n_dim, char out[SHAPE_TEXT])
{
    int n = snprintf(out, SHAPE_TEXT, "[");

    for (int32_t i = 0; i < n_dim && n < SHAPE_TEXT; i++)
        n += snprintf(out + n, (size_t)(SHAPE_TEXT - n), "%s%" PRId64, i ? "," : "", dim[i]);
    if (n < SHAPE_TEXT) snprintf(out + n, (size_t)(SHAPE_TEXT - n), "]");
    return out;
}

/* Equal up to axes of length 1 at the end: a 1x1 convolution is a matrix, whoever wrote it. */
static bool is_shape(const ath_st_tensor *t, const ath_param *p)
{
    const int32_t both = t->n_dim < p->n_dim ? t->n_dim : p->n_dim;

    for (int32_t i = 0; i < both; i++)
        if (t->dim[i] != p->dim[i]) return false;
    for (int32_t i = both; i < t->n_dim; i++)
        if (t->dim[i] != 1) return false;
    for (int32_t i = both; i < p->n_dim; i++)
        if (p->dim[i] != 1) return false;
    return true;
}

static const ath_st_tensor *find_in(const part_table *table, const char *key)
{
    const ath_st_tensor *t = NULL;

    for (int32_t i = 0; i < table->n_st && !t; i++) t = ath_st_find(table->st[i], key);
    return t;
}

/* The key by which the file has it. `*out` is NULL where it has none; `key` is then the usual one. */
static ath_err look_up(const ath_base *base, ath_part part, const char *name,
                       char key[ATH_KEY_BYTES], const ath_st_tensor **out)
{
    const part_table *table = &base->part[part];
    const char *prefix = table->is_ldm ? ath_ldm_prefix(part) : "";
    char other[ATH_KEY_BYTES], full[ATH_KEY_BYTES + 64];

    if (table->is_ldm)
        ATH_TRY(ath_ldm_name(&base->spec, part, name, key));
    else
        snprintf(key, ATH_KEY_BYTES, "%s", name);
    if (table->is_bare) memmove(key, key + strlen(prefix), strlen(key + strlen(prefix)) + 1);
    *out = find_in(table, key);
    if (*out || !ath_other_name(part, name, other)) return ATH_OK;
    snprintf(full, sizeof full, "%s%s", table->is_bare ? "" : prefix, other);
    *out = find_in(table, full);
    return ATH_OK;
}

static ath_err find_param(const ath_base *base, ath_part part, const ath_param *p, entry *e)
{
    const part_table *table = &base->part[part];
    char key[ATH_KEY_BYTES], found[SHAPE_TEXT], wanted[SHAPE_TEXT];
    const ath_st_tensor *t = NULL;

    ATH_TRY(look_up(base, part, p->name, key, &t));
    print_shape(p->dim, p->n_dim, wanted);
    ATH_NEED(t, ATH_EMISSING, "%s: \"%s\" is missing, wanted %s for the %s", table->file, key,
             wanted, ath_part_name(part));
    ATH_NEED(is_shape(t, p), ATH_ESHAPE, "%s: \"%s\" is %s, wanted %s%s", table->file, t->name,
             print_shape(t->dim, t->n_dim, found), wanted, table->like);
    ATH_NEED(ath_param_dtype(t->dtype) != ATH_NONE, ATH_EDTYPE,
             "%s: \"%s\" is %s, wanted F32, F16, BF16 or F64", table->file, t->name,
             ath_st_dtype_name(t->dtype));
    *e = (entry){p->name, *t};
    e->tensor.n_dim = p->n_dim;
    e->tensor.dim = p->dim;
    return ATH_OK;
}

static int compare_entries(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;
    return strcmp(a->name, b->name);
}

static ath_err index_part(ath_base *base, ath_part part)
{
    part_table *table = &base->part[part];
    const ath_param *params = NULL;

    ATH_TRY(ath_params_list(&base->spec, part, &base->arena, &params, &table->n));
    ATH_TRY(ATH_ARENA_NEW(&base->arena, table->n, &table->entry));
    for (int32_t i = 0; i < table->n; i++)
        ATH_TRY(find_param(base, part, &params[i], &table->entry[i]));
    qsort(table->entry, (size_t)table->n, sizeof *table->entry, compare_entries);
    return ATH_OK;
}

/* ---- opening ---- */

static ath_err read_config(const char *path, ath_part part, ath_model_spec *spec)
{
    char file[ATH_PATH_BYTES];
    char *text = NULL;
    size_t n = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_folder_config(path, part, file));
    ATH_TRY_OUT(ath_file_read(file, CONFIG_BYTES_MAX, &text, &n));
    ATH_TRY_OUT(ath_config_parse(file, part, text, n, spec));
out:
    ath_mem_free(&text);
    return err;
}

static bool is_list(const char *path)
{
    const size_t n = strlen(path), k = sizeof ATH_SHARDS_ENDING - 1;

    return n > k && strcmp(path + n - k, ATH_SHARDS_ENDING) == 0;
}

static bool has_prefix(const ath_st *st, const char *prefix)
{
    for (int64_t i = 0; i < ath_st_count(st); i++)
        if (strncmp(ath_st_get(st, i)->name, prefix, strlen(prefix)) == 0) return true;
    return false;
}

/* Opens the file of a part, or the shards that it lists. */
static ath_err open_files(ath_base *base, part_table *table)
{
    const char *one = table->file, **files = &one;
    int32_t n = 1;

    if (is_list(one)) ATH_TRY(ath_folder_shards(one, &base->arena, &files, &n));
    ATH_TRY(ATH_ARENA_NEW(&base->arena, n, &table->st));
    for (; table->n_st < n; table->n_st++)
        ATH_TRY(ath_tensors_open(files[table->n_st], &table->st[table->n_st]));
    return ATH_OK;
}

static ath_err open_folder(ath_base *base, const char *path)
{
    for (int i = 0; i < ATH_N_PARTS; i++) ATH_TRY(read_config(path, (ath_part)i, &base->spec));
    ATH_TRY(ath_spec_check(path, &base->spec));
    for (int i = 0; i < ATH_N_PARTS; i++) {
        ATH_TRY(ath_folder_weights(path, (ath_part)i, base->part[i].file));
        base->part[i].like = "";
        ATH_TRY(open_files(base, &base->part[i]));
    }
    return ATH_OK;
}

/* Shapes do not tell heads and groups: a model other than SD 1.5 says them in its metadata. */
static ath_err open_single(ath_base *base, const char *path)
{
    snprintf(base->part[0].file, sizeof base->part[0].file, "%s", path);
    ATH_TRY(open_files(base, &base->part[0]));
    const ath_st *st = base->part[0].st[0];
    const ath_kind kind = ath_kind_of(st);
    ATH_NEED(kind == ATH_KIND_SD1, ATH_EFORMAT,
             "%s: is %s, wanted the whole of a Stable Diffusion 1.x model", path,
             ath_kind_text(kind));
    const char *spec = ath_st_meta_find(st, ATH_SPEC_KEY);
    base->part[0].is_ldm = true;
    base->part[0].like =
        spec ? "" : " of Stable Diffusion 1.5 (no \"" ATH_SPEC_KEY "\" says otherwise)";
    for (int i = 1; i < ATH_N_PARTS; i++) {
        base->part[i] = base->part[0];
        base->part[i].is_lent = true;
    }
    base->spec = ath_model_sd15;
    return spec ? ath_spec_parse(path, spec, strlen(spec), &base->spec) : ATH_OK;
}

/* ---- another autoencoder ---- */

/* What the config beside it says, where there is one, is what the base's says: shapes do not tell the
 * scale of latents, by which that of SDXL differs. */
static ath_err check_vae_config(const ath_base *base, const char *file)
{
    ath_model_spec spec = base->spec;
    char *text = NULL;
    size_t n = 0;
    ath_err err = ATH_OK;

    if (access(file, F_OK) != 0) return ATH_OK;
    ATH_TRY_OUT(ath_file_read(file, CONFIG_BYTES_MAX, &text, &n));
    ATH_TRY_OUT(ath_config_parse(file, ATH_PART_VAE, text, n, &spec));
    if (spec.vae.scale != base->spec.vae.scale)
        err = ath_raise(ATH_ESHAPE,
                        "%s: \"scaling_factor\" is %g, wanted %g as in the model; this "
                        "autoencoder is another model's",
                        file, (double)spec.vae.scale, (double)base->spec.vae.scale);
out:
    ath_mem_free(&text);
    return err;
}

/* The names tell whose they are: those of a whole single file, of its part alone, of diffusers. */
static ath_err open_vae_file(ath_base *base, part_table *table)
{
    ATH_TRY(open_files(base, table));
    const ath_kind kind = ath_kind_of(table->st[0]);
    table->is_ldm = kind != ATH_KIND_VAE_DIFFUSERS;
    table->is_bare = table->is_ldm && !has_prefix(table->st[0], ath_ldm_prefix(ATH_PART_VAE));
    ATH_NEED(kind == ATH_KIND_VAE || kind == ATH_KIND_VAE_DIFFUSERS || kind == ATH_KIND_SD1,
             ATH_EFORMAT, "%s: is %s, wanted an autoencoder of Stable Diffusion 1.x", table->file,
             ath_kind_text(kind));
    return ATH_OK;
}

/* A file, the folder of an autoencoder, or of a model that has one. */
static ath_err open_vae(ath_base *base, const char *path)
{
    part_table *old = &base->part[ATH_PART_VAE], table = {.like = " as in the model"};
    char config[ATH_PATH_BYTES] = "";

    snprintf(table.file, sizeof table.file, "%s", path);
    if (ath_folder_is(path)) {
        ATH_TRY(ath_folder_vae(path, config, table.file));
        ATH_TRY(check_vae_config(base, config));
    }
    for (int32_t i = 0; !old->is_lent && i < old->n_st; i++) ath_st_close(&old->st[i]);
    *old = table;
    return open_vae_file(base, old);
}

/* ---- */

ath_err ath_base_open(const char *path, ath_base **out)
{
    return ath_base_open_with(path, "", out);
}

ath_err ath_base_open_with(const char *path, const char *vae, ath_base **out)
{
    ath_base *base = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(ATH_NEW(1, "model", &base));
    if (ath_folder_is(path))
        ATH_TRY_OUT(open_folder(base, path));
    else
        ATH_TRY_OUT(open_single(base, path));
    if (vae[0]) ATH_TRY_OUT(open_vae(base, vae));
    for (int i = 0; i < ATH_N_PARTS; i++) ATH_TRY_OUT(index_part(base, (ath_part)i));
    *out = base;
    base = NULL;
out:
    ath_base_close(&base);
    return err;
}

void ath_base_close(ath_base **base)
{
    ath_base *b = *base;

    if (!b) return;
    for (int i = 0; i < ATH_N_PARTS; i++)
        for (int32_t k = 0; !b->part[i].is_lent && k < b->part[i].n_st; k++)
            ath_st_close(&b->part[i].st[k]);
    ath_arena_release(&b->arena);
    ath_mem_free(base);
}

const ath_model_spec *ath_base_spec(const ath_base *base)
{
    return &base->spec;
}

static const ath_st_tensor *find(const ath_base *base, ath_part part, const char *name)
{
    const part_table *table = &base->part[part];
    const entry key = {.name = name};
    const entry *e =
        bsearch(&key, table->entry, (size_t)table->n, sizeof *table->entry, compare_entries);

    return e ? &e->tensor : NULL;
}

ath_err ath_base_find(const ath_base *base, ath_part part, const char *name,
                      const ath_st_tensor **out)
{
    *out = find(base, part, name);
    ATH_NEED(*out, ATH_EMISSING, "%s: the %s has no parameter \"%s\"", base->part[part].file,
             ath_part_name(part), name);
    return ATH_OK;
}

/* ---- into a plan ---- */

/* A parameter of whichever part has it, in the shape that the plan wants; NULL where none has. */
static ath_err find_planned(const ath_base *base, const ath_plan_param *p,
                            const ath_st_tensor **out)
{
    char found[SHAPE_TEXT], wanted[SHAPE_TEXT];

    *out = NULL;
    for (int i = 0; i < ATH_N_PARTS && !*out; i++) *out = find(base, (ath_part)i, p->name);
    if (!*out) return ATH_OK;
    bool same = (*out)->n_dim == p->desc.n_dim;
    for (int32_t i = 0; same && i < p->desc.n_dim; i++) same = (*out)->dim[i] == p->desc.dim[i];
    ATH_NEED(same, ATH_ESHAPE, "parameter %s is %s in the model, wanted %s by the plan", p->name,
             print_shape((*out)->dim, (*out)->n_dim, found),
             print_shape(p->desc.dim, p->desc.n_dim, wanted));
    return ATH_OK;
}

static ath_err put_frozen(const void *context, const ath_plan_param *p, ath_weights *weights)
{
    const ath_st_tensor *t = NULL;

    ATH_TRY(find_planned(context, p, &t));
    if (!t) return ATH_OK;
    return ath_weights_put(weights, p->name, p->desc, ath_param_dtype(t->dtype), t->data);
}

static ath_err check_frozen(const ath_base *base, const ath_plan *plan, const ath_weights *weights)
{
    const ath_plan_param *p = NULL;
    const ath_st_tensor *t = NULL;
    const int32_t n = ath_plan_frozen(plan, &p);

    for (int32_t i = 0; i < n; i++, p++) {
        if (ath_weights_has(weights, p->name)) continue;
        ATH_TRY(find_planned(base, p, &t));
        ATH_NEED(t, ATH_EMISSING, "%s: no part has the frozen parameter \"%s\"", base->part[0].file,
                 p->name);
    }
    return ATH_OK;
}

static ath_err load_trainable(const ath_st_tensor *t, const ath_plan_param *p, ath_slab *slab)
{
    const size_t bytes = ath_desc_bytes(&p->desc);
    void *full = NULL;

    ATH_TRY(ath_mem_new(bytes, 1, "trainable parameter", &full));
    ath_dtype_convert(full, p->desc.dtype, t->data, ath_param_dtype(t->dtype),
                      ath_desc_count(&p->desc));
    ath_err err = ath_slab_write(slab, ATH_VALUE, p->name, full, bytes);
    ath_mem_free(&full);
    return err;
}

ath_err ath_base_load(const ath_base *base, const ath_plan *plan, ath_weights *weights,
                      ath_slab *slab)
{
    const ath_plan_param *p = NULL;
    const ath_st_tensor *t = NULL;

    ATH_TRY(check_frozen(base, plan, weights));
    if (weights) ath_weights_draw_from(weights, put_frozen, base);
    if (!slab) return ATH_OK;
    const int32_t n = ath_plan_trainables(plan, &p);
    for (int32_t i = 0; i < n; i++, p++) {
        ATH_TRY(find_planned(base, p, &t));
        if (t) ATH_TRY(load_trainable(t, p, slab));
    }
    return ATH_OK;
}
