/* What the reports for programs share. */
#ifndef ATH_CLI_JSON_JANSSON_H
#define ATH_CLI_JSON_JANSSON_H

#include "core/str.h"
#include <jansson.h>

/* A text as JSON; bytes that are not UTF-8, as names of files may have, become question marks. NULL: no
 * memory. */
json_t *ath_json_text(const char *text);

/* Takes `root`; NULL stands for a lack of memory. */
ATH_MUST ath_err ath_json_dump(json_t *root, ath_str *to);

#endif
