/*
 * The keys of single files: for every parameter that a part's network records, the LDM key and shape
 * are those of a list made with diffusers' own converter (tests/reference/make_names.py), one to one
 * and none left over; for SD 1.5 and for a model of three levels with transformers on the lower two.
 */
#include "core/io/file.h"
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/model/config.h"
#include "worker/model/names.h"
#include <stdlib.h>

enum { LINE_BYTES = 512, LIST_BYTES_MAX = 1 << 20 };

/* A line of the list: part, LDM key, its shape, diffusers key, its shape. */
static void print_line(const ath_model_spec *spec, ath_part part, const ath_param *p,
                       char out[LINE_BYTES])
{
    char key[ATH_KEY_BYTES] = "";
    int64_t dim[ATH_MAX_DIMS];
    const int32_t n_dim = ath_ldm_shape(part, p, dim);

    CHECK_OK(ath_ldm_name(spec, part, p->name, key));
    int n = snprintf(out, LINE_BYTES, "\n%s %s ", ath_part_name(part), key);
    for (int32_t i = 0; i < n_dim; i++)
        n += snprintf(out + n, (size_t)(LINE_BYTES - n), "%s%" PRId64, i ? "," : "", dim[i]);
    n += snprintf(out + n, (size_t)(LINE_BYTES - n), " %s ", p->name);
    for (int32_t i = 0; i < p->n_dim; i++)
        n += snprintf(out + n, (size_t)(LINE_BYTES - n), "%s%" PRId64, i ? "," : "", p->dim[i]);
    snprintf(out + n, (size_t)(LINE_BYTES - n), "\n");
}

static void check_list(const char *path, int n_wanted)
{
    char *list = NULL, line[LINE_BYTES];
    ath_model_spec spec = {0};
    int64_t n_lines = 0, n_found = 0, n_params = 0;
    size_t n = 0;

    ath_test_begin(path);
    CHECK_OK(ath_file_read(path, LIST_BYTES_MAX, &list, &n));
    if (!list) return;
    CHECK_OK(ath_spec_parse(path, list, strcspn(list, "\n"), &spec));
    for (const char *at = strchr(list, '\n'); at && at[1]; at = strchr(at + 1, '\n')) n_lines++;
    for (int i = 0; i < ATH_N_PARTS; i++) {
        ath_arena arena = {0};
        const ath_param *params = NULL;
        int32_t n_part = 0;
        CHECK_OK(ath_params_list(&spec, (ath_part)i, &arena, &params, &n_part));
        for (int32_t k = 0; k < n_part; k++) {
            print_line(&spec, (ath_part)i, &params[k], line);
            const bool found = strstr(list, line) != NULL;
            ath_test_note(found, __FILE__, __LINE__, "in the list: %s", line + 1);
            n_found += found;
        }
        n_params += n_part;
        ath_arena_release(&arena);
    }
    CHECK_EQ(n_params, n_lines);
    CHECK_EQ(n_found, n_lines); /* lines are unlike each other, so this is one to one */
    if (n_wanted) CHECK_EQ(n_lines, n_wanted);
    ath_mem_free(&list);
}

static void check_counts(void)
{
    static const int64_t wanted[ATH_N_PARTS] = {123060480, 859520964, 83653863};

    ath_test_begin("parameters of SD 1.5");
    for (int i = 0; i < ATH_N_PARTS; i++) {
        ath_arena arena = {0};
        const ath_param *params = NULL;
        int32_t n = 0;
        int64_t count = 0;
        CHECK_OK(ath_params_list(&ath_model_sd15, (ath_part)i, &arena, &params, &n));
        for (int32_t k = 0; k < n; k++) count += ath_param_count(&params[k]);
        CHECK_EQ(count, wanted[i]);
        ath_arena_release(&arena);
    }
}

static void check_single_names(void)
{
    char key[ATH_KEY_BYTES];

    ath_test_begin("one by one");
    CHECK_OK(
        ath_ldm_name(&ath_model_sd15, ATH_PART_UNET, "up_blocks.0.upsamplers.0.conv.bias", key));
    CHECK_STR(key, "model.diffusion_model.output_blocks.2.1.conv.bias");
    CHECK_OK(
        ath_ldm_name(&ath_model_sd15, ATH_PART_UNET, "up_blocks.2.upsamplers.0.conv.bias", key));
    CHECK_STR(key, "model.diffusion_model.output_blocks.8.2.conv.bias");
    CHECK(ath_other_name(ATH_PART_VAE, "decoder.mid_block.attentions.0.to_out.0.weight", key));
    CHECK_STR(key, "decoder.mid_block.attentions.0.proj_attn.weight");
    CHECK(!ath_other_name(ATH_PART_VAE, "decoder.mid_block.attentions.0.group_norm.bias", key));
    CHECK(!ath_other_name(ATH_PART_UNET, "conv_in.weight", key));
    CHECK(ath_other_name(ATH_PART_TEXT, "text_model.final_layer_norm.bias", key));
    CHECK_STR(key, "final_layer_norm.bias");
    CHECK_ERR(ath_ldm_name(&ath_model_sd15, ATH_PART_UNET, "conv_on.weight", key), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "\"conv_on.weight\" is no parameter of the unet");
    CHECK_ERR(ath_ldm_name(&ath_model_sd15, ATH_PART_VAE, "encoder.down_blocks.x.resnets.0.w", key),
              ATH_EINVAL);
    CHECK_ERR(
        ath_ldm_name(&ath_model_sd15, ATH_PART_UNET, "up_blocks.99.upsamplers.0.conv.bias", key),
        ATH_EINVAL);
}

int main(int argc, char **argv)
{
    char path[ATH_PATH_BYTES];

    CHECK(argc == 2);
    if (argc != 2) return ath_test_end();
    snprintf(path, sizeof path, "%s/names_sd15.txt", argv[1]);
    check_list(path, 1130);
    snprintf(path, sizeof path, "%s/names_odd.txt", argv[1]);
    check_list(path, 0);
    check_counts();
    check_single_names();
    return ath_test_end();
}
