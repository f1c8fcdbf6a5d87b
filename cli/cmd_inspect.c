#include "cli/cmd.h"
#include "cli/inspect.h"
#include "core/io/torch.h"
#include "worker/model/base.h"
#include "worker/model/folder.h"
#include "worker/model/params.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct values {
    bool json, keys;
} values;

static const ath_opt opts[] = {
    {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs, metadata whole"},
    {"keys", ATH_OPT_SWITCH, offsetof(values, keys), .help = "every tensor: type, shape, key"},
    {0},
};

/* ---- looking ---- */

static bool ends(const char *name, const char *ending)
{
    const size_t n = strlen(name), k = strlen(ending);
    return n >= k && strcmp(name + n - k, ending) == 0;
}

/* Each module of an adapter has one tensor of one of these names; of most the first axis is the
 * rank. */
static const struct {
    const char *ending;
    bool has_rank;
} module_rows[] = {
    {".lora_down.weight", true},
    {".lora_A.weight", true},
    {"lora.down.weight", true},
    {".hada_w1_b", true},
    {".lora_linear_layer.down.weight", true},
    {".lokr_w2_b", true},
    {".lokr_w2", false},
    {".oft_blocks", false},
    {".oft_diag", false},
    {".on_input", false},
    {".diff", false},
};

static void look_at_module(ath_inspect *x, const ath_st_tensor *t)
{
    for (size_t i = 0; i < sizeof module_rows / sizeof *module_rows; i++) {
        if (!ends(t->name, module_rows[i].ending)) continue;
        x->n_modules++;
        if (!module_rows[i].has_rank || t->n_dim < 1) return;
        if (!x->rank_max || t->dim[0] < x->rank_min) x->rank_min = t->dim[0];
        if (t->dim[0] > x->rank_max) x->rank_max = t->dim[0];
        return;
    }
}

static void look_at_alpha(ath_inspect *x, const ath_st_tensor *t)
{
    const ath_dtype dtype = ath_param_dtype(t->dtype);
    double value = 0;

    if (!ends(t->name, ".alpha")) return;
    if (dtype != ATH_NONE && t->bytes == ath_dtype_bytes(dtype))
        ath_dtype_convert(&value, ATH_F64, t->data, dtype, 1);
    else if (t->dtype == ATH_ST_I64 && t->bytes == sizeof(int64_t)) {
        int64_t whole;
        memcpy(&whole, t->data, sizeof whole);
        value = (double)whole;
    } else
        return;
    if (!x->n_alphas || value < x->alpha_min) x->alpha_min = value;
    if (!x->n_alphas || value > x->alpha_max) x->alpha_max = value;
    x->n_alphas++;
}

static void look_at(ath_inspect *x, const ath_st *st)
{
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        int64_t count = 1;
        for (int32_t k = 0; k < t->n_dim; k++) count *= t->dim[k];
        x->n_tensors++;
        x->n_values += count;
        x->bytes += t->bytes;
        x->n_of[t->dtype]++;
        look_at_module(x, t);
        look_at_alpha(x, t);
    }
}

/* Whether it can be trained from; the first line of the reason where not. */
static void try_as_base(ath_inspect *x)
{
    ath_base *base = NULL;

    if (ath_base_open(x->path, &base)) {
        const char *text = ath_err_text();
        ath_str_put(&x->refusal, text, strcspn(text, "\n"));
    }
    ath_base_close(&base);
}

static ath_err look_at_folder(ath_inspect *x)
{
    char file[ATH_PATH_BYTES];

    x->word = "diffusers";
    x->text = "Stable Diffusion 1.x, diffusers folder";
    x->is_model = true;
    for (int i = 0; i < ATH_N_PARTS; i++) {
        ATH_TRY(ath_folder_weights(x->path, (ath_part)i, file));
        ATH_TRY(ath_tensors_open(file, &x->file[x->n_files]));
        x->label[x->n_files++] = ath_part_name((ath_part)i);
    }
    return ATH_OK;
}

static ath_err look_at_file(ath_inspect *x)
{
    ATH_TRY(ath_tensors_open(x->path, &x->file[0]));
    const ath_kind kind = ath_kind_of(x->file[0]);
    x->n_files = 1;
    x->label[0] = "";
    x->word = ath_kind_word(kind);
    x->text = ath_kind_text(kind);
    x->is_model = kind == ATH_KIND_SD1;
    return ATH_OK;
}

/* ---- telling ---- */

enum { VALUE_BYTES_MAX = 72 };

/* Without what a terminal would obey, cut where it is long. */
static void print_safe(ath_str *to, const char *text, size_t most)
{
    const size_t n = strlen(text);
    size_t k = n < most ? n : most;

    while (k < n && k > 0 && ((unsigned char)text[k] & 0xc0u) == 0x80u) k--;
    for (size_t i = 0; i < k; i++) {
        const unsigned char c = (unsigned char)text[i], next = (unsigned char)text[i + 1];
        const bool is_control = c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0);
        ath_str_put(to, is_control ? "?" : text + i, 1);
        if (c == 0xc2 && is_control) i++;
    }
    if (k < n) ath_str_print(to, "... (%zu bytes)", n);
}

static void print_headline(const ath_inspect *x, ath_str *to)
{
    print_safe(to, x->path, SIZE_MAX);
    ath_str_print(to, ": %s", x->text);
    if (x->n_modules)
        ath_str_print(to, ", %" PRId64 " module%s", x->n_modules, x->n_modules > 1 ? "s" : "");
    if (x->rank_max) ath_str_print(to, ", rank %" PRId64, x->rank_min);
    if (x->rank_max > x->rank_min) ath_str_print(to, " to %" PRId64, x->rank_max);
    if (x->n_alphas) ath_str_print(to, ", alpha %g", x->alpha_min);
    if (x->alpha_max > x->alpha_min) ath_str_print(to, " to %g", x->alpha_max);
    ath_str_print(to, "\n");
}

/* "label value" where the file has the key; its values are as Python prints them. */
static void print_noted(const ath_inspect *x, const char *label, const char *key, ath_str *to)
{
    const char *value = ath_st_meta_find(x->file[0], key);

    if (!value || strcmp(value, "None") == 0) return;
    ath_str_print(to, "%s", label);
    print_safe(to, value, VALUE_BYTES_MAX);
}

/* What an adapter was trained with, in a line; the whole of it stands in the metadata. */
static void print_training(const ath_inspect *x, ath_str *to)
{
    if (x->n_files != 1 || !ath_st_meta_find(x->file[0], "ss_steps")) return;
    ath_str_print(to, "  trained   ");
    print_noted(x, " step ", "ss_steps", to);
    print_noted(x, " of ", "ss_max_train_steps", to);
    print_noted(x, ", epoch ", "ss_epoch", to);
    print_noted(x, " of ", "ss_num_epochs", to);
    print_noted(x, ", images ", "ss_num_train_images", to);
    print_noted(x, ", rate ", "ss_unet_lr", to);
    print_noted(x, ", text encoder's ", "ss_text_encoder_lr", to);
    print_noted(x, ", ", "ss_lr_scheduler", to);
    print_noted(x, ", on ", "ss_sd_model_name", to);
    ath_str_print(to, "\n");
}

static void print_metadata(const ath_inspect *x, ath_str *to)
{
    const char *value = NULL;

    for (int64_t i = 0; x->n_files == 1 && i < ath_st_meta_count(x->file[0]); i++) {
        if (i == 0) ath_str_print(to, "  metadata\n");
        const char *key = ath_st_meta_get(x->file[0], i, &value);
        ath_str_print(to, "    ");
        print_safe(to, key, VALUE_BYTES_MAX);
        ath_str_print(to, " = ");
        print_safe(to, value, VALUE_BYTES_MAX);
        ath_str_print(to, "\n");
    }
}

static void print_keys(const ath_inspect *x, ath_str *to)
{
    for (int f = 0; f < x->n_files; f++)
        for (int64_t i = 0; i < ath_st_count(x->file[f]); i++) {
            const ath_st_tensor *t = ath_st_get(x->file[f], i);
            ath_str_print(to, "  %-4s [", ath_st_dtype_name(t->dtype));
            for (int32_t k = 0; k < t->n_dim; k++)
                ath_str_print(to, "%s%" PRId64, k ? "," : "", t->dim[k]);
            ath_str_print(to, "] %s%s", x->label[f], x->label[f][0] ? "/" : "");
            print_safe(to, t->name, SIZE_MAX);
            ath_str_print(to, "\n");
        }
}

void ath_inspect_print(const ath_inspect *x, bool has_keys, ath_str *to)
{
    const char *comma = "";

    print_headline(x, to);
    if (x->is_model) {
        ath_str_print(to, "  complete   %s", x->refusal.n ? "no: " : "yes");
        print_safe(to, ath_str_text(&x->refusal), SIZE_MAX);
        ath_str_print(to, "\n");
    }
    ath_str_print(to, "  tensors    %" PRId64 "\n  values     %" PRId64 "\n  bytes      %zu\n",
                  x->n_tensors, x->n_values, x->bytes);
    ath_str_print(to, "  types      ");
    for (int i = 0; i < ATH_N_ST_DTYPES; i++) {
        if (!x->n_of[i]) continue;
        ath_str_print(to, "%s%s %" PRId64, comma, ath_st_dtype_name((ath_st_dtype)i), x->n_of[i]);
        comma = ", ";
    }
    ath_str_print(to, "%s\n", *comma ? "" : "none");
    print_training(x, to);
    print_metadata(x, to);
    if (has_keys) print_keys(x, to);
}

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    ath_inspect x = {.path = args[0]};
    ath_str text = {0};
    ath_err err = ATH_OK;

    (void)n_args;
    ATH_TRY_OUT(ath_folder_is(x.path) ? look_at_folder(&x) : look_at_file(&x));
    for (int i = 0; i < x.n_files; i++) look_at(&x, x.file[i]);
    if (x.is_model) try_as_base(&x);
    ATH_TRY_OUT(ath_str_check(&x.refusal));
    if (v->json)
        ATH_TRY_OUT(ath_inspect_print_json(&x, v->keys, &text));
    else
        ath_inspect_print(&x, v->keys, &text);
    ATH_TRY_OUT(ath_str_check(&text));
    fputs(ath_str_text(&text), stdout); /* main looks whether it was written */
out:
    for (int i = 0; i < ATH_N_PARTS; i++) ath_st_close(&x.file[i]);
    ath_str_release(&x.refusal);
    ath_str_release(&text);
    return err;
}

const ath_cmd ath_cmd_inspect = {
    .name = "inspect",
    .args = "FILE",
    .help = "tells what a file of tensors or a diffusers folder is and what is in it",
    .min_args = 1,
    .max_args = 1,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
