/*
 * The one seam to the system's file calls: tests put their own in the place of the machine's and record
 * them, or let them fail, tear and wait. Any thread.
 */
#ifndef ATH_CORE_IO_SEAM_H
#define ATH_CORE_IO_SEAM_H

#include "core/err.h"

/* Gets each name in a folder but "." and ".."; false ends it. */
typedef bool ath_io_name_fn(void *context, const char *name);

/* The calls as all files of ours use them: negative with errno set where they fail. */
typedef struct ath_io {
    int (*open)(void *user, const char *path, int flags); /* new files: mode 0666 less the umask */
    int64_t (*read)(void *user, int fd, void *to, size_t n);
    int64_t (*write)(void *user, int fd, const void *from, size_t n);
    int (*sync)(void *user, int fd); /* of a file or a folder */
    int (*close)(void *user, int fd);
    int (*rename)(void *user, const char *from, const char *to);
    int (*unlink)(void *user, const char *path);
    int (*truncate)(void *user, int fd, int64_t n);
    int64_t (*read_at)(void *user, int fd, void *to, size_t n, int64_t at);
    int64_t (*write_at)(void *user, int fd, const void *from, size_t n, int64_t at);
    int64_t (*size)(void *user, const char *path);
    int (*make_folder)(void *user, const char *path);
    int (*list)(void *user, const char *folder, ath_io_name_fn *each, void *context);
    void *user;
} ath_io;

/* The machine's own calls. */
extern const ath_io ath_io_machine;

/* Puts `io` in their place until replaced again; NULL: the machine's. It must outlive its use. */
void ath_io_replace(const ath_io *io);

/* The calls through the seam, for core/io alone: interrupted ones are repeated. */
int ath_io_open(const char *path, int flags);
int64_t ath_io_read(int fd, void *to, size_t n);
int64_t ath_io_write(int fd, const void *from, size_t n);
int64_t ath_io_read_at(int fd, void *to, size_t n, int64_t at);
int64_t ath_io_write_at(int fd, const void *from, size_t n, int64_t at);
int ath_io_sync(int fd);
int ath_io_close(int fd);
int ath_io_rename(const char *from, const char *to);
int ath_io_unlink(const char *path);
int ath_io_truncate(int fd, int64_t n);
int64_t ath_io_size(const char *path);
int ath_io_make_folder(const char *path);
int ath_io_list(const char *folder, ath_io_name_fn *each, void *context);

#endif
