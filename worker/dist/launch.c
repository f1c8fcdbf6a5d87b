/* Starting the program again under mpirun. */
#include "worker/dist/launch.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "core/str.h"
#include "worker/dist/supervise.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { LINE_MAX_BYTES = 1 << 22, OWN_WORDS = 8 };

bool ath_dist_is_launched(void)
{
    /* Open MPI's mpirun; a launcher that speaks PMIx; one that speaks PMI 1 or 2 */
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (getenv(marks[i])) return true;
    return false;
}

/* The words of this process's command line, in `line`, which holds them. The caller frees both. */
static ath_err own_words(char **line, char ***words, size_t *n_words)
{
    size_t n = 0, count = 0;

    ATH_TRY(ath_file_read("/proc/self/cmdline", LINE_MAX_BYTES, line, &n));
    for (size_t i = 0; i < n; i++) count += (*line)[i] == 0;
    ATH_TRY(ATH_NEW(count + 1, "command line", words));
    char *at = *line;
    for (size_t i = 0; i < count; i++) {
        (*words)[i] = at;
        at += strlen(at) + 1;
    }
    *n_words = count;
    return ATH_OK;
}

/* What containers need: root may, more ranks than cores may, no single-copy calls that they forbid.
 * What the user has set stays. */
static ath_err prepare_environment(void)
{
    static const struct {
        const char *name, *value;
        bool for_root;
    } settings[] = {
        {"OMPI_ALLOW_RUN_AS_ROOT", "1", true},
        {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", true},
        {"OMPI_MCA_btl_vader_single_copy_mechanism", "none", false},
    };

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (settings[i].for_root && geteuid() != 0) continue;
        ATH_TRY(ath_sys(setenv(settings[i].name, settings[i].value, 0), settings[i].name));
    }
    return ATH_OK;
}

ath_err ath_dist_launch(int32_t n_ranks)
{
    static char mpirun[] = "mpirun", quiet[] = "-q", np[] = "-n", over[] = "--oversubscribe";
    static char bind[] = "--bind-to", none[] = "none";
    char program[ATH_PATH_BYTES], count[16];
    char *line = NULL, **words = NULL, **argv = NULL;
    size_t n_words = 0;
    ath_err err = ATH_OK;

    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    ATH_TRY_OUT(ath_sys(n, "/proc/self/exe"));
    program[n] = 0;
    snprintf(count, sizeof count, "%d", n_ranks);
    ATH_TRY_OUT(own_words(&line, &words, &n_words));
    ATH_TRY_OUT(prepare_environment());
    ATH_TRY_OUT(ATH_NEW(n_words + OWN_WORDS + 1, "command line", &argv));
    char *const own[OWN_WORDS] = {mpirun, quiet, np, count, over, bind, none, program};
    memcpy(argv, own, sizeof own);
    for (size_t i = 1; i < n_words; i++) argv[OWN_WORDS + i - 1] = words[i];
    ATH_TRY_OUT(ath_supervise(argv, n_ranks));
out:
    ath_mem_free(&argv);
    ath_mem_free(&words);
    ath_mem_free(&line);
    return err;
}
