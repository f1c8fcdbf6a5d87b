#include "worker/model/kind.h"

#include <string.h>

static const struct {
    const char *word, *text;
} kinds[ATH_N_KINDS] = {
#define ATH_KIND_ROW(name, word, text) {word, text},
    ATH_KIND_MAP(ATH_KIND_ROW)
#undef ATH_KIND_ROW
};

const char *ath_kind_word(ath_kind kind)
{
    return (unsigned)kind < ATH_N_KINDS ? kinds[kind].word : "unknown";
}

const char *ath_kind_text(ath_kind kind)
{
    return (unsigned)kind < ATH_N_KINDS ? kinds[kind].text : "unknown";
}

/* The first rule that some key fits decides: whole models before their parts, adapters before the
 * models whose keys they quote. */
static const struct {
    const char *part;
    bool is_prefix;
    ath_kind kind;
} rules[] = {
    {"conditioner.embedders.", true, ATH_KIND_SDXL},
    {"model.diffusion_model.joint_blocks.", true, ATH_KIND_SD3},
    {"model.diffusion_model.double_blocks.", true, ATH_KIND_FLUX},
    {"double_blocks.", true, ATH_KIND_FLUX},
    {"cond_stage_model.model.", true, ATH_KIND_SD2},
    {"control_model.", true, ATH_KIND_CONTROLNET},
    {"controlnet_cond_embedding.", true, ATH_KIND_CONTROLNET},
    {"model.diffusion_model.", true, ATH_KIND_SD1},
    {".hada_w1_a", false, ATH_KIND_LOHA},
    {".lokr_w1", false, ATH_KIND_LOKR},
    {".oft_blocks", false, ATH_KIND_OFT},
    {".oft_diag", false, ATH_KIND_OFT},
    {".on_input", false, ATH_KIND_IA3},
    {".lora_down.weight", false, ATH_KIND_LORA},
    {".lora_A.", false, ATH_KIND_LORA},
    {"lora.down.weight", false, ATH_KIND_LORA},
    {".lora_linear_layer.down.weight", false, ATH_KIND_LORA},
    {".diff", false, ATH_KIND_DIFF},
    {"lora_unet_", true, ATH_KIND_LORA},
    {"emb_params", true, ATH_KIND_EMBEDDING},
    {"string_to_param", true, ATH_KIND_EMBEDDING},
    {"first_stage_model.", true, ATH_KIND_VAE},
    {"encoder.down.0.", true, ATH_KIND_VAE},
    {"decoder.up.0.", true, ATH_KIND_VAE},
    {"encoder.down_blocks.0.", true, ATH_KIND_VAE_DIFFUSERS},
    {"down_blocks.0.", true, ATH_KIND_UNET_DIFFUSERS},
    {"text_model.encoder.layers.", true, ATH_KIND_TEXT_ENCODER},
    {"encoder.layers.0.self_attn.", true, ATH_KIND_TEXT_ENCODER},
};

static bool has_key(const ath_st *st, const char *part, bool is_prefix)
{
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const char *name = ath_st_get(st, i)->name;
        if (is_prefix ? strncmp(name, part, strlen(part)) == 0 : strstr(name, part) != NULL)
            return true;
    }
    return false;
}

/* Models that share the keys of SD 1.x are told by what goes into the U-Net. */
static ath_kind first_by_input(const ath_st *st)
{
    const ath_st_tensor *t = ath_st_find(st, "model.diffusion_model.input_blocks.0.0.weight");
    const int64_t channels = t && t->n_dim == 4 ? t->dim[1] : 0;

    if (channels == 9) return ATH_KIND_SD1_INPAINT;
    return channels == 8 ? ATH_KIND_SD1_PIX2PIX : ATH_KIND_SD1;
}

ath_kind ath_kind_of(const ath_st *st)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (!has_key(st, rules[i].part, rules[i].is_prefix)) continue;
        return rules[i].kind == ATH_KIND_SD1 ? first_by_input(st) : rules[i].kind;
    }
    return ATH_KIND_UNKNOWN;
}
