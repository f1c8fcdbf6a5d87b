/* TOML text as a tree. The text itself is read by toml++. */
#ifndef ATH_PROTO_TOML_H
#define ATH_PROTO_TOML_H

#include "core/arena.h"
#include <stdint.h>

typedef enum ath_toml_kind {
    ATH_TOML_TABLE,
    ATH_TOML_ARRAY,
    ATH_TOML_TEXT,
    ATH_TOML_INT,
    ATH_TOML_REAL,
    ATH_TOML_BOOL,
    ATH_TOML_TIME, /* a date, a time or both; its value is not kept */
    ATH_N_TOML_KINDS
} ath_toml_kind;

/* Line and column count from 1; 0: nowhere in the text. */
typedef struct ath_toml_place {
    int32_t line, column;
} ath_toml_place;

typedef struct ath_toml {
    ath_toml_kind kind;
    const char *key; /* in a table; NULL in an array and for the root */
    ath_toml_place key_at, at;
    const char *text;              /* TEXT: UTF-8 without zero bytes */
    int64_t whole;                 /* INT */
    double real;                   /* REAL; may be an infinity or not a number */
    bool flag;                     /* BOOL */
    struct ath_toml *first, *next; /* in the order of the text */
    int64_t n;                     /* how many there are from `first` on */
} ath_toml;

/* Reads `n` bytes; the root is a table. What it gives lies in `arena`. EJOB with "name:line:column"
 * where the text is no TOML 1.0, nests more than 16 deep or holds zero bytes. Any thread. */
ATH_MUST ath_err ath_toml_parse(const char *text, size_t n, const char *name, ath_arena *arena,
                                ath_toml **out);

#endif
