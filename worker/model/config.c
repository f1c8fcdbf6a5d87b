#include "worker/model/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what makes a model ---- */

#define NEED_MULTIPLE(from, what, value, of, divisor)                                          \
    ATH_NEED((value) % (divisor) == 0, ATH_EFORMAT,                                            \
             "%s: " what " is %" PRId32 ", wanted a multiple of " of " (%" PRId32 ")", (from), \
             (value), (divisor))

static ath_err check_unet(const char *from, const ath_unet_spec *u)
{
    for (int i = 0; i < u->n_levels; i++) {
        NEED_MULTIPLE(from, "a U-Net width", u->width[i], "groups", u->groups);
        NEED_MULTIPLE(from, "a U-Net width", u->width[i], "heads", u->heads);
    }
    ATH_NEED(u->width[0] % 2 == 0, ATH_EFORMAT,
             "%s: the first U-Net width is %" PRId32 ", wanted an even number", from, u->width[0]);
    return ATH_OK;
}

ath_err ath_spec_check(const char *from, const ath_model_spec *spec)
{
    const ath_unet_spec *u = &spec->unet;

    NEED_MULTIPLE(from, "the text encoder's width", spec->text.width, "heads", spec->text.heads);
    ATH_TRY(check_unet(from, u));
    for (int i = 0; i < spec->vae.n_levels; i++)
        NEED_MULTIPLE(from, "an autoencoder width", spec->vae.width[i], "groups", spec->vae.groups);
    ATH_NEED(u->context_width == spec->text.width, ATH_EFORMAT,
             "%s: the U-Net takes text states of width %" PRId32
             ", the text encoder gives %" PRId32,
             from, u->context_width, spec->text.width);
    ATH_NEED(u->in_channels == spec->vae.latents && u->out_channels == spec->vae.latents,
             ATH_EFORMAT,
             "%s: the U-Net has %" PRId32 " channels in and %" PRId32 " out, wanted %" PRId32
             " as the latents have%s",
             from, u->in_channels, u->out_channels, spec->vae.latents,
             u->in_channels == 9 ? " (this is an inpainting model)" : "");
    return ATH_OK;
}

/* ---- printing ---- */

/* The shortest text that reads back as the same float. */
static void print_float(ath_str *to, float x)
{
    char text[32];

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    ath_str_print(to, "%s", text);
}

static void print_ints(ath_str *to, const int32_t *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) ath_str_print(to, "%s%" PRId32, i ? "," : "[", x[i]);
    ath_str_print(to, "]");
}

void ath_spec_print(const ath_model_spec *spec, ath_str *to)
{
    const ath_text_spec *t = &spec->text;
    const ath_unet_spec *u = &spec->unet;
    const ath_vae_spec *v = &spec->vae;

    ath_str_print(to,
                  "{\"text\":{\"vocab\":%" PRId32 ",\"positions\":%" PRId32 ",\"width\":%" PRId32
                  ",\"inner\":%" PRId32 ",\"layers\":%" PRId32 ",\"heads\":%" PRId32 "},",
                  t->vocab, t->positions, t->width, t->inner, t->layers, t->heads);
    ath_str_print(to,
                  "\"unet\":{\"in_channels\":%" PRId32 ",\"out_channels\":%" PRId32 ",\"width\":",
                  u->in_channels, u->out_channels);
    print_ints(to, u->width, u->n_levels);
    ath_str_print(to, ",\"has_attention\":");
    for (int i = 0; i < u->n_levels; i++)
        ath_str_print(to, "%s%s", i ? "," : "[", u->has_attention[i] ? "true" : "false");
    ath_str_print(to,
                  "],\"blocks\":%" PRId32 ",\"heads\":%" PRId32 ",\"groups\":%" PRId32
                  ",\"context_width\":%" PRId32 "},\"vae\":{\"width\":",
                  u->blocks, u->heads, u->groups, u->context_width);
    print_ints(to, v->width, v->n_levels);
    ath_str_print(to,
                  ",\"blocks\":%" PRId32 ",\"groups\":%" PRId32 ",\"channels\":%" PRId32
                  ",\"latents\":%" PRId32 ",\"scale\":",
                  v->blocks, v->groups, v->channels, v->latents);
    print_float(to, v->scale);
    ath_str_print(to, "}}");
}

static void print_words(ath_str *to, int32_t n, const char *word)
{
    for (int32_t i = 0; i < n; i++) ath_str_print(to, "%s\"%s\"", i ? ", " : "[", word);
    ath_str_print(to, "]");
}

enum { SAMPLE = 64 }; /* sides of a latent that pipelines make unless told otherwise */

static void print_text(const ath_text_spec *t, ath_str *to)
{
    ath_str_print(to, "{\n  \"architectures\": [\"CLIPTextModel\"],\n"
                      "  \"attention_dropout\": 0.0,\n"
                      "  \"bos_token_id\": 0,\n"
                      "  \"dropout\": 0.0,\n"
                      "  \"eos_token_id\": 2,\n"
                      "  \"hidden_act\": \"quick_gelu\",\n");
    ath_str_print(to, "  \"hidden_size\": %" PRId32 ",\n", t->width);
    ath_str_print(to, "  \"initializer_factor\": 1.0,\n  \"initializer_range\": 0.02,\n");
    ath_str_print(to, "  \"intermediate_size\": %" PRId32 ",\n", t->inner);
    ath_str_print(to, "  \"layer_norm_eps\": 1e-05,\n");
    ath_str_print(to, "  \"max_position_embeddings\": %" PRId32 ",\n", t->positions);
    ath_str_print(to, "  \"model_type\": \"clip_text_model\",\n");
    ath_str_print(to, "  \"num_attention_heads\": %" PRId32 ",\n", t->heads);
    ath_str_print(to, "  \"num_hidden_layers\": %" PRId32 ",\n", t->layers);
    ath_str_print(to, "  \"pad_token_id\": 1,\n");
    ath_str_print(to, "  \"projection_dim\": %" PRId32 ",\n", t->width);
    ath_str_print(to, "  \"torch_dtype\": \"float32\",\n");
    ath_str_print(to, "  \"vocab_size\": %" PRId32 "\n}\n", t->vocab);
}

static void print_block_types(const ath_unet_spec *u, bool is_up, ath_str *to)
{
    for (int i = 0; i < u->n_levels; i++)
        ath_str_print(to, "%s\"%s%s\"", i ? ", " : "[",
                      u->has_attention[is_up ? u->n_levels - 1 - i : i] ? "CrossAttn" : "",
                      is_up ? "UpBlock2D" : "DownBlock2D");
    ath_str_print(to, "]");
}

static void print_unet(const ath_unet_spec *u, ath_str *to)
{
    ath_str_print(to, "{\n  \"_class_name\": \"UNet2DConditionModel\",\n"
                      "  \"_diffusers_version\": \"0.6.0\",\n"
                      "  \"act_fn\": \"silu\",\n");
    ath_str_print(to, "  \"attention_head_dim\": %" PRId32 ",\n", u->heads);
    ath_str_print(to, "  \"block_out_channels\": ");
    print_ints(to, u->width, u->n_levels);
    ath_str_print(to, ",\n  \"center_input_sample\": false,\n");
    ath_str_print(to, "  \"cross_attention_dim\": %" PRId32 ",\n", u->context_width);
    ath_str_print(to, "  \"down_block_types\": ");
    print_block_types(u, false, to);
    ath_str_print(to, ",\n  \"downsample_padding\": 1,\n"
                      "  \"flip_sin_to_cos\": true,\n"
                      "  \"freq_shift\": 0,\n");
    ath_str_print(to, "  \"in_channels\": %" PRId32 ",\n", u->in_channels);
    ath_str_print(to, "  \"layers_per_block\": %" PRId32 ",\n", u->blocks);
    ath_str_print(to, "  \"mid_block_scale_factor\": 1,\n  \"norm_eps\": 1e-05,\n");
    ath_str_print(to, "  \"norm_num_groups\": %" PRId32 ",\n", u->groups);
    ath_str_print(to, "  \"out_channels\": %" PRId32 ",\n", u->out_channels);
    ath_str_print(to, "  \"sample_size\": %d,\n  \"up_block_types\": ", SAMPLE);
    print_block_types(u, true, to);
    ath_str_print(to, "\n}\n");
}

static void print_vae(const ath_vae_spec *v, ath_str *to)
{
    ath_str_print(to, "{\n  \"_class_name\": \"AutoencoderKL\",\n"
                      "  \"_diffusers_version\": \"0.6.0\",\n"
                      "  \"act_fn\": \"silu\",\n"
                      "  \"block_out_channels\": ");
    print_ints(to, v->width, v->n_levels);
    ath_str_print(to, ",\n  \"down_block_types\": ");
    print_words(to, v->n_levels, "DownEncoderBlock2D");
    ath_str_print(to, ",\n  \"force_upcast\": true,\n");
    ath_str_print(to, "  \"in_channels\": %" PRId32 ",\n", v->channels);
    ath_str_print(to, "  \"latent_channels\": %" PRId32 ",\n", v->latents);
    ath_str_print(to, "  \"layers_per_block\": %" PRId32 ",\n", v->blocks);
    ath_str_print(to, "  \"norm_num_groups\": %" PRId32 ",\n", v->groups);
    ath_str_print(to, "  \"out_channels\": %" PRId32 ",\n", v->channels);
    ath_str_print(to,
                  "  \"sample_size\": %d,\n  \"scaling_factor\": ", SAMPLE << (v->n_levels - 1));
    print_float(to, v->scale);
    ath_str_print(to, ",\n  \"up_block_types\": ");
    print_words(to, v->n_levels, "UpDecoderBlock2D");
    ath_str_print(to, "\n}\n");
}

void ath_config_print(const ath_model_spec *spec, ath_part part, ath_str *to)
{
    if (part == ATH_PART_TEXT)
        print_text(&spec->text, to);
    else if (part == ATH_PART_UNET)
        print_unet(&spec->unet, to);
    else
        print_vae(&spec->vae, to);
}

void ath_config_print_scheduler(ath_str *to)
{
    ath_str_print(to, "{\n  \"_class_name\": \"PNDMScheduler\",\n"
                      "  \"_diffusers_version\": \"0.6.0\",\n"
                      "  \"beta_end\": 0.012,\n"
                      "  \"beta_schedule\": \"scaled_linear\",\n"
                      "  \"beta_start\": 0.00085,\n"
                      "  \"clip_sample\": false,\n"
                      "  \"num_train_timesteps\": 1000,\n"
                      "  \"set_alpha_to_one\": false,\n"
                      "  \"skip_prk_steps\": true,\n"
                      "  \"steps_offset\": 1,\n"
                      "  \"trained_betas\": null\n}\n");
}

void ath_config_print_special_tokens(ath_str *to)
{
    ath_str_print(to, "{\n  \"bos_token\": \"<|startoftext|>\",\n"
                      "  \"eos_token\": \"<|endoftext|>\",\n"
                      "  \"pad_token\": \"<|endoftext|>\",\n"
                      "  \"unk_token\": \"<|endoftext|>\"\n}\n");
}

void ath_config_print_tokenizer(const ath_model_spec *spec, ath_str *to)
{
    ath_str_print(to, "{\n  \"add_prefix_space\": false,\n"
                      "  \"bos_token\": \"<|startoftext|>\",\n"
                      "  \"do_lower_case\": true,\n"
                      "  \"eos_token\": \"<|endoftext|>\",\n"
                      "  \"errors\": \"replace\",\n");
    ath_str_print(to, "  \"model_max_length\": %" PRId32 ",\n", spec->text.positions);
    ath_str_print(to, "  \"pad_token\": \"<|endoftext|>\",\n"
                      "  \"tokenizer_class\": \"CLIPTokenizer\",\n"
                      "  \"unk_token\": \"<|endoftext|>\"\n}\n");
}

void ath_config_print_index(ath_str *to)
{
    ath_str_print(to, "{\n  \"_class_name\": \"StableDiffusionPipeline\",\n"
                      "  \"_diffusers_version\": \"0.6.0\",\n"
                      "  \"feature_extractor\": [null, null],\n"
                      "  \"requires_safety_checker\": false,\n"
                      "  \"safety_checker\": [null, null],\n"
                      "  \"scheduler\": [\"diffusers\", \"PNDMScheduler\"],\n"
                      "  \"text_encoder\": [\"transformers\", \"CLIPTextModel\"],\n"
                      "  \"tokenizer\": [\"transformers\", \"CLIPTokenizer\"],\n"
                      "  \"unet\": [\"diffusers\", \"UNet2DConditionModel\"],\n"
                      "  \"vae\": [\"diffusers\", \"AutoencoderKL\"]\n}\n");
}
