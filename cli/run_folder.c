/* nftw is of the XSI part of POSIX. */
#define _XOPEN_SOURCE 700

#include "cli/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ath_err ath_run_folder_name(const Athanor__Job *job, char out[ATH_PATH_BYTES])
{
    const int n = snprintf(out, ATH_PATH_BYTES, "%s/%s", job->out[0] ? job->out : ".", job->name);

    ATH_NEED(n < ATH_PATH_BYTES, ATH_EJOB, "out: the path is too long: %.60s...", job->out);
    return ATH_OK;
}

bool ath_run_folder_is_run(const char *path)
{
    char job[ATH_PATH_BYTES];
    struct stat s;

    return snprintf(job, sizeof job, "%s/job.toml", path) < (int)sizeof job && stat(job, &s) == 0;
}

/* What a run has in its folder before its job is there, where it was killed in between. */
static bool is_early(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "log.txt") == 0 ||
           strncmp(name, ".job.toml.", 10) == 0;
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool is = dir != NULL;

    if (!dir) return false;
    for (struct dirent *e = readdir(dir); e && is; e = readdir(dir)) is = is_early(e->d_name);
    closedir(dir);
    return is;
}

ath_err ath_run_folder_check(const Athanor__Job *job)
{
    char path[ATH_PATH_BYTES];
    struct stat s;

    ATH_TRY(ath_run_folder_name(job, path));
    ATH_NEED(lstat(path, &s) != 0 || is_empty(path), ATH_EJOB,
             "%s: this is there already and is no run; give the new one another name (--set "
             "name=...) or "
             "move the folder away",
             path);
    return ATH_OK;
}

static ath_err make(const char *path)
{
    char says[128];

    /* a power cut must not take a run with its folder's name: that it is there is synced */
    if (mkdir(path, 0777) == 0) return ath_folder_make(path);
    if (strerror_r(errno, says, sizeof says)) snprintf(says, sizeof says, "errno %d", errno);
    return ath_raise(ATH_EIO,
                     "%s: the folder cannot be made: %s; choose another with --set out=...", path,
                     says);
}

/* Each folder above, then `path` itself. The first that was made is kept in `first`. */
static ath_err make_all(const char *path, char first[ATH_PATH_BYTES])
{
    char part[ATH_PATH_BYTES];
    struct stat s;
    const size_t n = strlen(path);

    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i]) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (stat(part, &s) == 0 && S_ISDIR(s.st_mode)) continue;
        ATH_TRY(make(part));
        if (!first[0]) memcpy(first, part, i + 1);
    }
    return ATH_OK;
}

ath_err ath_run_folder_make(const Athanor__Job *job, ath_run_folder *out)
{
    *out = (ath_run_folder){0};
    ATH_TRY(ath_run_folder_check(job));
    ATH_TRY(ath_run_folder_name(job, out->path));
    return make_all(out->path, out->first);
}

ath_err ath_run_folder_fill(const ath_run_folder *folder)
{
    static const char *const names[] = {"samples", "model"};
    char path[ATH_PATH_BYTES];
    struct stat s;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ATH_TRY(ath_path_print(path, "%s/%s", folder->path, names[i]));
        if (stat(path, &s) != 0) ATH_TRY(make(path));
    }
    return ATH_OK;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* Others may have put something into the folders above meanwhile: those stay. */
void ath_run_folder_withdraw(ath_run_folder *folder)
{
    const size_t least = strlen(folder->first);

    if (!least) return;
    nftw(folder->path, drop, 16, FTW_DEPTH | FTW_PHYS);
    for (char *slash = strrchr(folder->path, '/'); slash && (size_t)(slash - folder->path) >= least;
         slash = strrchr(folder->path, '/')) {
        *slash = 0;
        if (rmdir(folder->path) < 0) break;
    }
    *folder = (ath_run_folder){0};
}
