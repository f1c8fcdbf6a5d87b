/*
 * The manifest of a checkpoint: a text of lines that says what the h5 file beside it must be, down to
 * the last bit.
 *
 *     athanor checkpoint 1
 *     pinned 0
 *     file 163577856 0123456789abcdef0123456789abcdef        bytes, digest; "other": of the other name
 *     tensor 2048 4096 fedcba98... value/<parameter>         offset, bytes, digest, name
 *     end 89abcdef...                                        digest of all before
 *
 * The number in the first line is the format's version; first and last line are so in every version.
 *
 * For worker/run alone.
 */
#ifndef ATH_RUN_MANIFEST_H
#define ATH_RUN_MANIFEST_H

#include "core/arena.h"
#include "core/hash.h"

enum { ATH_CHECKPOINT_VERSION = 1 }; /* of the format; in the first line, and in the h5 file */
/* ENOTSUP where it is a later one. */
ATH_MUST ath_err ath_manifest_check_version(const char *path, int64_t version);

typedef struct ath_manifest_tensor {
    const char *name;
    int64_t offset, bytes;
    ath_hash digest;
} ath_manifest_tensor;

typedef struct ath_manifest {
    int64_t is_pinned;
    bool is_other; /* the h5 file has the other of its two names */
    int64_t bytes; /* of it */
    ath_hash digest;
    ath_manifest_tensor *tensor;
    int64_t n_tensors, room;
    ath_arena arena; /* names */
} ath_manifest;

ATH_MUST ath_err ath_manifest_create(ath_manifest **out);
void ath_manifest_destroy(ath_manifest **m); /* accepts NULL */

/* A tensor of that name, to be filled; valid until the next is added. */
ATH_MUST ath_err ath_manifest_add(ath_manifest *m, const char *name, ath_manifest_tensor **out);
/* NULL where there is none. */
const ath_manifest_tensor *ath_manifest_find(const ath_manifest *m, const char *name);

/* Size and digest of the whole file. */
ATH_MUST ath_err ath_manifest_measure(ath_manifest *m, const char *path);
ATH_MUST ath_err ath_manifest_publish(const ath_manifest *m, const char *path);

/* EFORMAT where it is not as it was published, ENOTSUP where it is of a later version, EIO. */
ATH_MUST ath_err ath_manifest_read(const char *path, ath_manifest **out);
/* EFORMAT where the file differs by a bit: names the tensor, or says that it is between them. */
ATH_MUST ath_err ath_manifest_check(const ath_manifest *m, const char *path);
/* The same for the tensors alone. */
ATH_MUST ath_err ath_manifest_check_tensors(const ath_manifest *m, const char *path);

#endif
