/*
 * Models on disk: what is written is read back bit for bit in either layout; older names and other
 * types are accepted; what is no such model is refused by what it is, with file, key, found, wanted;
 * weights arrive in a plan converted. Files lie in a folder of the test's own.
 */
#include "core/io/file.h"
#include "core/io/safetensors_writer.h"
#include "core/mem.h"
#include "kernels/dtype.h"
#include "tests/data_folder.h"
#include "tests/harness.h"
#include "worker/graph/layer.h"
#include "worker/model/base.h"
#include "worker/model/config.h"
#include "worker/model/init.h"
#include "worker/model/names.h"
#include "worker/model/save.h"
#include <unistd.h>

static ath_data_folder home;

static const char *at(const char *name)
{
    return ath_data_at(&home, name);
}

static void write_tiny(const char *path, ath_layout layout, ath_st_dtype dtype)
{
    ath_init *init = NULL;

    CHECK_OK(ath_init_create(&ath_model_tiny, 7, ATH_ST_F32, &init));
    if (!init) return;
    const ath_save_from from = {.find = ath_init_find, .context = init};
    CHECK_OK(ath_model_save(path, layout, &ath_model_tiny, dtype, &from));
    ath_init_destroy(&init);
}

/* ---- damaged copies of the tiny single file ---- */

/* What is changed of one tensor. */
typedef struct edit {
    const char *key;    /* NULL: none */
    const char *name;   /* its new name; NULL: it is left out */
    ath_st_dtype dtype; /* ATH_N_ST_DTYPES: as it is */
    int32_t n_dim;      /* 0: as it is */
    int64_t dim[4];
} edit;

static void write_edited(const char *from, const char *to, const edit *e, bool has_spec)
{
    ath_st *st = NULL;
    ath_st_out *out = NULL;
    int64_t n = 0;

    CHECK_OK(ath_st_open(from, &st));
    if (!st) return;
    CHECK_OK(ATH_NEW(ath_st_count(st), "copy", &out));
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        const bool is_it = e->key && strcmp(t->name, e->key) == 0;
        if (is_it && !e->name) continue;
        out[n] = (ath_st_out){t->name, t->dtype, t->dtype, t->n_dim, t->dim, t->data};
        if (is_it) out[n].name = e->name;
        if (is_it && e->dtype != ATH_N_ST_DTYPES) out[n].dtype = out[n].from = e->dtype;
        if (is_it && e->n_dim) out[n].n_dim = e->n_dim, out[n].dim = e->dim;
        n++;
    }
    const ath_st_meta meta = {ATH_SPEC_KEY, ath_st_meta_find(st, ATH_SPEC_KEY)};
    CHECK_OK(ath_st_write(to, n, out, has_spec ? 1 : 0, &meta));
    ath_mem_free(&out);
    ath_st_close(&st);
}

static void check_refused(const char *path, ath_err wanted, const char *sentence)
{
    ath_base *base = NULL;

    ath_test_begin(sentence);
    CHECK_ERR(ath_base_open(path, &base), wanted);
    CHECK_HAS(ath_err_text(), sentence);
    CHECK_HAS(ath_err_text(), home.path); /* the file is named */
    CHECK_EQ(ath_err_exit_code(wanted), 4);
    CHECK(base == NULL);
    ath_base_close(&base);
}

#define UNET "model.diffusion_model."
#define SAME .dtype = ATH_N_ST_DTYPES

static void test_refused_tensors(void)
{
    static const struct {
        edit e;
        bool has_spec;
        ath_err err;
        const char *sentence;
    } rows[] = {
        {{UNET "out.2.bias", NULL, SAME},
         true,
         ATH_EMISSING,
         "\"" UNET "out.2.bias\" is missing, wanted [4] for the unet"},
        {{UNET "out.2.bias", UNET "out.2.bias", SAME, .n_dim = 2, .dim = {2, 2}},
         true,
         ATH_ESHAPE,
         "\"" UNET "out.2.bias\" is [2,2], wanted [4]"},
        {{UNET "out.2.bias", UNET "out.2.bias", .dtype = ATH_ST_I32},
         true,
         ATH_EDTYPE,
         "\"" UNET "out.2.bias\" is I32, wanted F32, F16, BF16 or F64"},
        {{.key = NULL},
         false,
         ATH_ESHAPE,
         "of Stable Diffusion 1.5 (no \"athanor.spec\" says otherwise)"},
        {{"first_stage_model.quant_conv.bias", "conditioner.embedders.0.x", SAME},
         true,
         ATH_EFORMAT,
         "is Stable Diffusion XL, wanted the whole of a Stable Diffusion 1.x model"},
        {{"first_stage_model.quant_conv.bias", "cond_stage_model.model.ln_final.bias", SAME},
         true,
         ATH_EFORMAT,
         "is Stable Diffusion 2.x, wanted"},
        {{"first_stage_model.quant_conv.bias", "control_model.time_embed.0.bias", SAME},
         true,
         ATH_EFORMAT,
         "is ControlNet, wanted"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_edited(at("tiny.safetensors"), at("edited.safetensors"), &rows[i].e,
                     rows[i].has_spec);
        check_refused(at("edited.safetensors"), rows[i].err, rows[i].sentence);
    }
}

/* One small tensor of a key that says what the file is. */
static void test_refused_kinds(void)
{
    static const struct {
        const char *key;
        int64_t dim[4];
        const char *sentence;
    } rows[] = {
        {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",
         {1, 1, 1, 1},
         "is LoRA, wanted"},
        {"unet.mid_block.attentions.0.proj_in.lora_A.weight", {1, 1, 1, 1}, "is LoRA, wanted"},
        {"lora_unet_conv_in.hada_w1_a", {1, 1, 1, 1}, "is LoHa"},
        {"lora_unet_conv_in.lokr_w1", {1, 1, 1, 1}, "is LoKr"},
        {"encoder.down.0.block.0.conv1.bias", {1, 1, 1, 1}, "is autoencoder, LDM names"},
        {"encoder.down_blocks.0.resnets.0.conv1.bias", {1, 1, 1, 1}, "is autoencoder, diffusers"},
        {UNET "input_blocks.0.0.weight", {1, 9, 1, 1}, "is Stable Diffusion 1.x for inpainting"},
        {UNET "input_blocks.0.0.weight", {1, 8, 1, 1}, "for editing by instruction"},
        {"emb_params", {1, 1, 1, 1}, "is textual inversion embedding"},
        {"what.ever", {1, 1, 1, 1}, "is tensors of no kind known here"},
    };
    const float data[9] = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ath_st_out t = {rows[i].key, ATH_ST_F32, ATH_ST_F32, 4, rows[i].dim, data};
        CHECK_OK(ath_st_write(at("kind.safetensors"), 1, &t, 0, NULL));
        check_refused(at("kind.safetensors"), ATH_EFORMAT, rows[i].sentence);
    }
}

static void replace_text(const char *path, const char *what, const char *by)
{
    char *text = NULL;
    ath_str changed = {0};
    size_t n = 0;

    CHECK_OK(ath_file_read(path, 1 << 20, &text, &n));
    char *found = text ? strstr(text, what) : NULL;
    CHECK(found != NULL);
    if (found) {
        ath_str_print(&changed, "%.*s%s%s", (int)(found - text), text, by, found + strlen(what));
        CHECK_OK(ath_file_publish(path, ath_str_text(&changed), changed.n));
    }
    ath_str_release(&changed);
    ath_mem_free(&text);
}

static void test_refused_folders(void)
{
    static const struct {
        const char *file, *what, *by;
        ath_err err;
        const char *sentence;
    } rows[] = {
        {"unet/config.json", "\"freq_shift\": 0", "\"freq_shift\": 1", ATH_EFORMAT,
         "unet/config.json: \"freq_shift\" is 1, wanted 0: this is no network of"},
        {"unet/config.json", "\"silu\",", "\"silu\", \"addition_embed_type\": \"text_time\",",
         ATH_EFORMAT, "\"addition_embed_type\" is \"text_time\", wanted null"},
        {"unet/config.json", "\"attention_head_dim\": 4", "\"attention_head_dim\": [2, 4]",
         ATH_EFORMAT, "\"attention_head_dim\" is not a whole number"},
        {"unet/config.json", "\"attention_head_dim\": 4", "\"attention_head_dim\": 5", ATH_EFORMAT,
         "a U-Net width is 32, wanted a multiple of heads (5)"},
        {"unet/config.json", "\"UpBlock2D\"", "\"AttnUpBlock2D\"", ATH_EFORMAT,
         "\"up_block_types\"[0] is \"AttnUpBlock2D\", wanted \"UpBlock2D\" or"},
        {"unet/config.json", "\"UpBlock2D\"", "\"CrossAttnUpBlock2D\"", ATH_EFORMAT,
         "\"up_block_types\" does not mirror \"down_block_types\" at entry 0"},
        {"unet/config.json", "\"in_channels\": 4", "\"in_channels\": 9", ATH_EFORMAT,
         "the U-Net has 9 channels in and 4 out, wanted 4 as the latents have (this is an inp"},
        {"unet/config.json", "\"cross_attention_dim\": 32", "\"cross_attention_dim\": 64",
         ATH_EFORMAT, "text states of width 64, the text encoder gives 32"},
        {"unet/config.json", "[32,64]", "[64,64]", ATH_ESHAPE,
         "\"time_embedding.linear_1.weight\" is [128,32], wanted [256,64]"},
        {"unet/config.json", "\"in_channels\": 4,\n", "", ATH_EMISSING,
         "unet/config.json: \"in_channels\" is missing"},
        {"unet/config.json", "{", "", ATH_EFORMAT, "unet/config.json: line 2:"},
        {"vae/config.json", "\"latent_channels\": 4", "\"latent_channels\": -4", ATH_EFORMAT,
         "vae/config.json: \"latent_channels\" is -4, wanted 1 to"},
        {"vae/config.json", "0.18215", "-1", ATH_EFORMAT, "\"scaling_factor\" is -1"},
        {"text_encoder/config.json", "quick_gelu", "gelu", ATH_EFORMAT,
         "\"hidden_act\" is \"gelu\", wanted \"quick_gelu\""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *before = NULL;
        char path[300];
        size_t n = 0;
        snprintf(path, sizeof path, "%s/folder/%s", home.path, rows[i].file);
        CHECK_OK(ath_file_read(path, 1 << 20, &before, &n));
        replace_text(path, rows[i].what, rows[i].by);
        check_refused(at("folder"), rows[i].err, rows[i].sentence);
        if (before) CHECK_OK(ath_file_publish(path, before, n));
        ath_mem_free(&before);
    }
    CHECK(rename(at("folder/vae/diffusion_pytorch_model.safetensors"), at("folder/vae/v")) == 0);
    check_refused(at("folder"), ATH_EMISSING, "folder/vae: no weights here, wanted");
    CHECK(rename(at("folder/vae/v"), at("folder/vae/diffusion_pytorch_model.fp16.safetensors")) ==
          0);
    ath_base *base = NULL;
    CHECK_OK(ath_base_open(at("folder"), &base)); /* the variant is found */
    ath_base_close(&base);
    CHECK(rename(at("folder/vae/diffusion_pytorch_model.fp16.safetensors"),
                 at("folder/vae/diffusion_pytorch_model.safetensors")) == 0);
}

/* ---- what is read ---- */

/* Every tensor of `path` equals what the seed makes, rounded to `dtype`. */
static void check_values(const char *path, ath_st_dtype dtype)
{
    ath_base *base = NULL;
    ath_init *init = NULL;
    ath_arena arena = {0};
    const ath_param *params = NULL;
    int32_t n = 0;

    ath_test_begin(path);
    CHECK_OK(ath_base_open(path, &base));
    CHECK_OK(ath_init_create(&ath_model_tiny, 7, dtype, &init));
    for (int i = 0; base && init && i < ATH_N_PARTS; i++) {
        CHECK_OK(ath_params_list(ath_base_spec(base), (ath_part)i, &arena, &params, &n));
        for (int32_t k = 0; k < n; k++) {
            const ath_st_tensor *t = NULL;
            ath_st_tensor wanted = {0};
            CHECK_OK(ath_base_find(base, (ath_part)i, params[k].name, &t));
            CHECK_OK(ath_init_find(init, (ath_part)i, params[k].name, &wanted));
            if (!t || t->bytes != wanted.bytes) {
                CHECK(!"a tensor of the right size");
                continue;
            }
            CHECK_EQ(t->n_dim, params[k].n_dim);
            CHECK_EQ(t->dtype, dtype);
            ath_test_note(memcmp(t->data, wanted.data, t->bytes) == 0, __FILE__, __LINE__,
                          "values of %s", params[k].name);
        }
    }
    ath_arena_release(&arena);
    ath_init_destroy(&init);
    ath_base_close(&base);
}

static void test_modelspec(void)
{
    ath_st *st = NULL;

    ath_test_begin("modelspec");
    CHECK_OK(ath_st_open(at("tiny.safetensors"), &st));
    if (!st) return;
    CHECK_STR(ath_st_meta_find(st, "modelspec.sai_model_spec"), "1.0.1");
    CHECK_HAS(ath_st_meta_find(st, "modelspec.implementation_version"), "athanor/");
    CHECK(!ath_st_meta_find(st, "modelspec.architecture")); /* tiny is nobody's */
    ath_st_close(&st);
}

static void test_values(void)
{
    check_values(at("tiny.safetensors"), ATH_ST_F32);
    check_values(at("folder"), ATH_ST_F32);
    write_tiny(at("f16.safetensors"), ATH_LAYOUT_SINGLE, ATH_ST_F16);
    check_values(at("f16.safetensors"), ATH_ST_F16);
    write_tiny(at("bf16"), ATH_LAYOUT_FOLDER, ATH_ST_BF16);
    check_values(at("bf16"), ATH_ST_BF16);
}

static void test_other_names(void)
{
    static const edit rows[] = {
        {"cond_stage_model.transformer.text_model.final_layer_norm.bias",
         "cond_stage_model.transformer.final_layer_norm.bias", SAME},
        {"first_stage_model.encoder.mid.attn_1.q.weight",
         "first_stage_model.encoder.mid.attn_1.q.weight", SAME, .n_dim = 2, .dim = {32, 32}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_edited(at("tiny.safetensors"), at("other.safetensors"), &rows[i], true);
        check_values(at("other.safetensors"), ATH_ST_F32);
    }
    const char *vae = "folder/vae/diffusion_pytorch_model.safetensors";
    const edit old = {"decoder.mid_block.attentions.0.to_out.0.weight",
                      "decoder.mid_block.attentions.0.proj_attn.weight", SAME};
    write_edited(at(vae), at(vae), &old, false);
    check_values(at("folder"), ATH_ST_F32);
}

static void test_spec_text(void)
{
    ath_str text = {0}, again = {0};
    ath_model_spec spec = {0};

    ath_test_begin("spec as text");
    ath_spec_print(&ath_model_sd15, &text);
    CHECK_OK(ath_spec_parse("t", ath_str_text(&text), text.n, &spec));
    CHECK(memcmp(&spec.text, &ath_model_sd15.text, sizeof spec.text) == 0);
    CHECK(memcmp(&spec.vae, &ath_model_sd15.vae, sizeof spec.vae) == 0);
    ath_spec_print(&spec, &again);
    CHECK_STR(ath_str_text(&text), ath_str_text(&again));
    CHECK_ERR(ath_spec_parse("t", "[]", 2, &spec), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "t: is not a JSON object");
    CHECK_ERR(ath_spec_parse("t", "{}", 2, &spec), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "t: \"text\" is missing");
    ath_str_release(&text);
    ath_str_release(&again);
}

/* ---- into a plan ---- */

/* The text encoder, frozen, in BF16. */
static ath_err plan_text(ath_plan **out)
{
    const ath_plan_opts opts = {.backend = ATH_CPU};
    ath_net *n = NULL;

    ATH_TRY(ath_net_create(ATH_BF16, &n));
    ath_val ids = ath_net_input(n, "ids", (ath_desc){ATH_I32, 2, {1, 4}});
    ath_net_keep(n, "states", ath_text_encoder(n, &ath_model_tiny.text, ids, 1));
    ath_err err = ath_plan_create(n, &opts, out);
    ath_net_destroy(&n);
    return err;
}

static void test_load(void)
{
    ath_device *device = NULL;
    ath_plan *plan = NULL;
    ath_weights *weights = NULL;
    ath_base *base = NULL;
    ath_exec *exec = NULL;

    ath_test_begin("load");
    CHECK_OK(ath_base_open(at("f16.safetensors"), &base));
    CHECK_OK(plan_text(&plan));
    CHECK_OK(ath_device_create_host(&device));
    if (!base || !plan || !device) return;
    CHECK_OK(ath_weights_create(device, &weights));
    CHECK_OK(ath_base_load(base, plan, weights, NULL));
    CHECK_OK(ath_base_load(base, plan, weights, NULL)); /* what is there stays */
    const ath_exec_opts opts = {.weights = weights};
    const int32_t ids[4] = {998, 5, 7, 999};
    uint16_t states[4 * 32] = {0};
    double sum = 0;
    CHECK_OK(ath_exec_create(plan, device, &opts, &exec));
    CHECK(ath_weights_has(weights, "text_model.final_layer_norm.bias"));
    CHECK(!ath_weights_has(weights, "conv_in.bias"));
    CHECK_OK(ath_exec_write(exec, "ids", ids, sizeof ids));
    CHECK_OK(ath_exec_run(exec, ATH_PHASE_ALL));
    CHECK_OK(ath_exec_read(exec, "states", states, sizeof states));
    for (int i = 0; i < 128; i++) sum += ath_dtype_get(states, ATH_BF16, i);
    CHECK_NEAR(sum, 0, 0.5); /* behind a layer norm of weight 1 and bias 0 */
    CHECK(states[0] != 0 && states[0] != states[1]);
    ath_exec_destroy(&exec);
    ath_base_close(&base);
    ath_weights_destroy(&weights);
    ath_device_destroy(&device);
    ath_plan_destroy(&plan);
}

/* The tiny model's text encoder, its parameters trained: they arrive in the slab as F32. */
static ath_err plan_training(ath_plan **out)
{
    const ath_plan_opts opts = {.backend = ATH_CPU};
    ath_net *n = NULL;

    ATH_TRY(ath_net_create(ATH_F32, &n));
    ath_val ids = ath_net_input(n, "ids", (ath_desc){ATH_I32, 2, {1, 4}});
    ath_val target = ath_net_input(n, "target", (ath_desc){ATH_F32, 3, {1, 4, 32}});
    ath_net_train(n, true);
    ath_val states = ath_text_encoder(n, &ath_model_tiny.text, ids, 1);
    ath_val weight = ath_net_input(n, "weight", (ath_desc){ATH_F32, 1, {1}});
    ath_net_loss(n, ath_mse(n, states, target, weight));
    ath_err err = ath_plan_create(n, &opts, out);
    ath_net_destroy(&n);
    return err;
}

static void test_load_slab(void)
{
    const char *name = "text_model.encoder.layers.1.mlp.fc2.weight";
    float got[32 * 64], wanted[32 * 64];
    ath_device *device = NULL;
    ath_plan *plan = NULL;
    ath_slab *slab = NULL;
    ath_base *base = NULL;
    const ath_st_tensor *t = NULL;

    ath_test_begin("load trainables");
    CHECK_OK(ath_base_open(at("f16.safetensors"), &base));
    CHECK_OK(plan_training(&plan));
    CHECK_OK(ath_device_create_host(&device));
    if (!base || !plan || !device) return;
    CHECK_OK(ath_slab_create(device, plan, &slab));
    CHECK_OK(ath_base_load(base, plan, NULL, slab));
    CHECK_OK(ath_slab_read(slab, ATH_VALUE, name, got, sizeof got));
    CHECK_OK(ath_base_find(base, ATH_PART_TEXT, name, &t));
    for (int i = 0; t && i < 32 * 64; i++) {
        uint16_t half;
        memcpy(&half, (const char *)t->data + 2 * i, sizeof half);
        wanted[i] = ath_f32_from_f16(half);
    }
    CHECK_BITS(got, wanted, sizeof got);
    ath_base_close(&base);
    ath_slab_destroy(&slab);
    ath_device_destroy(&device);
    ath_plan_destroy(&plan);
}

/* ---- without memory ---- */

static ath_err find_in_base(void *context, ath_part part, const char *name, ath_st_tensor *out)
{
    const ath_st_tensor *t = NULL;

    ATH_TRY(ath_base_find(context, part, name, &t));
    *out = *t;
    return ATH_OK;
}

static void test_no_memory(void)
{
    const int64_t held = ath_mem_get_stats().n_held;
    ath_err err = ATH_EINVAL;
    int64_t n = 0;

    ath_test_begin("no memory");
    while (err != ATH_OK && n < 1 << 20) {
        ath_base *base = NULL;
        ath_mem_fail_from(n += 1 + n / 8);
        err = ath_base_open(at("tiny.safetensors"), &base);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && base == NULL));
        ath_base_close(&base);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(err == ATH_OK && n > 8);
}

/* As a trained model is written: the autoencoder stays in its own type, and notes are added. */
static void test_kept_vae(void)
{
    static const ath_st_meta meta = {"modelspec.title", "fox"};
    ath_base *base = NULL;
    ath_st *st = NULL;

    ath_test_begin("the autoencoder is kept");
    CHECK_OK(ath_base_open(at("tiny.safetensors"), &base));
    const ath_save_from from = {
        .find = find_in_base, .context = base, .keeps_vae = true, .meta = &meta, .n_meta = 1};
    CHECK_OK(ath_model_save(at("kept.safetensors"), ATH_LAYOUT_SINGLE, &ath_model_tiny, ATH_ST_F16,
                            &from));
    CHECK_OK(ath_st_open(at("kept.safetensors"), &st));
    for (int64_t i = 0; st && i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        const bool is_vae = strncmp(t->name, "first_stage_model.", 18) == 0;
        CHECK_EQ(t->dtype, is_vae ? ATH_ST_F32 : ATH_ST_F16);
    }
    if (st) CHECK_STR(ath_st_meta_find(st, "modelspec.title"), "fox");
    ath_st_close(&st);
    ath_base_close(&base);
}

static void test_save_without_memory(void)
{
    static const ath_layout layouts[] = {ATH_LAYOUT_SINGLE, ATH_LAYOUT_FOLDER};
    ath_base *base = NULL;

    ath_test_begin("save without memory");
    CHECK_OK(ath_base_open(at("tiny.safetensors"), &base));
    const int64_t held = ath_mem_get_stats().n_held;
    for (int i = 0; base && i < 2; i++) {
        const ath_save_from from = {.find = find_in_base, .context = base};
        ath_err err = ATH_EINVAL;
        int64_t n = 0;
        while (err != ATH_OK && n < 1 << 20) {
            ath_mem_fail_from(n += 1 + n / 4);
            err = ath_model_save(at("again.safetensors"), layouts[i], &ath_model_tiny, ATH_ST_F16,
                                 &from);
            ath_mem_fail_from(0);
            CHECK(err == ATH_OK || err == ATH_ENOMEM);
            CHECK_EQ(ath_mem_get_stats().n_held, held);
            if (i == 0) CHECK_EQ(access(at("again.safetensors"), F_OK) == 0, err == ATH_OK);
            if (i == 1)
                CHECK_EQ(access(at("again.safetensors/model_index.json"), F_OK) == 0,
                         err == ATH_OK);
        }
        CHECK(err == ATH_OK && n > 8);
        if (i == 0) CHECK_EQ(unlink(at("again.safetensors")), 0);
    }
    ath_base_close(&base);
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&home));
    write_tiny(at("tiny.safetensors"), ATH_LAYOUT_SINGLE, ATH_ST_F32);
    write_tiny(at("folder"), ATH_LAYOUT_FOLDER, ATH_ST_F32);
    test_values();
    test_modelspec();
    test_load();
    test_load_slab();
    test_refused_tensors();
    test_refused_kinds();
    test_refused_folders();
    test_other_names();
    test_spec_text();
    test_no_memory();
    test_kept_vae();
    test_save_without_memory();
    ath_data_folder_remove(&home);
    return ath_test_end();
}
