/*
 * Aspect buckets: the few shapes that pictures are brought to, so that pictures of one shape make a
 * batch (spec/training-semantics 2.1 to 2.4). Shapes are whole multiples of a step (64 pixels for SD
 * 1.5) and hold about as many pixels as the resolution asks for. Plain data, exact integers
 * and doubles: equal on every machine.
 */
#ifndef ATH_COORDINATOR_BUCKET_H
#define ATH_COORDINATOR_BUCKET_H

#include "core/err.h"

enum {
    ATH_BUCKET_STEP = 8,        /* pixels of a latent: what every step is a multiple of */
    ATH_BUCKET_SIDE_MAX = 4096, /* pixels */
    ATH_BUCKETS_MAX = 2 * (ATH_BUCKET_SIDE_MAX / ATH_BUCKET_STEP) + 1
};

typedef struct ath_size {
    int32_t width, height;
} ath_size;

typedef struct ath_bucket_rule {
    ath_size resolution;
    bool is_off;     /* one shape: the resolution */
    bool no_upscale; /* never enlarge: shapes follow from the pictures, min and max do not count */
    int32_t min_side, max_side; /* 256, 1024 */
    int32_t step;               /* 64 */
} ath_bucket_rule;

/* The candidates by width, then height; `rule` with its limits rounded to steps. */
typedef struct ath_buckets {
    ath_bucket_rule rule;
    int32_t n;
    ath_size size[ATH_BUCKETS_MAX];
} ath_buckets;

/* EJOB where the rule cannot be followed. */
ATH_MUST ath_err ath_buckets_init(const ath_bucket_rule *rule, ath_buckets *out);

/* How a picture gets into its bucket: resized (aspect kept), then cut to the bucket's size. */
typedef struct ath_bucket_fit {
    ath_size bucket, resized;
} ath_bucket_fit;

/* For a picture of width x height > 0. ESHAPE where it is too small for any bucket. */
ATH_MUST ath_err ath_bucket_choose(const ath_buckets *buckets, ath_size picture,
                                   ath_bucket_fit *out);

/* Whether a comes before b: by width, then height. */
bool ath_size_is_before(ath_size a, ath_size b);

#endif
