#include "core/mem.h"
#include "worker/model/folder.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { LIST_BYTES_MAX = 1 << 24, SHARDS_MAX = 256 };

/* A file beside the list, which names no folder: a list leads nowhere else. */
static ath_err add_shard(const char *list, const json_t *value, ath_arena *arena,
                         const char **files, int32_t *n)
{
    const char *name = json_string_value(value), *slash = strrchr(list, '/');
    const int folder = slash ? (int)(slash - list) + 1 : 0;

    ATH_NEED(name, ATH_EFORMAT, "%s: a value of \"weight_map\" is not a string", list);
    ATH_NEED(*name && !strchr(name, '/'), ATH_EFORMAT,
             "%s: \"weight_map\" names \"%.200s\", wanted a file beside the list", list, name);
    for (int32_t i = 0; i < *n; i++)
        if (strcmp(files[i] + folder, name) == 0) return ATH_OK;
    ATH_NEED(*n < SHARDS_MAX, ATH_ELIMIT, "%s: more than %d shards", list, SHARDS_MAX);
    ATH_TRY(ath_arena_print(arena, &files[*n], "%.*s%s", folder, list, name));
    ++*n;
    return ATH_OK;
}

static ath_err read_map(const char *list, const json_t *root, ath_arena *arena, const char ***files,
                        int32_t *n)
{
    json_t *map = json_object_get(root, "weight_map"), *value = NULL;
    const char *key = NULL;

    ATH_NEED(json_is_object(map) && json_object_size(map), ATH_EFORMAT,
             "%s: \"weight_map\" is missing or empty", list);
    ATH_TRY(ATH_ARENA_NEW(arena, SHARDS_MAX, files));
    json_object_foreach(map, key, value) ATH_TRY(add_shard(list, value, arena, *files, n));
    return ATH_OK;
}

ath_err ath_folder_shards(const char *list, ath_arena *arena, const char ***files, int32_t *n)
{
    json_error_t error;
    json_t *root = NULL;
    char *text = NULL;
    size_t bytes = 0;
    ath_err err = ATH_OK;

    *n = 0;
    ATH_TRY_OUT(ath_file_read(list, LIST_BYTES_MAX, &text, &bytes));
    root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        err = ath_raise(json_error_code(&error) == json_error_out_of_memory ? ATH_ENOMEM
                                                                            : ATH_EFORMAT,
                        "%s: line %d: %s", list, error.line, error.text);
    else
        err = read_map(list, root, arena, files, n);
out:
    json_decref(root);
    ath_mem_free(&text);
    return err;
}
