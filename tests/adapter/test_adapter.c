/*
 * LoRA files. The made-up one of the tiny model is written with the same bytes as the committed one
 * (which diffusers has read); what is written is read back; at Stable Diffusion 1.5 keys and shapes are
 * those of the published packages and the body has the known size; names of peft and old diffusers
 * mean the same; what is no LoRA, broken, or for another model is refused with its sentence;
 * failing allocations leak nothing.
 *
 *     test_adapter REFERENCE              runs the tests
 *     test_adapter REFERENCE FILE         writes the made-up LoRA to FILE
 */
#include "core/half.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "tests/adapter/made.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const char *reference;
static char path[] = "/tmp/athanor-adapter-XXXXXX";

static const char *in_reference(const char *name)
{
    static char out[512];

    snprintf(out, sizeof out, "%s/%s", reference, name);
    return out;
}

static void check_bytes(void)
{
    char *got = NULL, *want = NULL;
    size_t n_got = 0, n_want = 0;

    ath_test_begin("the same bytes");
    CHECK_OK(made_write(path));
    CHECK_OK(ath_file_read(path, 1 << 24, &got, &n_got));
    CHECK_OK(ath_file_read(in_reference("lora_tiny.safetensors"), 1 << 24, &want, &n_want));
    CHECK_EQ(n_got, n_want);
    CHECK(n_got == n_want && memcmp(got, want, n_got) == 0);
    ath_mem_free(&got);
    ath_mem_free(&want);
}

/* The file's size at a layer, through the face that networks see. */
static ath_lora_size size_at(const ath_adapter_file *f, float scale, const char *layer,
                             ath_adapter_site site)
{
    const ath_lora lora = ath_adapter_file_lora(f, scale);
    return lora.size(&lora, layer, &site);
}

/* What other programs compute over the file's tensors. */
static void check_body_hash(const ath_st *st)
{
    char text[ATH_SHA256_TEXT] = "";
    ath_sha256 *s = NULL;

    CHECK_OK(ath_sha256_create(&s));
    for (int64_t i = 0; i < ath_st_count(st); i++)
        CHECK_OK(ath_sha256_put(s, ath_st_get(st, i)->data, ath_st_get(st, i)->bytes));
    CHECK_OK(ath_sha256_end(s, text));
    CHECK_STR(ath_st_meta_find(st, "sshs_model_hash"), text);
    ath_sha256_destroy(&s);
}

static void check_back(void)
{
    static const char key[] = "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight";
    const ath_adapter_site narrow = {.n_in = 32, .n_out = 32, .kernel = 1, .stride = 1};
    const ath_adapter_site wide = {.n_in = 32, .n_out = 32, .kernel = 3, .stride = 1};
    char hash[ATH_ADAPTER_HASH_TEXT] = "";
    ath_adapter_file *f = NULL;
    ath_st *st = NULL;
    const float *value = NULL;

    ath_test_begin("read back");
    CHECK_OK(ath_adapter_file_open(path, &f));
    CHECK_OK(ath_adapter_file_check(f, &ath_model_tiny));
    CHECK_EQ(size_at(f, 1, "down_blocks.0.attentions.0.proj_in", narrow).rank, 4);
    CHECK_NEAR(size_at(f, 0.5f, "down_blocks.0.attentions.0.proj_in", narrow).alpha, 1, 0);
    CHECK_EQ(size_at(f, 1, "down_blocks.0.resnets.0.conv1", wide).rank, 2);
    CHECK_EQ(size_at(f, 1, "down_blocks.0.resnets.0.conv1", narrow).rank, 0);
    CHECK_EQ(size_at(f, 1, "conv_in", wide).rank, 0);
    CHECK_OK(ath_st_open(path, &st));
    const ath_st_tensor *t = ath_st_find(st, key);
    CHECK(t && t->dtype == ATH_ST_F16 && t->n_dim == 4 && t->dim[0] == 4 && t->dim[1] == 32);
    CHECK_OK(made_value(NULL, "down_blocks.0.attentions.0.proj_in.own.lora_down.weight", &value));
    for (int i = 0; t && i < 128; i++) {
        const uint16_t want = ath_f16_of_f32(value[i]);
        CHECK_BITS((const char *)t->data + 2 * i, &want, 2);
    }
    check_body_hash(st);
    CHECK_OK(ath_adapter_file_hash(f, hash));
    CHECK(strncmp(hash, ath_st_meta_find(st, "sshs_model_hash"), 12) == 0);
    CHECK_STR(ath_st_meta_find(st, "sshs_legacy_hash"), "e3b0c442"); /* a file below 1 MiB */
    ath_st_close(&st);
    ath_adapter_file_close(&f);
}

/* ---- at real size ---- */

static ath_err zeros(void *context, const char *name, const float **out)
{
    (void)name;
    *out = context;
    return ATH_OK;
}

static void print_tensor(const ath_st_tensor *t, ath_str *to)
{
    ath_str_print(to, "%s", t->name);
    for (int i = 0; i < t->n_dim; i++) ath_str_print(to, " %" PRId64, t->dim[i]);
    ath_str_print(to, "\n");
}

static void check_sd15(void)
{
    static float none[4 * 10240];
    const ath_lora lora = {.rank = 4, .alpha = 1};
    ath_arena arena = {0};
    ath_plan_param *params = NULL;
    ath_str text = {0};
    ath_st *st = NULL;
    char *want = NULL;
    size_t n_want = 0, bytes = 0;
    int32_t n = 0;

    ath_test_begin("Stable Diffusion 1.5");
    CHECK_OK(made_params(&ath_model_sd15, &lora, &arena, &params, &n));
    const ath_adapter_save given = {.params = params,
                                    .n_params = n,
                                    .lora = &lora,
                                    .dtype = ATH_ST_F16,
                                    .value = zeros,
                                    .context = none};
    CHECK_OK(ath_adapter_save_file(path, &given));
    CHECK_OK(ath_st_open(path, &st));
    CHECK_EQ(ath_st_count(st), 792);
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        print_tensor(ath_st_get(st, i), &text);
        bytes += ath_st_get(st, i)->bytes;
    }
    CHECK_EQ(bytes, 589824 * 4 * 2 + 264 * 2);
    CHECK_OK(ath_file_read(in_reference("lora_keys.txt"), 1 << 20, &want, &n_want));
    CHECK_EQ(text.n, n_want);
    CHECK(text.n == n_want && memcmp(text.text, want, n_want) == 0);
    ath_mem_free(&want);
    ath_st_close(&st);
    ath_str_release(&text);
    ath_arena_release(&arena);
}

/* ---- other names ---- */

typedef struct entry {
    const char *key;
    int32_t n_dim;
    int64_t dim[4];
    ath_st_dtype dtype;
} entry;

static void write_entries(int n, const entry *e, const char *meta_value)
{
    static const double values[4096];
    ath_st_out out[8] = {0};
    const ath_st_meta meta = {"lora_adapter_metadata", meta_value};

    for (int i = 0; i < n; i++)
        out[i] = (ath_st_out){e[i].key, e[i].dtype, e[i].dtype, e[i].n_dim, e[i].dim, values};
    CHECK_OK(ath_st_write(path, n, out, meta_value ? 1 : 0, &meta));
}

static void check_names(void)
{
    static const struct {
        const char *down, *up, *layer;
    } rows[] = {
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0.lora_A.weight",
         "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0.lora_B.weight",
         "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight",
         "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
         "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_q_lora.down.weight",
         "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_q_lora.up.weight",
         "mid_block.attentions.0.transformer_blocks.0.attn2.to_q"},
        {"text_encoder.text_model.encoder.layers.1.mlp.fc1.lora_linear_layer.down.weight",
         "text_encoder.text_model.encoder.layers.1.mlp.fc1.lora_linear_layer.up.weight",
         "text_model.encoder.layers.1.mlp.fc1"},
        {"base_model.model.unet.mid_block.attentions.0.proj_in.lora_A.weight",
         "base_model.model.unet.mid_block.attentions.0.proj_in.lora_B.weight",
         "mid_block.attentions.0.proj_in"},
    };
    const ath_adapter_site site = {.n_in = 6, .n_out = 5, .kernel = 1, .stride = 1};

    ath_test_begin("names of others");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const entry e[] = {{rows[i].down, 2, {3, 6}, ATH_ST_F32},
                           {rows[i].up, 2, {5, 3}, ATH_ST_BF16}};
        const bool is_text = strncmp(rows[i].down, "text", 4) == 0;
        ath_adapter_file *f = NULL;
        write_entries(2, e, NULL);
        CHECK_OK(ath_adapter_file_open(path, &f));
        if (!f) continue;
        CHECK_EQ(size_at(f, 1, rows[i].layer, site).rank, 3);
        CHECK_NEAR(size_at(f, 2, rows[i].layer, site).alpha, 6, 0); /* without alpha: the rank */
        ath_adapter_file_close(&f);
        write_entries(2, e, "{\"unet.lora_alpha\": 8, \"unet.use_rslora\": true}");
        CHECK_OK(ath_adapter_file_open(path, &f));
        CHECK_NEAR(size_at(f, 1, rows[i].layer, site).alpha, is_text ? 3 : 8 * sqrt(3), 1e-6);
        ath_adapter_file_close(&f);
    }
}

/* ---- refusals ---- */

#define MODULE "lora_unet_mid_block_attentions_0_proj_in"

static void refuse(int n, const entry *e, ath_err err, const char *says)
{
    ath_adapter_file *f = NULL;

    write_entries(n, e, NULL);
    CHECK_ERR(ath_adapter_file_open(path, &f), err);
    CHECK_HAS(ath_err_text(), says);
    CHECK(f == NULL);
    ath_adapter_file_close(&f);
}

static void check_refused_files(void)
{
    const entry down = {MODULE ".lora_down.weight", 2, {3, 6}, ATH_ST_F32};
    const entry up = {MODULE ".lora_up.weight", 2, {5, 3}, ATH_ST_F32};

    ath_test_begin("refused files");
    refuse(1, &down, ATH_EFORMAT, MODULE " has no lora_up");
    refuse(1, &up, ATH_EFORMAT, MODULE " has no lora_down");
    refuse(2, (entry[]){down, {MODULE ".lora_up.weight", 2, {5, 4}, ATH_ST_F32}}, ATH_EFORMAT,
           "lora_down [3,6] and lora_up [5,4] do not fit each other");
    refuse(2, (entry[]){down, {MODULE ".lora_up.weight", 2, {5, 0}, ATH_ST_F32}}, ATH_EFORMAT,
           "do not fit");
    refuse(2, (entry[]){down, {MODULE ".lora_up.weight", 2, {5, 3}, ATH_ST_I32}}, ATH_EFORMAT,
           "wanted F32, F16, BF16 or F64");
    refuse(3, (entry[]){down, up, {MODULE ".alpha", 1, {2}, ATH_ST_F32}}, ATH_EFORMAT,
           MODULE ".alpha: wanted one number");
    refuse(3, (entry[]){down, up, {MODULE ".dora_scale", 1, {5}, ATH_ST_F32}}, ATH_EFORMAT,
           "a DoRA, which is not supported yet");
    refuse(3, (entry[]){down, up, {MODULE ".lora_mid.weight", 4, {3, 3, 3, 3}, ATH_ST_F32}},
           ATH_EFORMAT, "Tucker form");
    refuse(3, (entry[]){down, up, {"lora_te2_x.lora_up.weight", 2, {5, 3}, ATH_ST_F32}},
           ATH_EFORMAT, "lora_te2_x.lora_up.weight: no key of a LoRA for Stable Diffusion 1.x");
    refuse(3,
           (entry[]){down,
                     up,
                     {"unet.mid_block.attentions.0.proj_in.lora_B.weight", 2, {5, 3}, ATH_ST_F32}},
           ATH_EFORMAT, "say the same");
    refuse(1, (entry[]){{MODULE ".hada_w1_a", 2, {3, 6}, ATH_ST_F32}}, ATH_EFORMAT,
           "is LoHa (Hadamard products of low rank), which is not supported yet; wanted a LoRA");
    refuse(1, (entry[]){{MODULE ".lokr_w1", 2, {3, 6}, ATH_ST_F32}}, ATH_EFORMAT, "is LoKr");
    refuse(1, (entry[]){{"model.diffusion_model.x", 2, {3, 6}, ATH_ST_F32}}, ATH_EFORMAT,
           "is Stable Diffusion 1.x, single file; wanted a LoRA");
    CHECK_EQ(ath_err_exit_code(ATH_EFORMAT), 4);
}

static void check_broken(void)
{
    ath_adapter_file *f = NULL;
    char *bytes = NULL;
    size_t n = 0;

    ath_test_begin("broken and for another model");
    CHECK_OK(made_write(path));
    CHECK_OK(ath_adapter_file_open(path, &f));
    CHECK(ath_adapter_file_check(f, &ath_model_sd15) != ATH_OK);
    CHECK_HAS(ath_err_text(), "is it for another model?");
    ath_adapter_file_close(&f);
    const entry lost[] = {
        {"lora_unet_input_blocks_4_1_proj_in.lora_down.weight", 2, {3, 6}, ATH_ST_F32},
        {"lora_unet_input_blocks_4_1_proj_in.lora_up.weight", 2, {5, 3}, ATH_ST_F32}};
    CHECK_OK(ath_file_read(path, 1 << 24, &bytes, &n));
    write_entries(2, lost, NULL);
    CHECK_OK(ath_adapter_file_open(path, &f));
    CHECK_ERR(ath_adapter_file_check(f, &ath_model_tiny), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "1 of its 1 layers are not in the model");
    ath_adapter_file_close(&f);
    for (size_t cut = 1; cut < n; cut += n / 7) {
        CHECK_OK(ath_file_publish(path, bytes, n - cut));
        const ath_err err = ath_adapter_file_open(path, &f);
        CHECK_EQ(ath_err_exit_code(err), 4);
        CHECK(f == NULL);
    }
    ath_mem_free(&bytes);
}

static ath_err bad_value(void *context, const char *name, const float **out)
{
    static float values[4096];

    (void)name;
    values[3] = *(const float *)context;
    *out = values;
    return ATH_OK;
}

static void check_bad_values(void)
{
    static float bad[] = {NAN, INFINITY, 65520, -1e6f};
    ath_arena arena = {0};
    ath_plan_param *params = NULL;
    int32_t n = 0;

    ath_test_begin("values that are no numbers");
    unlink(path);
    CHECK_OK(made_params(&ath_model_tiny, &made_lora, &arena, &params, &n));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ath_adapter_save save = {.params = params,
                                       .n_params = n,
                                       .lora = &made_lora,
                                       .dtype = ATH_ST_F16,
                                       .value = bad_value,
                                       .context = &bad[i]};
        CHECK_ERR(ath_adapter_save_file(path, &save), ATH_ENAN);
        CHECK_HAS(ath_err_text(), "at 3, which is no finite F16; nothing was written");
        CHECK(access(path, F_OK) != 0);
    }
    ath_arena_release(&arena);
}

static void check_failures(void)
{
    const int64_t held = ath_mem_get_stats().n_held;
    bool is_done = false;

    ath_test_begin("failing allocations");
    for (int64_t i = 1; !is_done; i += 1 + i / 2) {
        ath_adapter_file *f = NULL;
        ath_mem_fail_from(i);
        ath_err err = made_write(path);
        if (!err) err = ath_adapter_file_open(path, &f);
        if (!err) err = ath_adapter_file_check(f, &ath_model_tiny);
        ath_mem_fail_from(0);
        CHECK(!err || err == ATH_ENOMEM);
        is_done = !err;
        ath_adapter_file_close(&f);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3) return made_write(argv[2]) != ATH_OK;
    if (argc != 2) return 2;
    reference = argv[1];
    const int fd = mkstemp(path);
    if (fd < 0 || close(fd)) return 2;
    check_bytes();
    check_back();
    check_sd15();
    check_names();
    check_refused_files();
    check_broken();
    check_bad_values();
    check_failures();
    unlink(path);
    return ath_test_end();
}
