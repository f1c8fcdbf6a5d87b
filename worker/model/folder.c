#include "worker/model/folder.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ath_folder_is(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* `within` is a part's folder, or "". */
static ath_err join(const char *path, const char *within, const char *stem, const char *ending,
                    char out[ATH_PATH_BYTES])
{
    return ath_path_print(out, "%s%s%s/%s%s", path, within[0] ? "/" : "", within, stem, ending);
}

ath_err ath_folder_config(const char *path, ath_part part, char out[ATH_PATH_BYTES])
{
    return join(path, ath_part_name(part), "config", ".json", out);
}

static ath_err find_weights(const char *path, const char *within, ath_part part,
                            char out[ATH_PATH_BYTES])
{
    static const char *const endings[] = {
        ".safetensors", ".fp16.safetensors", ".safetensors" ATH_SHARDS_ENDING,
        ".bin",         ".fp16.bin",         ".bin" ATH_SHARDS_ENDING};

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const char *stem = part == ATH_PART_TEXT ? "model" : "diffusion_pytorch_model";
        if (part == ATH_PART_TEXT && strstr(endings[i], ".bin")) stem = "pytorch_model";
        ATH_TRY(join(path, within, stem, endings[i], out));
        if (access(out, F_OK) == 0) return ATH_OK;
    }
    return ath_raise(ATH_EMISSING, "%s%s%s: no weights here, wanted %smodel.safetensors or .bin",
                     path, within[0] ? "/" : "", within,
                     part == ATH_PART_TEXT ? "" : "diffusion_pytorch_");
}

ath_err ath_folder_weights(const char *path, ath_part part, char out[ATH_PATH_BYTES])
{
    return find_weights(path, ath_part_name(part), part, out);
}

ath_err ath_folder_vae(const char *path, char config[ATH_PATH_BYTES], char weights[ATH_PATH_BYTES])
{
    const char *within = ath_part_name(ATH_PART_VAE);

    ATH_TRY(join(path, within, "", "", config));
    if (!ath_folder_is(config)) within = "";
    ATH_TRY(join(path, within, "config", ".json", config));
    return find_weights(path, within, ATH_PART_VAE, weights);
}

ath_err ath_folder_weights_new(const char *path, ath_part part, char out[ATH_PATH_BYTES])
{
    return join(path, ath_part_name(part),
                part == ATH_PART_TEXT ? "model" : "diffusion_pytorch_model", ".safetensors", out);
}
