#include "worker/model/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name that fits a pattern: the numbers in it, and what is left behind it. */
typedef struct match {
    int at[2];
    const char *rest;
} match;

/* Whether `name` begins with `pattern`, in which # stands for a number. */
static bool fits(const char *name, const char *pattern, match *m)
{
    int n = 0;

    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern) return false;
            continue;
        }
        char *end = NULL;
        if (*name < '0' || *name > '9') return false;
        m->at[n++] = (int)strtoll(name, &end, 10);
        name = end;
    }
    m->rest = name;
    return true;
}

typedef struct rename_row {
    const char *from, *to;
} rename_row;

/* The member of a block in the file's words; what is not listed keeps its name. Moves `rest` on. */
static const char *member(const rename_row *rows, const char **rest)
{
    match m;

    for (; rows->from; rows++) {
        if (!fits(*rest, rows->from, &m)) continue;
        *rest = m.rest;
        return rows->to;
    }
    return "";
}

ATH_PRINTF(2, 3) static bool put(char out[ATH_KEY_BYTES], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const int n = vsnprintf(out, ATH_KEY_BYTES, fmt, args);
    va_end(args);
    return n > 0 && n < ATH_KEY_BYTES;
}

static const rename_row unet_resnet[] = {
    {"norm1.", "in_layers.0."},
    {"conv1.", "in_layers.2."},
    {"time_emb_proj.", "emb_layers.1."},
    {"norm2.", "out_layers.0."},
    {"conv2.", "out_layers.3."},
    {"conv_shortcut.", "skip_connection."},
    {0},
};

static bool unet_block(const ath_unet_spec *u, const char *name, char out[ATH_KEY_BYTES])
{
    const int per_level = u->blocks + 1;
    const char *to;
    match m;

    if (fits(name, "down_blocks.#.resnets.#.", &m)) {
        to = member(unet_resnet, &m.rest);
        return put(out, "input_blocks.%d.0.%s%s", per_level * m.at[0] + m.at[1] + 1, to, m.rest);
    }
    if (fits(name, "down_blocks.#.attentions.#.", &m))
        return put(out, "input_blocks.%d.1.%s", per_level * m.at[0] + m.at[1] + 1, m.rest);
    if (fits(name, "down_blocks.#.downsamplers.0.conv.", &m))
        return put(out, "input_blocks.%d.0.op.%s", per_level * (m.at[0] + 1), m.rest);
    if (fits(name, "up_blocks.#.resnets.#.", &m)) {
        to = member(unet_resnet, &m.rest);
        return put(out, "output_blocks.%d.0.%s%s", per_level * m.at[0] + m.at[1], to, m.rest);
    }
    if (fits(name, "up_blocks.#.attentions.#.", &m))
        return put(out, "output_blocks.%d.1.%s", per_level * m.at[0] + m.at[1], m.rest);
    if (!fits(name, "up_blocks.#.upsamplers.0.conv.", &m) || m.at[0] >= u->n_levels) return false;
    /* It stands behind the transformer, or in its place where there is none. */
    return put(out, "output_blocks.%d.%d.conv.%s", per_level * m.at[0] + u->blocks,
               u->has_attention[u->n_levels - 1 - m.at[0]] ? 2 : 1, m.rest);
}

static bool unet_name(const ath_unet_spec *u, const char *name, char out[ATH_KEY_BYTES])
{
    match m;

    if (fits(name, "conv_in.", &m)) return put(out, "input_blocks.0.0.%s", m.rest);
    if (fits(name, "time_embedding.linear_#.", &m))
        return put(out, "time_embed.%d.%s", 2 * m.at[0] - 2, m.rest);
    if (fits(name, "mid_block.resnets.#.", &m)) {
        const char *to = member(unet_resnet, &m.rest);
        return put(out, "middle_block.%d.%s%s", 2 * m.at[0], to, m.rest);
    }
    if (fits(name, "mid_block.attentions.0.", &m)) return put(out, "middle_block.1.%s", m.rest);
    if (fits(name, "conv_norm_out.", &m)) return put(out, "out.0.%s", m.rest);
    if (fits(name, "conv_out.", &m)) return put(out, "out.2.%s", m.rest);
    return unet_block(u, name, out);
}

static const rename_row vae_resnet[] = {{"conv_shortcut.", "nin_shortcut."}, {0}};
static const rename_row vae_attention[] = {
    {"group_norm.", "norm."},
    {"to_q.", "q."},
    {"to_k.", "k."},
    {"to_v.", "v."},
    {"to_out.0.", "proj_out."},
    {0},
};

/* Below "encoder." or "decoder.". The decoder's levels are numbered from the finest. */
static bool vae_half(const ath_vae_spec *v, const char *half, const char *name,
                     char out[ATH_KEY_BYTES])
{
    const int top = v->n_levels - 1;
    const char *to;
    match m;

    if (fits(name, "conv_norm_out.", &m)) return put(out, "%s.norm_out.%s", half, m.rest);
    if (fits(name, "conv_in.", &m) || fits(name, "conv_out.", &m))
        return put(out, "%s.%s", half, name);
    if (fits(name, "mid_block.resnets.#.", &m)) {
        to = member(vae_resnet, &m.rest);
        return put(out, "%s.mid.block_%d.%s%s", half, m.at[0] + 1, to, m.rest);
    }
    if (fits(name, "mid_block.attentions.0.", &m)) {
        to = member(vae_attention, &m.rest);
        return put(out, "%s.mid.attn_1.%s%s", half, to, m.rest);
    }
    if (fits(name, "down_blocks.#.downsamplers.0.conv.", &m))
        return put(out, "%s.down.%d.downsample.conv.%s", half, m.at[0], m.rest);
    if (fits(name, "up_blocks.#.upsamplers.0.conv.", &m))
        return put(out, "%s.up.%d.upsample.conv.%s", half, top - m.at[0], m.rest);
    const bool is_down = fits(name, "down_blocks.#.resnets.#.", &m);
    if (!is_down && !fits(name, "up_blocks.#.resnets.#.", &m)) return false;
    to = member(vae_resnet, &m.rest);
    return put(out, "%s.%s.%d.block.%d.%s%s", half, is_down ? "down" : "up",
               is_down ? m.at[0] : top - m.at[0], m.at[1], to, m.rest);
}

static bool vae_name(const ath_vae_spec *v, const char *name, char out[ATH_KEY_BYTES])
{
    match m;

    if (fits(name, "encoder.", &m)) return vae_half(v, "encoder", m.rest, out);
    if (fits(name, "decoder.", &m)) return vae_half(v, "decoder", m.rest, out);
    return (fits(name, "quant_conv.", &m) || fits(name, "post_quant_conv.", &m)) &&
           put(out, "%s", name);
}

const char *ath_ldm_prefix(ath_part part)
{
    static const char *const prefixes[ATH_N_PARTS] = {
        [ATH_PART_TEXT] = "cond_stage_model.transformer.",
        [ATH_PART_UNET] = "model.diffusion_model.",
        [ATH_PART_VAE] = "first_stage_model.",
    };

    ATH_ASSERT((unsigned)part < ATH_N_PARTS);
    return prefixes[part];
}

ath_err ath_ldm_name(const ath_model_spec *spec, ath_part part, const char *name,
                     char out[ATH_KEY_BYTES])
{
    char below[ATH_KEY_BYTES] = "";
    bool ok = false;

    if (part == ATH_PART_TEXT)
        ok = put(below, "%s", name);
    else if (part == ATH_PART_UNET)
        ok = unet_name(&spec->unet, name, below);
    else
        ok = vae_name(&spec->vae, name, below);
    ATH_NEED(ok && put(out, "%s%s", ath_ldm_prefix(part), below), ATH_EINVAL,
             "\"%.120s\" is no parameter of the %s", name, ath_part_name(part));
    return ATH_OK;
}

int32_t ath_ldm_shape(ath_part part, const ath_param *p, int64_t dim[ATH_MAX_DIMS])
{
    const bool is_conv =
        part == ATH_PART_VAE && p->n_dim == 2 && strstr(p->name, ".attentions.") != NULL;

    for (int i = 0; i < p->n_dim; i++) dim[i] = p->dim[i];
    if (is_conv) dim[2] = dim[3] = 1;
    return is_conv ? 4 : p->n_dim;
}

bool ath_other_name(ath_part part, const char *name, char out[ATH_KEY_BYTES])
{
    static const rename_row older[] = {
        {"to_q.", "query."},
        {"to_k.", "key."},
        {"to_v.", "value."},
        {"to_out.0.", "proj_attn."},
        {0},
    };
    match m;

    if (part == ATH_PART_TEXT) return fits(name, "text_model.", &m) && put(out, "%s", m.rest);
    if (part != ATH_PART_VAE || (!fits(name, "encoder.mid_block.attentions.0.", &m) &&
                                 !fits(name, "decoder.mid_block.attentions.0.", &m)))
        return false;
    const int n = (int)(m.rest - name);
    const char *to = member(older, &m.rest);
    return to[0] && put(out, "%.*s%s%s", n, name, to, m.rest);
}
