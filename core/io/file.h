/*
 * Files: the one seam to the system's calls, whole files in, whole files out.
 *
 * Interrupted calls are repeated, short reads and writes are carried on. Nothing is allocated but
 * what ath_file_read gives. Any thread, each publication by one at a time.
 */
#ifndef ATH_CORE_IO_FILE_H
#define ATH_CORE_IO_FILE_H

#include "core/err.h"

/* The system's calls as all files of ours use them: negative with errno set where they fail. */
typedef struct ath_io {
    int (*open)(void *user, const char *path, int flags); /* new files: mode 0666 less the umask */
    int64_t (*read)(void *user, int fd, void *to, size_t n);
    int64_t (*write)(void *user, int fd, const void *from, size_t n);
    int (*sync)(void *user, int fd); /* of a file or a folder */
    int (*close)(void *user, int fd);
    int (*rename)(void *user, const char *from, const char *to);
    int (*unlink)(void *user, const char *path);
    int (*truncate)(void *user, int fd, int64_t n);
    void *user;
} ath_io;

/* The machine's own calls. */
extern const ath_io ath_io_machine;

/* Puts `io` in their place until replaced again; NULL: the machine's. It must outlive its use. */
void ath_io_replace(const ath_io *io);

/* The whole of a file into fresh memory (ath_mem_free), with a zero byte after the n-th. EMISSING
 * where there is none, ELIMIT where it is longer than `limit` bytes. */
ATH_MUST ath_err ath_file_read(const char *path, size_t limit, char **out, size_t *n);

/* The whole of a file piece by piece, in order; an error of `take` ends it and is given back. For
 * files too large for memory. EMISSING where there is none. */
typedef ath_err ath_take_fn(void *context, const void *bytes, size_t n);
ATH_MUST ath_err ath_file_each(const char *path, ath_take_fn *take, void *context);

/* EIO where it cannot be; a missing file is as good as removed. */
ATH_MUST ath_err ath_file_remove(const char *path);

enum { ATH_PATH_BYTES = 4096 };

/*
 * Publishing: `path` holds the old content or the whole new one at every moment, even over a power
 * cut, and the new one for good once commit has returned. begin makes an empty file of another name
 * in the same folder; put appends to it, or a library writes into it by its name (without replacing
 * the file); commit syncs it, renames it over `path` and syncs the folder. discard undoes what is
 * not committed, and accepts {0}, failed and finished ones.
 *
 * After a failure the new file is gone and the old one untouched; only where syncing the folder
 * failed, the last step, the new content stands under `path` and may not survive a power cut.
 */
typedef struct ath_publish {
    int fd;                    /* of temp; -1: closed */
    char temp[ATH_PATH_BYTES]; /* "": nothing to undo */
    char path[ATH_PATH_BYTES];
} ath_publish;

ATH_MUST ath_err ath_publish_begin(ath_publish *p, const char *path);
ATH_MUST ath_err ath_publish_put(ath_publish *p, const void *bytes, size_t n);
ATH_MUST ath_err ath_publish_commit(ath_publish *p);
void ath_publish_discard(ath_publish *p);

/* The three at once. */
ATH_MUST ath_err ath_file_publish(const char *path, const void *bytes, size_t n);

/*
 * Appending: a file that grows by whole pieces. open makes the file where there is none and cuts it
 * to its first `n` bytes, which the caller has found good; put writes one piece. Where that fails,
 * what was written of the piece is cut off again; where even that fails, every later put is EIO, so
 * that nothing follows a torn piece. A crash leaves whole pieces and at most one torn at the end.
 * sync: what was put is on the disk when it returns. close accepts {.fd = -1} and closed ones.
 */
typedef struct ath_append {
    int fd;    /* -1: closed */
    int64_t n; /* bytes of whole pieces */
    bool is_torn;
    char path[ATH_PATH_BYTES];
} ath_append;

ATH_MUST ath_err ath_append_open(ath_append *a, const char *path, int64_t n);
ATH_MUST ath_err ath_append_put(ath_append *a, const void *bytes, size_t n);
ATH_MUST ath_err ath_append_sync(ath_append *a);
void ath_append_close(ath_append *a);

#endif
