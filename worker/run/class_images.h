/* Regularization pictures that lack, drawn by the base before training (job.class_images). */
#ifndef ATH_RUN_CLASS_IMAGES_H
#define ATH_RUN_CLASS_IMAGES_H

#include "core/thread.h"
#include "proto/job.pb-c.h"

typedef struct ath_class_images {
    const Athanor__Job *job;
    const char *folder;       /* where <number>.png goes: exists */
    int64_t first, count;     /* numbers */
    const ath_cancel *cancel; /* set: no more pictures, ECANCELED; may be NULL */
    /* A picture is done, on this rank; may be NULL. */
    void (*progress)(void *context, int64_t done, int64_t n);
    void *context;
} ath_class_images;

/* Each rank draws its share; a picture depends on base, prompt, the job's seed and its number. All
 * ranks; the first error of any is everybody's. */
ATH_MUST ath_err ath_class_images_draw(const ath_class_images *images);

#endif
