/*
 * What becomes of a caption at one use of its picture: prefix, dropout, wildcards, shuffled and dropped
 * tags (spec/training-semantics 3.1). A function of the options, the caption and the name of the use,
 * so an epoch's captions are the same on any number of ranks.
 *
 * In this order: prefix and suffix; the whole caption left out; wildcards, or the first line alone;
 * tags (where they are shuffled, warmed up or dropped, or where a keep separator stands in the text):
 * split, stripped, the first ones kept in place, the others cut, shuffled, dropped, all joined by
 * ", "; the secondary separator replaced by the separator, which gives groups that stay together.
 */
#ifndef ATH_TRAIN_CAPTION_H
#define ATH_TRAIN_CAPTION_H

#include "core/str.h"
#include "worker/train/draws.h"

/* Texts are UTF-8; NULL and "" are none. {0} with a separator changes nothing but the lines. */
typedef struct ath_caption_opts {
    const char *prefix, *suffix; /* with a blank between */
    const char *separator;       /* of tags; "," is usual; needed */
    /* The text before the first such keeps its place, and that after the second; else `keep_tokens`
     * tags at the front do. */
    const char *keep_separator;
    const char *secondary_separator;
    int32_t keep_tokens;
    bool shuffle;
    bool wildcards;               /* choose a line; {a|b} is one of both, {{ and }} are braces */
    double dropout, tag_dropout;  /* chances, 0..1 */
    int32_t dropout_every_epochs; /* n: the n-th, 2n-th .. epochs have no captions; 0: never */
    /* Before step `warmup_steps` only the first tags, growing from `warmup_min`; 0: off. */
    int32_t warmup_min;
    int64_t warmup_steps;
} ath_caption_opts;

/* Refuses options that mean nothing. */
ATH_MUST ath_err ath_caption_check(const ath_caption_opts *opts);

/* One use: epochs and steps count from 0. */
typedef struct ath_caption_use {
    ath_draw draw;
    int64_t step;
} ath_caption_use;

/* Memory of the work, {0} at first; kept, so that it is asked for only by longer captions. One
 * thread. */
typedef struct ath_caption_work {
    ath_str from, to;
    struct ath_caption_tag *tags;
    int64_t room;
} ath_caption_work;
void ath_caption_release(ath_caption_work *work);

/* `*out` lies in `work` until the next use. ATH_EFORMAT where the caption is not UTF-8. */
ATH_MUST ath_err ath_caption_make(const ath_caption_opts *opts, const ath_caption_use *use,
                                  const char *caption, ath_caption_work *work, const char **out);

#endif
