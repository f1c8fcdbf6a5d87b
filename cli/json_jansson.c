#include "cli/json_jansson.h"

#include "core/utf8.h"
#include <string.h>

json_t *ath_json_text(const char *text)
{
    ath_str clean = {0};
    size_t n = strlen(text), at = 0;

    while (at < n) {
        size_t n_good = ath_utf8_check(text + at, n - at);
        ath_str_put(&clean, text + at, n_good);
        if (at + n_good < n) ath_str_put(&clean, "?", 1);
        at += n_good + 1;
    }
    json_t *out = clean.err ? NULL : json_string(ath_str_text(&clean));
    ath_str_release(&clean);
    return out;
}

static int put(const char *text, size_t n, void *to)
{
    ath_str_put(to, text, n);
    return 0;
}

ath_err ath_json_dump(json_t *root, ath_str *to)
{
    int failed = root ? json_dump_callback(root, put, to, JSON_INDENT(2)) : -1;

    json_decref(root);
    ATH_NEED(!failed, ATH_ENOMEM, "no memory for a report as JSON");
    ath_str_put(to, "\n", 1);
    return ath_str_check(to);
}
