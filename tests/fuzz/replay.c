/* Gives a fuzz target every file of a folder, and no bytes at all.   fuzz_x FOLDER */
#include "core/io/file.h"
#include "core/mem.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a block of its own size, so that a read past the end is found. */
static void replay(const char *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);

    ATH_ASSERT(copy);
    if (n) memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int replay_file(const char *folder, const char *name)
{
    char path[ATH_PATH_BYTES], *bytes = NULL;
    size_t n = 0;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    printf("%s\n", path);
    fflush(stdout); /* the last line names the one that crashes */
    if (ath_file_read(path, 1 << 26, &bytes, &n)) {
        printf("FAILED %s\n", ath_err_text());
        return 1;
    }
    replay(bytes, n);
    ath_mem_free(&bytes);
    return 0;
}

int main(int n_args, char **args)
{
    DIR *dir = n_args == 2 ? opendir(args[1]) : NULL;
    int n_files = 0, n_failed = 0;

    if (!dir) {
        printf("usage: %s FOLDER of inputs\n", args[0]);
        return 2;
    }
    replay(NULL, 0);
    for (const struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        n_files++;
        n_failed += replay_file(args[1], e->d_name);
    }
    closedir(dir);
    printf("%d passed, %d failed\n", n_files - n_failed, n_failed);
    return n_failed || !n_files;
}
