/*
 * Files: whole files in, whole files out, through the one seam to the system's calls (seam.h).
 *
 * Interrupted calls are repeated, short reads and writes are carried on. Nothing is allocated but
 * what ath_file_read gives. Any thread, each publication by one at a time.
 */
#ifndef ATH_CORE_IO_FILE_H
#define ATH_CORE_IO_FILE_H

#include "core/io/seam.h"

enum { ATH_PATH_BYTES = 4096 };

/* A path in a caller's buffer; ELIMIT where it is longer. */
ATH_MUST ath_err ath_path_print(char out[ATH_PATH_BYTES], const char *fmt, ...) ATH_PRINTF(2, 3);

/* The whole of a file into fresh memory (ath_mem_free), with a zero byte after the n-th. EMISSING
 * where there is none, ELIMIT where it is longer than `limit` bytes. */
ATH_MUST ath_err ath_file_read(const char *path, size_t limit, char **out, size_t *n);

/* The whole of a file piece by piece, in order; an error of `take` ends it and is given back. For
 * files too large for memory. EMISSING where there is none. */
typedef ath_err ath_take_fn(void *context, const void *bytes, size_t n);
ATH_MUST ath_err ath_file_each(const char *path, ath_take_fn *take, void *context);

/* EIO where it cannot be; a missing file is as good as removed. */
ATH_MUST ath_err ath_file_remove(const char *path);

/* EMISSING where there is none. */
ATH_MUST ath_err ath_file_size(const char *path, int64_t *bytes);

/* Makes a folder where there is none; that it is there is on the disk when it returns. */
ATH_MUST ath_err ath_folder_make(const char *path);
/* The same of those above it, too. */
ATH_MUST ath_err ath_folders_make(const char *path);

/* Gives each name in a folder to `take`, in no order; an error of it ends it and is given back. EMISSING
 * where there is no folder. */
typedef ath_err ath_name_fn(void *context, const char *name);
ATH_MUST ath_err ath_folder_each(const char *path, ath_name_fn *take, void *context);

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
