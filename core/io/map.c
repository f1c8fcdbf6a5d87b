#include "core/io/map.h"

#include "core/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ath_err ath_map_open(const char *path, ath_map *out)
{
    ath_err err = ATH_OK;
    struct stat info;
    void *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ATH_NEED(fd >= 0 || errno != ENOENT, ATH_EMISSING, "%s: there is no such file", path);
    ath_pulse();
    ATH_TRY_OUT(ath_sys(fd, path));
    ATH_TRY_OUT(ath_sys(fstat(fd, &info), path));
    if (!S_ISREG(info.st_mode)) {
        err = ath_raise(ATH_EIO, "%s: not a regular file", path);
        goto out;
    }
    if (info.st_size > 0) { /* an empty file cannot be mapped */
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        ATH_TRY_OUT(ath_sys(bytes == MAP_FAILED ? -1 : 0, path));
    }
    *out = (ath_map){.bytes = bytes, .n = (size_t)info.st_size};
out:
    if (fd >= 0) close(fd);
    return err;
}

void ath_map_close(ath_map *map)
{
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->n);
    *map = (ath_map){0};
}
