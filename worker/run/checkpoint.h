/*
 * A run's state after a step, on disk: what a run goes on from with the same bits, on any number of
 * ranks. Written and read by one process (rank 0).
 *
 * A checkpoint is two files of a folder. step-00000120.h5 holds the tensors and facts, for this program
 * and for any HDF5 tool. step-00000120.manifest is text: the h5 file's size and digest, the digest of
 * each tensor with its place in that file, and at its end a digest of itself. The h5 file is on the
 * disk before the manifest is made, so a manifest is the sign that a checkpoint is whole; no other
 * pointer is kept. Nothing written is ever changed. docs/checkpoint.md has the format.
 */
#ifndef ATH_RUN_CHECKPOINT_H
#define ATH_RUN_CHECKPOINT_H

#include "core/hash.h"
#include "core/io/file.h"

enum { ATH_CHECKPOINT_DIMS = 8 };

typedef struct ath_checkpoint_tensor {
    const char *name; /* "value/<parameter>", "moment1/...", "moment2/...", "average/..." */
    int32_t n_dim;
    int64_t dim[ATH_CHECKPOINT_DIMS];
    float *data;
} ath_checkpoint_tensor;

typedef struct ath_checkpoint_facts {
    int64_t n_done;    /* steps of the run */
    int64_t n_updates; /* of the optimizer: steps less those skipped */
    int64_t n_skipped; /* steps in a row without an update, the last ones */
    ath_hash plan;
    ath_hash digest;  /* of the parameters (ath_trainer_digest) */
    int64_t n_losses; /* of the epoch at hand so far, for the metadata of exports */
    double loss_sum;
    int64_t is_pinned;  /* never removed */
    double rate_factor; /* of the plan's learning rates; 1 where an older file does not say */
} ath_checkpoint_facts;

typedef struct ath_checkpoint {
    ath_checkpoint_facts facts;
    const uint8_t *job; /* packed: the recipe it was trained by */
    size_t job_bytes;
    int32_t n_tensors;
    const ath_checkpoint_tensor *tensor; /* all borrowed for the call */
} ath_checkpoint;

/* Writes and verifies it (reads it back and compares), then removes others: of those up to this step
 * the newest `keep` (at least 1) stay, pinned ones always, and every file whose name is not of this form.
 * Unpinned ones of later steps are of a past that a resume has given up. Where the same state of the same
 * step is there and whole, that one stays (with a pin, where it had one or is to have one); another state
 * of the same step is removed first. Else a failure leaves the older ones as they were. Where only the
 * removing failed, that is logged and tried again the next time. */
ATH_MUST ath_err ath_checkpoint_write(const char *folder, const ath_checkpoint *checkpoint,
                                      int64_t keep);

/* Removes those of later steps, pinned or not: the run goes on from `step` in another way. */
ATH_MUST ath_err ath_checkpoint_drop_later(const char *folder, int64_t step);

/* The steps with a manifest, newest first; freed with ath_mem_free. A missing folder has none. */
ATH_MUST ath_err ath_checkpoint_list(const char *folder, int64_t **steps, int64_t *n);

typedef struct ath_checkpoint_file ath_checkpoint_file;
/* Opens and verifies every byte of one. EFORMAT, one sentence: the file, which tensor or part of it is
 * bad, what to do. ENOTSUP where it is of a later format. EIO where it cannot be read. */
ATH_MUST ath_err ath_checkpoint_open(const char *folder, int64_t step, ath_checkpoint_file **out);
void ath_checkpoint_close(ath_checkpoint_file **file);
/* Borrowed until close. */
const ath_checkpoint_facts *ath_checkpoint_get_facts(const ath_checkpoint_file *file);
const uint8_t *ath_checkpoint_job(const ath_checkpoint_file *file, size_t *n);
/* One tensor: EMISSING where there is none, ESHAPE where it is another than `tensor` says; its values
 * go to tensor->data and are compared with the digest once more. */
ATH_MUST ath_err ath_checkpoint_read(ath_checkpoint_file *file,
                                     const ath_checkpoint_tensor *tensor);

#endif
