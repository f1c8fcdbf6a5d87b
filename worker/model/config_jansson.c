#include "worker/model/config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

/* A whole number of a spec: its key in ours, in diffusers' config, and its place. */
typedef struct field {
    const char *ours, *theirs;
    size_t at;
    int32_t most;
} field;

static const field text_fields[] = {
    {"vocab", "vocab_size", offsetof(ath_text_spec, vocab), 1 << 20},
    {"positions", "max_position_embeddings", offsetof(ath_text_spec, positions), 1 << 16},
    {"width", "hidden_size", offsetof(ath_text_spec, width), 1 << 16},
    {"inner", "intermediate_size", offsetof(ath_text_spec, inner), 1 << 18},
    {"layers", "num_hidden_layers", offsetof(ath_text_spec, layers), 256},
    {"heads", "num_attention_heads", offsetof(ath_text_spec, heads), 1 << 10},
    {0},
};
static const field unet_fields[] = {
    {"in_channels", "in_channels", offsetof(ath_unet_spec, in_channels), 1 << 10},
    {"out_channels", "out_channels", offsetof(ath_unet_spec, out_channels), 1 << 10},
    {"blocks", "layers_per_block", offsetof(ath_unet_spec, blocks), 16},
    {"heads", "attention_head_dim", offsetof(ath_unet_spec, heads), 1 << 10},
    {"groups", "norm_num_groups", offsetof(ath_unet_spec, groups), 1 << 16},
    {"context_width", "cross_attention_dim", offsetof(ath_unet_spec, context_width), 1 << 16},
    {0},
};
static const field vae_fields[] = {
    {"blocks", "layers_per_block", offsetof(ath_vae_spec, blocks), 16},
    {"groups", "norm_num_groups", offsetof(ath_vae_spec, groups), 1 << 16},
    {"channels", "in_channels", offsetof(ath_vae_spec, channels), 1 << 10},
    {"latents", "latent_channels", offsetof(ath_vae_spec, latents), 1 << 10},
    {0},
};

enum { WIDTH_MOST = 1 << 16 };

static ath_err read_int(const char *from, const char *key, const json_t *value, int32_t most,
                        int32_t *out)
{
    ATH_NEED(value, ATH_EMISSING, "%s: \"%s\" is missing", from, key);
    ATH_NEED(json_is_integer(value), ATH_EFORMAT, "%s: \"%s\" is not a whole number", from, key);
    const json_int_t i = json_integer_value(value);
    ATH_NEED(i >= 1 && i <= most, ATH_EFORMAT,
             "%s: \"%s\" is %" JSON_INTEGER_FORMAT ", wanted 1 to %" PRId32, from, key, i, most);
    *out = (int32_t)i;
    return ATH_OK;
}

static ath_err read_fields(const char *from, const json_t *object, const field *rows,
                           bool is_theirs, void *spec)
{
    for (; rows->ours; rows++) {
        const char *key = is_theirs ? rows->theirs : rows->ours;
        int32_t value = 0;
        ATH_TRY(read_int(from, key, json_object_get(object, key), rows->most, &value));
        memcpy((char *)spec + rows->at, &value, sizeof value);
    }
    return ATH_OK;
}

static ath_err need_array(const char *from, const json_t *object, const char *key, size_t most,
                          const json_t **out)
{
    const json_t *array = json_object_get(object, key);

    ATH_NEED(array, ATH_EMISSING, "%s: \"%s\" is missing", from, key);
    ATH_NEED(json_is_array(array), ATH_EFORMAT, "%s: \"%s\" is not an array", from, key);
    const size_t n = json_array_size(array);
    ATH_NEED(n >= 1 && n <= most, ATH_EFORMAT, "%s: \"%s\" has %zu entries, wanted 1 to %zu", from,
             key, n, most);
    *out = array;
    return ATH_OK;
}

static ath_err read_widths(const char *from, const json_t *object, const char *key,
                           int32_t *n_levels, int32_t *width)
{
    const json_t *array = NULL;

    ATH_TRY(need_array(from, object, key, ATH_UNET_LEVELS_MAX, &array));
    *n_levels = (int32_t)json_array_size(array);
    for (int32_t i = 0; i < *n_levels; i++)
        ATH_TRY(read_int(from, key, json_array_get(array, (size_t)i), WIDTH_MOST, &width[i]));
    return ATH_OK;
}
_Static_assert((int)ATH_UNET_LEVELS_MAX == (int)ATH_VAE_LEVELS_MAX, "one reader of widths");

static ath_err read_scale(const char *from, const json_t *object, const char *key, float *out)
{
    const json_t *value = json_object_get(object, key);

    ATH_NEED(value, ATH_EMISSING, "%s: \"%s\" is missing", from, key);
    const double x = json_number_value(value);
    ATH_NEED(x > 1e-6 && x < 1e6, ATH_EFORMAT, "%s: \"%s\" is %g, wanted a number above 0", from,
             key, x);
    *out = (float)x;
    return ATH_OK;
}

/* `has` marks the levels with a transformer: an array of true and false. */
static ath_err read_attention(const char *from, const json_t *object, ath_unet_spec *u)
{
    const json_t *array = NULL;

    ATH_TRY(need_array(from, object, "has_attention", ATH_UNET_LEVELS_MAX, &array));
    ATH_NEED(json_array_size(array) == (size_t)u->n_levels, ATH_EFORMAT,
             "%s: \"has_attention\" has %zu entries, wanted %" PRId32 " as \"width\" has", from,
             json_array_size(array), u->n_levels);
    for (int32_t i = 0; i < u->n_levels; i++) {
        const json_t *value = json_array_get(array, (size_t)i);
        ATH_NEED(json_is_boolean(value), ATH_EFORMAT,
                 "%s: \"has_attention\"[%" PRId32 "] is neither true nor false", from, i);
        u->has_attention[i] = json_is_true(value);
    }
    return ATH_OK;
}

static ath_err load(const char *from, const char *text, size_t n, json_t **out)
{
    json_error_t e;
    json_t *object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);

    ATH_NEED(object, ATH_EFORMAT, "%s: line %d: %s", from, e.line, e.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return ath_raise(ATH_EFORMAT, "%s: is not a JSON object", from);
    }
    *out = object;
    return ATH_OK;
}

static ath_err read_spec(const char *from, const json_t *o, ath_model_spec *s)
{
    static const char *const parts[ATH_N_PARTS] = {"text", "unet", "vae"};
    const json_t *part[ATH_N_PARTS];

    for (int i = 0; i < ATH_N_PARTS; i++) {
        part[i] = json_object_get(o, parts[i]);
        ATH_NEED(json_is_object(part[i]), ATH_EFORMAT, "%s: \"%s\" is missing or not an object",
                 from, parts[i]);
    }
    ATH_TRY(read_fields(from, part[ATH_PART_TEXT], text_fields, false, &s->text));
    ATH_TRY(read_fields(from, part[ATH_PART_UNET], unet_fields, false, &s->unet));
    ATH_TRY(read_widths(from, part[ATH_PART_UNET], "width", &s->unet.n_levels, s->unet.width));
    ATH_TRY(read_attention(from, part[ATH_PART_UNET], &s->unet));
    ATH_TRY(read_fields(from, part[ATH_PART_VAE], vae_fields, false, &s->vae));
    ATH_TRY(read_widths(from, part[ATH_PART_VAE], "width", &s->vae.n_levels, s->vae.width));
    ATH_TRY(read_scale(from, part[ATH_PART_VAE], "scale", &s->vae.scale));
    return ath_spec_check(from, s);
}

ath_err ath_spec_parse(const char *from, const char *text, size_t n, ath_model_spec *out)
{
    ath_model_spec spec = {0};
    json_t *object = NULL;

    ATH_TRY(load(from, text, n, &object));
    ath_err err = read_spec(from, object, &spec);
    json_decref(object);
    if (!err) *out = spec;
    return err;
}

/* ---- config.json ---- */

/* What a config may only say in one way, where it says it. */
typedef struct fixed {
    const char *key, *wanted; /* as JSON */
} fixed;

static const fixed text_fixed[] = {
    {"hidden_act", "\"quick_gelu\""},
    {"layer_norm_eps", "1e-05"},
    {0},
};
static const fixed unet_fixed[] = {
    {"act_fn", "\"silu\""},
    {"addition_embed_type", "null"},
    {"attention_type", "\"default\""},
    {"center_input_sample", "false"},
    {"class_embed_type", "null"},
    {"conv_in_kernel", "3"},
    {"conv_out_kernel", "3"},
    {"downsample_padding", "1"},
    {"dual_cross_attention", "false"},
    {"encoder_hid_dim", "null"},
    {"flip_sin_to_cos", "true"},
    {"freq_shift", "0"},
    {"mid_block_scale_factor", "1"},
    {"mid_block_type", "\"UNetMidBlock2DCrossAttn\""},
    {"norm_eps", "1e-05"},
    {"num_class_embeds", "null"},
    {"only_cross_attention", "false"},
    {"resnet_time_scale_shift", "\"default\""},
    {"time_cond_proj_dim", "null"},
    {"time_embedding_type", "\"positional\""},
    {"transformer_layers_per_block", "1"},
    {"use_linear_projection", "false"},
    {0},
};
static const fixed vae_fixed[] = {
    {"act_fn", "\"silu\""},     {"latents_mean", "null"},
    {"latents_std", "null"},    {"mid_block_add_attention", "true"},
    {"shift_factor", "null"},   {"use_post_quant_conv", "true"},
    {"use_quant_conv", "true"}, {0},
};

static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        const double difference = json_number_value(a) - json_number_value(b);
        return difference < 1e-12 && difference > -1e-12;
    }
    return json_equal(a, b);
}

static ath_err check_fixed(const char *from, const json_t *object, const fixed *rows)
{
    for (; rows->key; rows++) {
        const json_t *value = json_object_get(object, rows->key);
        if (!value) continue;
        json_t *wanted = json_loads(rows->wanted, JSON_DECODE_ANY, NULL);
        ATH_NEED(wanted, ATH_ENOMEM, "%s: no memory to look at \"%s\"", from, rows->key);
        const bool ok = is_same(value, wanted);
        json_decref(wanted);
        if (ok) continue;
        char found[64] = "";
        const size_t n = json_dumpb(value, found, sizeof found - 1, JSON_ENCODE_ANY | JSON_COMPACT);
        return ath_raise(
            ATH_EFORMAT, "%s: \"%s\" is %s, wanted %s: this is no network of Stable Diffusion 1.x",
            from, rows->key, n < sizeof found ? found : "something else", rows->wanted);
    }
    return ATH_OK;
}

/* Block types say which levels have a transformer; the way up mirrors the way down. */
static ath_err read_block_types(const char *from, const json_t *object, ath_unet_spec *u)
{
    static const char *const keys[] = {"down_block_types", "up_block_types"};
    static const char *const words[][2] = {{"DownBlock2D", "CrossAttnDownBlock2D"},
                                           {"UpBlock2D", "CrossAttnUpBlock2D"}};

    for (int k = 0; k < 2; k++) {
        const json_t *array = NULL;
        ATH_TRY(need_array(from, object, keys[k], ATH_UNET_LEVELS_MAX, &array));
        ATH_NEED(json_array_size(array) == (size_t)u->n_levels, ATH_EFORMAT,
                 "%s: \"%s\" has %zu entries, wanted %" PRId32 " as \"block_out_channels\" has",
                 from, keys[k], json_array_size(array), u->n_levels);
        for (int32_t i = 0; i < u->n_levels; i++) {
            const char *word = json_string_value(json_array_get(array, (size_t)i));
            const int32_t level = k ? u->n_levels - 1 - i : i;
            const bool has = word && strcmp(word, words[k][1]) == 0;
            ATH_NEED(has || (word && strcmp(word, words[k][0]) == 0), ATH_EFORMAT,
                     "%s: \"%s\"[%" PRId32 "] is \"%.60s\", wanted \"%s\" or \"%s\"", from, keys[k],
                     i, word ? word : "", words[k][0], words[k][1]);
            ATH_NEED(k == 0 || has == u->has_attention[level], ATH_EFORMAT,
                     "%s: \"%s\" does not mirror \"%s\" at entry %" PRId32, from, keys[1], keys[0],
                     i);
            u->has_attention[level] = has;
        }
    }
    return ATH_OK;
}

static ath_err read_vae(const char *from, const json_t *object, ath_vae_spec *v)
{
    int32_t out = 0;

    ATH_TRY(check_fixed(from, object, vae_fixed));
    ATH_TRY(read_fields(from, object, vae_fields, true, v));
    ATH_TRY(read_widths(from, object, "block_out_channels", &v->n_levels, v->width));
    ATH_TRY(read_int(from, "out_channels", json_object_get(object, "out_channels"), 1 << 10, &out));
    ATH_NEED(out == v->channels, ATH_EFORMAT,
             "%s: \"out_channels\" is %" PRId32 ", wanted %" PRId32 " as \"in_channels\"", from,
             out, v->channels);
    v->scale = ath_vae_sd15.scale; /* what older configs leave out */
    if (!json_object_get(object, "scaling_factor")) return ATH_OK;
    return read_scale(from, object, "scaling_factor", &v->scale);
}

static ath_err read_config(const char *from, ath_part part, const json_t *object,
                           ath_model_spec *out)
{
    if (part == ATH_PART_VAE) return read_vae(from, object, &out->vae);
    if (part == ATH_PART_TEXT) {
        ATH_TRY(check_fixed(from, object, text_fixed));
        return read_fields(from, object, text_fields, true, &out->text);
    }
    ATH_TRY(check_fixed(from, object, unet_fixed));
    ATH_TRY(read_fields(from, object, unet_fields, true, &out->unet));
    ATH_TRY(read_widths(from, object, "block_out_channels", &out->unet.n_levels, out->unet.width));
    return read_block_types(from, object, &out->unet);
}

ath_err ath_config_parse(const char *from, ath_part part, const char *text, size_t n,
                         ath_model_spec *out)
{
    json_t *object = NULL;

    ATH_TRY(load(from, text, n, &object));
    ath_err err = read_config(from, part, object, out);
    json_decref(object);
    return err;
}
