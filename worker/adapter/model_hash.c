#include "worker/adapter/model_hash.h"

#include <stdio.h>

enum { WINDOW_BEGIN = 0x100000, WINDOW_END = 0x110000 };

typedef struct hashing {
    ath_sha256 *all, *window;
    size_t at;    /* in the file */
    int n_passed; /* pieces still to come that `all` leaves out */
} hashing;

static ath_err take(void *context, const void *bytes, size_t n)
{
    hashing *h = context;
    const size_t begin = h->at, end = begin + n, from = begin > WINDOW_BEGIN ? begin : WINDOW_BEGIN;
    const size_t to = end < WINDOW_END ? end : WINDOW_END;

    if (h->n_passed-- <= 0) ATH_TRY(ath_sha256_put(h->all, bytes, n));
    h->at = end;
    if (from >= to) return ATH_OK;
    return ath_sha256_put(h->window, (const char *)bytes + (from - begin), to - from);
}

/* Ends and releases; `err` is what happened before. */
static ath_err finish(hashing *h, ath_err err, ath_model_hash *out)
{
    char window[ATH_SHA256_TEXT] = "";

    if (!err) err = ath_sha256_end(h->all, out->sha256);
    if (!err) err = ath_sha256_end(h->window, window);
    snprintf(out->window, sizeof out->window, "%.8s", window);
    ath_sha256_destroy(&h->all);
    ath_sha256_destroy(&h->window);
    return err;
}

static ath_err begin(hashing *h)
{
    ATH_TRY(ath_sha256_create(&h->all));
    return ath_sha256_create(&h->window);
}

ath_err ath_model_hash_of_file(const char *path, ath_model_hash *out)
{
    hashing h = {0};
    ath_err err = begin(&h);

    if (!err) err = ath_file_each(path, take, &h);
    return finish(&h, err, out);
}

ath_err ath_model_hash_of_tensors(const char *path, int64_t n, const ath_st_out *tensors,
                                  int64_t n_meta, const ath_st_meta *meta, ath_model_hash *out)
{
    hashing h = {.n_passed = 2};
    const ath_st_sink sink = {take, &h};
    ath_err err = begin(&h);

    if (!err) err = ath_st_emit(path, n, tensors, n_meta, meta, &sink);
    return finish(&h, err, out);
}
