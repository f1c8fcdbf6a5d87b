#include "worker/model/save.h"

#include "core/mem.h"
#include "core/text/vocab.h"
#include "worker/model/config.h"
#include "worker/model/folder.h"
#include "worker/model/names.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct save {
    const char *path;
    ath_layout layout;
    const ath_model_spec *spec;
    ath_st_dtype dtype;
    const ath_save_from *from;
    ath_arena arena;
    ath_st_out *out;
    int32_t n;
} save;

/* The file's name and shape of a parameter, in the arena. */
static ath_err name_param(save *s, ath_part part, const ath_param *p, ath_st_out *out)
{
    char key[ATH_KEY_BYTES];
    int64_t *dim = NULL;

    out->name = p->name;
    out->dim = p->dim;
    out->n_dim = p->n_dim;
    if (s->layout == ATH_LAYOUT_FOLDER) return ATH_OK;
    ATH_TRY(ath_ldm_name(s->spec, part, p->name, key));
    ATH_TRY(ath_arena_print(&s->arena, &out->name, "%s", key));
    ATH_TRY(ATH_ARENA_NEW(&s->arena, ATH_MAX_DIMS, &dim));
    out->n_dim = ath_ldm_shape(part, p, dim);
    out->dim = dim;
    return ATH_OK;
}

/* Appends the tensors of a part to s->out. */
static ath_err gather(save *s, ath_part part)
{
    const ath_param *params = NULL;
    ath_st_out *out = NULL;
    int32_t n = 0;
    const bool keeps = s->dtype == ATH_N_ST_DTYPES || (part == ATH_PART_VAE && s->from->keeps_vae);

    ATH_TRY(ath_params_list(s->spec, part, &s->arena, &params, &n));
    ATH_TRY(ATH_ARENA_NEW(&s->arena, s->n + n, &out));
    if (s->n) memcpy(out, s->out, (size_t)s->n * sizeof *out);
    s->out = out;
    for (int32_t i = 0; i < n; i++) {
        ath_st_tensor t = {0};
        ATH_TRY(name_param(s, part, &params[i], &out[s->n]));
        ATH_TRY(s->from->find(s->from->context, part, params[i].name, &t));
        out[s->n].from = t.dtype;
        out[s->n].dtype = keeps ? t.dtype : s->dtype;
        out[s->n].data = t.data;
        s->n++;
    }
    return ATH_OK;
}

/* What a model says of itself where nobody says more. One of another spec than Stable Diffusion 1.5
 * has no architecture that others know: the last two are left out. */
static const ath_st_meta about[] = {
    {"modelspec.sai_model_spec", "1.0.1"},
    {"modelspec.implementation", "https://github.com/Stability-AI/generative-models"},
    {"modelspec.implementation_version", "athanor/" ATH_VERSION},
    {"modelspec.architecture", "stable-diffusion-v1"},
    {"modelspec.resolution", "512x512"},
};
enum { N_ABOUT = sizeof about / sizeof *about };

static ath_err save_single(save *s)
{
    const bool is_told = s->from->n_meta > 0;
    const ath_st_meta *more = is_told ? s->from->meta : about;
    int32_t n_more = is_told ? s->from->n_meta : N_ABOUT;
    ath_st_meta *meta = NULL;
    ath_str text = {0}, usual = {0};

    for (int i = 0; i < ATH_N_PARTS; i++) ATH_TRY(gather(s, (ath_part)i));
    ATH_TRY(ATH_ARENA_NEW(&s->arena, n_more + 2, &meta));
    ath_spec_print(s->spec, &text);
    ath_spec_print(&ath_model_sd15, &usual);
    if (!is_told && strcmp(ath_str_text(&text), ath_str_text(&usual)) != 0) n_more -= 2;
    ath_err err = ath_str_check(&text);
    if (!err) err = ath_str_check(&usual);
    if (!err) {
        meta[0] = (ath_st_meta){ATH_SPEC_KEY, ath_str_text(&text)};
        meta[1] = (ath_st_meta){"format", "pt"};
        memcpy(meta + 2, more, (size_t)n_more * sizeof *meta);
        err = ath_st_write(s->path, s->n, s->out, n_more + 2, meta);
    }
    ath_str_release(&text);
    ath_str_release(&usual);
    return err;
}

static ath_err make_subfolder(const save *s, const char *name)
{
    char path[ATH_PATH_BYTES];

    ATH_TRY(ath_path_print(path, "%s/%s", s->path, name));
    return ath_folder_make(path);
}

/* Publishes a text under PATH/name and releases it. */
static ath_err publish_text(const save *s, const char *name, ath_str *text)
{
    char path[ATH_PATH_BYTES];
    ath_err err = ath_str_check(text);

    if (!err) err = ath_path_print(path, "%s/%s", s->path, name);
    if (!err) err = ath_file_publish(path, ath_str_text(text), text->n);
    ath_str_release(text);
    return err;
}

static ath_err save_part(save *s, ath_part part)
{
    static const ath_st_meta meta[] = {{"format", "pt"}};
    char path[ATH_PATH_BYTES], config[64];
    ath_str text = {0};

    s->n = 0;
    ATH_TRY(gather(s, part));
    ATH_TRY(make_subfolder(s, ath_part_name(part)));
    ATH_TRY(ath_folder_weights_new(s->path, part, path));
    ATH_TRY(ath_st_write(path, s->n, s->out, 1, meta));
    snprintf(config, sizeof config, "%s/config.json", ath_part_name(part));
    ath_config_print(s->spec, part, &text);
    return publish_text(s, config, &text);
}

/* What a vocabulary has beyond CLIP's, nobody knows here. */
static ath_err save_tokenizer(const save *s)
{
    const int32_t most = ATH_VOCAB_MAX, own = s->spec->text.vocab, vocab = own < most ? own : most;
    ath_str text = {0};

    ATH_TRY(make_subfolder(s, "tokenizer"));
    ath_vocab_print(vocab, &text);
    ATH_TRY(publish_text(s, "tokenizer/vocab.json", &text));
    ath_merges_print(vocab, &text);
    ATH_TRY(publish_text(s, "tokenizer/merges.txt", &text));
    ath_config_print_special_tokens(&text);
    ATH_TRY(publish_text(s, "tokenizer/special_tokens_map.json", &text));
    ath_config_print_tokenizer(s->spec, &text);
    return publish_text(s, "tokenizer/tokenizer_config.json", &text);
}

static ath_err save_folder(save *s)
{
    ath_str text = {0};

    ATH_NEED(s->spec->text.vocab >= ATH_VOCAB_MIN, ATH_ELIMIT,
             "%s: a vocabulary of %" PRId32 " has no tokenizer, wanted %d or more", s->path,
             s->spec->text.vocab, ATH_VOCAB_MIN);
    ATH_TRY(ath_folder_make(s->path));
    for (int i = 0; i < ATH_N_PARTS; i++) ATH_TRY(save_part(s, (ath_part)i));
    ATH_TRY(make_subfolder(s, "scheduler"));
    ath_config_print_scheduler(&text);
    ATH_TRY(publish_text(s, "scheduler/scheduler_config.json", &text));
    ATH_TRY(save_tokenizer(s));
    ath_config_print_index(&text);
    return publish_text(s, "model_index.json", &text);
}

ath_err ath_model_save(const char *path, ath_layout layout, const ath_model_spec *spec,
                       ath_st_dtype dtype, const ath_save_from *from)
{
    save s = {.path = path, .layout = layout, .spec = spec, .dtype = dtype, .from = from};
    ath_err err = layout == ATH_LAYOUT_SINGLE ? save_single(&s) : save_folder(&s);

    ath_arena_release(&s.arena);
    return err;
}

ath_layout ath_layout_of(const char *path)
{
    static const char ending[] = ".safetensors";
    const size_t n = strlen(path), k = sizeof ending - 1;

    return n > k && strcmp(path + n - k, ending) == 0 ? ATH_LAYOUT_SINGLE : ATH_LAYOUT_FOLDER;
}
