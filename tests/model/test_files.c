/*
 * The other files that models come in: a .ckpt of Stable Diffusion 1.5 as torch.save lays it out, with
 * all its keys; a diffusers folder of .bin files; one whose weights are cut into shards. Each is opened
 * and gives the values that were put in; lists that lead astray and shards that lack are refused. Each
 * may have another autoencoder put in place of its own, from every kind of file that holds one.
 *
 *     test_files REFERENCE
 */
#include "core/io/file.h"
#include "core/io/safetensors_writer.h"
#include "core/mem.h"
#include "tests/data_folder.h"
#include "tests/harness.h"
#include "tests/zip_maker.h"
#include "worker/model/base.h"
#include "worker/model/init.h"
#include "worker/model/names.h"
#include "worker/model/params.h"
#include "worker/model/save.h"
#include <stdlib.h>
#include <unistd.h>

enum { TENSORS_MAX = 1200, DIMS = 4 };

static ath_data_folder home;

static const char *at(const char *name)
{
    return ath_data_at(&home, name);
}

/* ---- what torch.save writes: a dict of tensors, each with a storage of its own or one for all ---- */

static void put_text(ath_str *to, const char *text)
{
    const uint32_t n = (uint32_t)strlen(text);

    ath_str_put(to, "X", 1);
    ath_str_put(to, &n, sizeof n);
    ath_str_put(to, text, n);
}

static void put_int(ath_str *to, int64_t value)
{
    const int32_t v = (int32_t)value;

    ath_str_put(to, "J", 1);
    ath_str_put(to, &v, sizeof v);
}

static int64_t count_of(const ath_st_tensor *t)
{
    int64_t n = 1;

    for (int32_t i = 0; i < t->n_dim; i++) n *= t->dim[i];
    return n;
}

static void put_tensor(ath_str *to, const ath_st_tensor *t, int storage, int64_t storage_count)
{
    char key[16];
    int64_t stride[DIMS], step = 1;

    snprintf(key, sizeof key, "%d", storage);
    put_text(to, t->name);
    ath_str_print(to, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_text(to, "storage");
    ath_str_print(to, "ctorch\n%s\n", t->dtype == ATH_ST_F16 ? "HalfStorage" : "FloatStorage");
    put_text(to, key);
    put_text(to, "cpu");
    put_int(to, storage_count);
    ath_str_print(to, "tQK");
    ath_str_put(to, "\0(", 2);
    for (int32_t i = t->n_dim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->dim[i];
    }
    for (int32_t i = 0; i < t->n_dim; i++) put_int(to, t->dim[i]);
    ath_str_print(to, "t(");
    for (int32_t i = 0; i < t->n_dim; i++) put_int(to, stride[i]);
    ath_str_put(to, "t\x89", 2);
    ath_str_print(to, "ccollections\nOrderedDict\n)RtR");
}

/* `shared` elements of one storage at tensors[0].data serve all tensors; 0: each has its own. */
static void write_torch(const char *path, const ath_st_tensor *tensors, int n, int64_t shared)
{
    static zip_member members[TENSORS_MAX + 1];
    static char names[TENSORS_MAX][32];
    ath_str pickle = {0}, zip = {0};
    int n_storages = 0;

    ath_str_put(&pickle, "\x80\2}", 3);
    put_text(&pickle, "state_dict");
    ath_str_print(&pickle, "}(");
    for (int i = 0; i < n; i++)
        put_tensor(&pickle, &tensors[i], shared ? 0 : i, shared ? shared : count_of(&tensors[i]));
    ath_str_print(&pickle, "us.");
    members[n_storages++] = (zip_member){"archive/data.pkl", pickle.text, pickle.n};
    for (int i = 0; i < (shared ? 1 : n); i++) {
        snprintf(names[i], sizeof names[i], "archive/data/%d", i);
        members[n_storages++] =
            (zip_member){names[i], tensors[i].data,
                         shared ? (size_t)shared * (size_t)ath_st_dtype_bits(tensors[i].dtype) / 8
                                : tensors[i].bytes};
    }
    zip_make(&zip, members, n_storages, (zip_how){0});
    CHECK_OK(ath_str_check(&zip));
    CHECK_OK(ath_file_publish(path, ath_str_text(&zip), zip.n));
    ath_str_release(&pickle);
    ath_str_release(&zip);
}

/* ---- .ckpt ---- */

/* The lines of names_sd15.txt: part, key of single files, its shape, ... */
static int read_names(char *text, ath_st_tensor *tensors, int64_t (*dims)[DIMS])
{
    int n = 0;
    char *rest = strchr(text, '\n'), *line = NULL;

    while (rest && n < TENSORS_MAX && (line = strchr(rest, ' ')) != NULL) {
        char *key = line + 1, *shape = strchr(key, ' ');
        rest = strchr(key, '\n');
        if (!shape) break;
        *shape++ = 0;
        tensors[n] = (ath_st_tensor){.name = key, .dtype = ATH_ST_F16, .dim = dims[n]};
        for (;; shape++) {
            dims[n][tensors[n].n_dim++] = strtoll(shape, &shape, 10);
            if (*shape != ',' || tensors[n].n_dim == DIMS) break;
        }
        n++;
    }
    return n;
}

static void test_ckpt(const char *reference)
{
    static ath_st_tensor tensors[TENSORS_MAX];
    static int64_t dims[TENSORS_MAX][DIMS];
    char path[512];
    char *text = NULL;
    uint16_t *half = NULL;
    ath_base *base = NULL;
    const ath_st_tensor *t = NULL;
    int64_t most = 0;
    size_t bytes = 0;

    ath_test_begin("a .ckpt of Stable Diffusion 1.5");
    snprintf(path, sizeof path, "%s/names_sd15.txt", reference);
    CHECK_OK(ath_file_read(path, 1 << 22, &text, &bytes));
    if (!text) return;
    const int n = read_names(text, tensors, dims);
    CHECK(n > 1000);
    for (int i = 0; i < n; i++) most = count_of(&tensors[i]) > most ? count_of(&tensors[i]) : most;
    CHECK_OK(ATH_NEW(most, "storage", &half));
    for (int64_t i = 0; half && i < most; i += 997) half[i] = (uint16_t)(i % 31744);
    for (int i = 0; i < n; i++) tensors[i].data = half;
    write_torch(at("sd15.ckpt"), tensors, n, most);
    CHECK_OK(ath_base_open(at("sd15.ckpt"), &base));
    if (base) {
        CHECK_EQ(ath_base_spec(base)->unet.width[0], 320);
        CHECK_OK(ath_base_find(base, ATH_PART_UNET, "mid_block.resnets.0.conv1.weight", &t));
        CHECK(t && t->dtype == ATH_ST_F16 && t->dim[0] == 1280);
        if (t) CHECK_BITS(t->data, half, t->bytes);
    }
    ath_base_close(&base);
    tensors[n / 2].name = "another"; /* a key less */
    write_torch(at("sd15.ckpt"), tensors, n, most);
    CHECK_ERR(ath_base_open(at("sd15.ckpt"), &base), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "sd15.ckpt: \"");
    CHECK(unlink(at("sd15.ckpt")) == 0);
    ath_mem_free(&half);
    ath_mem_free(&text);
}

/* ---- folders ---- */

/* Every tensor equals what the seed makes. */
static void check_values(void)
{
    ath_base *base = NULL;
    ath_init *init = NULL;
    ath_arena arena = {0};
    const ath_param *params = NULL;
    int32_t n = 0, n_wrong = 0;

    CHECK_OK(ath_base_open(at("folder"), &base));
    CHECK_OK(ath_init_create(&ath_model_tiny, 7, ATH_ST_F32, &init));
    for (int i = 0; base && init && i < ATH_N_PARTS; i++) {
        CHECK_OK(ath_params_list(ath_base_spec(base), (ath_part)i, &arena, &params, &n));
        for (int32_t k = 0; k < n; k++) {
            const ath_st_tensor *t = NULL;
            ath_st_tensor wanted = {0};
            CHECK_OK(ath_base_find(base, (ath_part)i, params[k].name, &t));
            CHECK_OK(ath_init_find(init, (ath_part)i, params[k].name, &wanted));
            n_wrong += !t || t->bytes != wanted.bytes || memcmp(t->data, wanted.data, t->bytes);
        }
    }
    CHECK_EQ(n_wrong, 0);
    ath_arena_release(&arena);
    ath_init_destroy(&init);
    ath_base_close(&base);
}

static void write_model(const char *path, ath_layout layout)
{
    ath_init *init = NULL;

    CHECK_OK(ath_init_create(&ath_model_tiny, 7, ATH_ST_F32, &init));
    if (!init) return;
    const ath_save_from from = {.find = ath_init_find, .context = init};
    CHECK_OK(ath_model_save(path, layout, &ath_model_tiny, ATH_ST_F32, &from));
    ath_init_destroy(&init);
}

static void write_folder(void)
{
    write_model(at("folder"), ATH_LAYOUT_FOLDER);
}

/* The weights of one file as .bin in its place. */
static void rewrite_as_bin(const char *from, const char *to)
{
    static ath_st_tensor tensors[TENSORS_MAX];
    ath_st *st = NULL;
    int n = 0;

    CHECK_OK(ath_st_open(at(from), &st));
    if (!st) return;
    for (; n < ath_st_count(st); n++) tensors[n] = *ath_st_get(st, n);
    write_torch(at(to), tensors, n, 0);
    ath_st_close(&st);
    CHECK(unlink(at(from)) == 0);
}

static void test_bin(void)
{
    ath_test_begin("a folder of .bin files");
    write_folder();
    rewrite_as_bin("folder/text_encoder/model.safetensors",
                   "folder/text_encoder/pytorch_model.bin");
    rewrite_as_bin("folder/unet/diffusion_pytorch_model.safetensors",
                   "folder/unet/diffusion_pytorch_model.bin");
    rewrite_as_bin("folder/vae/diffusion_pytorch_model.safetensors",
                   "folder/vae/diffusion_pytorch_model.bin");
    check_values();
    CHECK(unlink(at("folder/text_encoder/pytorch_model.bin")) == 0);
    CHECK(unlink(at("folder/unet/diffusion_pytorch_model.bin")) == 0);
    CHECK(unlink(at("folder/vae/diffusion_pytorch_model.bin")) == 0);
}

#define UNET  "folder/unet/diffusion_pytorch_model"
#define SHARD UNET "-0000%d-of-00002.safetensors"

/* The U-Net in two files with a list beside them. */
static void cut_unet(void)
{
    static ath_st_out out[2][TENSORS_MAX];
    int64_t n[2] = {0, 0};
    ath_st *st = NULL;
    ath_str list = {0};

    CHECK_OK(ath_st_open(at(UNET ".safetensors"), &st));
    if (!st) return;
    ath_str_print(&list, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        const int to = (int)(i % 2);
        out[to][n[to]++] = (ath_st_out){t->name, t->dtype, t->dtype, t->n_dim, t->dim, t->data};
        ath_str_print(&list, "%s\"%s\":\"diffusion_pytorch_model-0000%d-of-00002.safetensors\"",
                      i ? "," : "", t->name, to + 1);
    }
    ath_str_print(&list, "}}");
    for (int to = 0; to < 2; to++) {
        char path[128];
        snprintf(path, sizeof path, SHARD, to + 1);
        CHECK_OK(ath_st_write(at(path), n[to], out[to], 0, NULL));
    }
    CHECK_OK(ath_file_publish(at(UNET ".safetensors.index.json"), ath_str_text(&list), list.n));
    ath_st_close(&st);
    ath_str_release(&list);
    CHECK(unlink(at(UNET ".safetensors")) == 0);
}

static void test_shards(void)
{
    static const struct {
        const char *list;
        ath_err err;
        const char *says;
    } rows[] = {
        {"{\"weight_map\":{\"a\":\"../x.safetensors\"}}", ATH_EFORMAT,
         "names \"../x.safetensors\", wanted a file beside the list"},
        {"{\"weight_map\":{\"a\":3}}", ATH_EFORMAT, "a value of \"weight_map\" is not a string"},
        {"{\"weight_map\":{}}", ATH_EFORMAT, "\"weight_map\" is missing or empty"},
        {"{", ATH_EFORMAT, "index.json: line 1: "},
        {"{\"weight_map\":{\"a\":\"no.safetensors\"}}", ATH_EMISSING, "unet/no.safetensors"},
        {"{\"weight_map\":{\"a\":\"diffusion_pytorch_model-00001-of-00002.safetensors\"}}",
         ATH_EMISSING, "index.json: \""},
    };
    ath_base *base = NULL;

    ath_test_begin("a folder with shards");
    write_folder();
    cut_unet();
    check_values();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_test_begin(rows[i].says);
        CHECK_OK(ath_file_publish(at(UNET ".safetensors.index.json"), rows[i].list,
                                  strlen(rows[i].list)));
        CHECK_ERR(ath_base_open(at("folder"), &base), rows[i].err);
        CHECK_HAS(ath_err_text(), rows[i].says);
        CHECK(base == NULL);
    }
}

static void test_no_memory(void)
{
    const int64_t held = ath_mem_get_stats().n_held;
    ath_err err = ATH_EINVAL;
    int64_t n = 0;

    ath_test_begin("no memory");
    write_folder();
    cut_unet();
    while (err != ATH_OK && n < 1 << 20) {
        ath_base *base = NULL;
        ath_mem_fail_from(n += 1 + n / 8);
        err = ath_base_open(at("folder"), &base);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && base == NULL));
        ath_base_close(&base);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(err == ATH_OK && n > 8);
}

/* ---- another autoencoder ---- */

/* The autoencoder of a seed, for writing; valid until init is destroyed. */
static int vae_tensors(ath_init *init, bool is_ldm, const char *prefix, ath_st_tensor *out)
{
    static char names[TENSORS_MAX][ATH_KEY_BYTES];
    static int64_t dims[TENSORS_MAX][ATH_MAX_DIMS];
    const size_t n_prefix = strlen(ath_ldm_prefix(ATH_PART_VAE));
    const ath_param *params = NULL;
    ath_arena arena = {0};
    int32_t n = 0;

    CHECK_OK(ath_params_list(&ath_model_tiny, ATH_PART_VAE, &arena, &params, &n));
    for (int32_t i = 0; i < n; i++) {
        char key[ATH_KEY_BYTES] = "";
        CHECK_OK(ath_init_find(init, ATH_PART_VAE, params[i].name, &out[i]));
        CHECK_OK(ath_ldm_name(&ath_model_tiny, ATH_PART_VAE, params[i].name, key));
        snprintf(names[i], sizeof names[i], "%s%s", prefix,
                 is_ldm ? key + n_prefix : params[i].name);
        out[i].name = names[i];
        memcpy(dims[i], params[i].dim, (size_t)params[i].n_dim * sizeof *dims[i]);
        out[i].n_dim = is_ldm ? ath_ldm_shape(ATH_PART_VAE, &params[i], dims[i]) : params[i].n_dim;
        out[i].dim = dims[i];
    }
    ath_arena_release(&arena);
    return n;
}

static void write_vae(const char *path, const ath_st_tensor *t, int n)
{
    static ath_st_out out[TENSORS_MAX];

    for (int i = 0; i < n; i++)
        out[i] = (ath_st_out){t[i].name, t[i].dtype, t[i].dtype, t[i].n_dim, t[i].dim, t[i].data};
    CHECK_OK(ath_st_write(path, n, out, 0, NULL));
}

/* The model `path` with `vae` has its own U-Net, and the autoencoder of `init`. */
static void check_vae(const char *path, const char *vae, ath_init *init)
{
    ath_base *base = NULL;
    const ath_st_tensor *t = NULL;
    ath_st_tensor wanted = {0};
    ath_init *own = NULL;
    static const struct {
        ath_part part;
        const char *name;
    } rows[] = {{ATH_PART_UNET, "conv_in.weight"},
                {ATH_PART_VAE, "encoder.conv_in.weight"},
                {ATH_PART_VAE, "encoder.mid_block.attentions.0.to_q.weight"},
                {ATH_PART_VAE, "decoder.up_blocks.1.resnets.0.conv1.weight"},
                {ATH_PART_VAE, "post_quant_conv.bias"}};

    ath_test_begin(vae);
    CHECK_OK(ath_init_create(&ath_model_tiny, 7, ATH_ST_F32, &own));
    CHECK_OK(ath_base_open_with(path, vae, &base));
    for (size_t i = 0; base && i < sizeof rows / sizeof *rows; i++) {
        CHECK_OK(ath_base_find(base, rows[i].part, rows[i].name, &t));
        CHECK_OK(ath_init_find(rows[i].part == ATH_PART_VAE ? init : own, rows[i].part,
                               rows[i].name, &wanted));
        if (t) CHECK_BITS(t->data, wanted.data, wanted.bytes);
    }
    ath_base_close(&base);
    ath_init_destroy(&own);
}

static void refuse_vae(const char *vae, ath_err wanted, const char *sentence)
{
    ath_base *base = NULL;

    ath_test_begin(sentence);
    CHECK_ERR(ath_base_open_with(at("folder"), vae, &base), wanted);
    CHECK_EQ(ath_err_exit_code(wanted), 4);
    CHECK_HAS(ath_err_text(), sentence);
    CHECK(!base);
    ath_base_close(&base);
}

static void refuse_vaes(ath_init *init)
{
    static ath_st_tensor t[TENSORS_MAX];
    int n = vae_tensors(init, true, "", t);
    char *text = NULL;
    size_t bytes = 0;

    refuse_vae(at("none.ckpt"), ATH_EMISSING, "none.ckpt: there is no such file");
    refuse_vae(at("folder/unet"), ATH_EMISSING, "unet/config.json: \"latent_channels\" is missing");
    refuse_vae(at("folder/unet/diffusion_pytorch_model.safetensors"), ATH_EFORMAT,
               "wanted an autoencoder of Stable Diffusion 1.x");
    const ath_st_tensor last = t[n - 1];
    write_vae(at("short.safetensors"), t, n - 1);
    refuse_vae(at("short.safetensors"), ATH_EMISSING, last.name);
    const int64_t dim = count_of(&t[0]);
    t[0].n_dim = 1;
    t[0].dim = &dim;
    write_vae(at("flat.safetensors"), t, n);
    refuse_vae(at("flat.safetensors"), ATH_ESHAPE, " as in the model");
    /* SDXL's is of the same shapes */
    CHECK_OK(ath_file_read(at("vae/config.json"), 1 << 20, &text, &bytes));
    char *number = text ? strstr(text, "0.18215") : NULL;
    CHECK(number);
    if (number) memcpy(number, "0.13025", 7);
    CHECK_OK(ath_file_publish(at("vae/config.json"), text, bytes));
    refuse_vae(at("vae"), ATH_ESHAPE, "\"scaling_factor\" is 0.13025, wanted 0.18215");
    ath_mem_free(&text);
}

static void test_vae(void)
{
    static ath_st_tensor t[TENSORS_MAX];
    ath_init *init = NULL;

    write_folder();
    CHECK_OK(ath_init_create(&ath_model_tiny, 8, ATH_ST_F32, &init));
    if (!init) return;
    const ath_save_from from = {.find = ath_init_find, .context = init};
    CHECK_OK(ath_model_save(at("other"), ATH_LAYOUT_FOLDER, &ath_model_tiny, ATH_ST_F32, &from));
    CHECK_OK(ath_model_save(at("other.safetensors"), ATH_LAYOUT_SINGLE, &ath_model_tiny, ATH_ST_F32,
                            &from));
    int n = vae_tensors(init, true, "", t);
    write_torch(at("bare.ckpt"), t, n, 0);
    write_vae(at("bare.safetensors"), t, n);
    n = vae_tensors(init, true, "first_stage_model.", t);
    write_vae(at("prefixed.safetensors"), t, n);
    n = vae_tensors(init, false, "", t);
    write_vae(at("diffusers.safetensors"), t, n);
    check_vae(at("folder"), at("bare.ckpt"), init);
    check_vae(at("folder"), at("bare.safetensors"), init);
    check_vae(at("folder"), at("prefixed.safetensors"), init);
    check_vae(at("folder"), at("diffusers.safetensors"), init);
    check_vae(at("folder"), at("other.safetensors"), init);
    check_vae(at("folder"), at("other"), init);
    CHECK(rename(at("other/vae"), at("vae")) == 0);
    check_vae(at("folder"), at("vae"), init);
    write_model(at("own.safetensors"), ATH_LAYOUT_SINGLE);
    check_vae(at("own.safetensors"), at("bare.ckpt"), init);
    refuse_vaes(init);
    ath_init_destroy(&init);
}

int main(int argc, char **argv)
{
    ATH_ASSERT(argc == 2);
    CHECK_OK(ath_data_folder_make(&home));
    test_ckpt(argv[1]);
    test_bin();
    test_shards();
    test_no_memory();
    test_vae();
    ath_data_folder_remove(&home);
    return ath_test_end();
}
