#include "worker/dist/verdict.h"

#include "core/io/file.h"
#include "core/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* "FOLDER/name"; a name that is too long is cut and then not found. */
static const char *path_of(const char *folder, const char *name, char out[ATH_PATH_BYTES])
{
    if (snprintf(out, ATH_PATH_BYTES, "%s/%s", folder, name) >= ATH_PATH_BYTES) out[0] = 0;
    return out;
}

/* One call: a line beside those that others append stays whole. */
static void put(int fd, const char *line, int n)
{
    if (fd < 0) return;
    if (write(fd, line, (size_t)n) < 0) errno = 0; /* nobody is left who could mend it */
    close(fd);
}

bool ath_verdict_claim(const char *folder, const char *sentence)
{
    char path[ATH_PATH_BYTES], line[1024], now[ATH_TIME_TEXT];

    mkdir(path_of(folder, "flight", path), 0777);
    const int claim = open(path_of(folder, "flight/verdict.txt", path),
                           O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (claim < 0 && errno == EEXIST) return false;
    put(claim, line, snprintf(line, sizeof line, "%.900s\n", sentence));
    /* the log's own lines are another process's: this one is as they are (core/log.h) */
    put(open(path_of(folder, "log.txt", path), O_WRONLY | O_APPEND | O_CLOEXEC), line,
        snprintf(line, sizeof line, "%s error watch verdict=\"%.900s\"\n",
                 ath_time_print(ath_time_wall_ns(), now), sentence));
    return true;
}

void ath_verdict_forget(const char *folder)
{
    char path[ATH_PATH_BYTES];

    unlink(path_of(folder, "flight/verdict.txt", path));
}
