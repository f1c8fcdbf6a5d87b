/*
 * The log: one line per event, for machines and people alike.
 *
 *     ath_log(ATH_LOG_INFO, "ckpt", ATH_KV("saved", path), ATH_KV("bytes", n));
 *     2026-02-28T23:59:59.123Z info ckpt saved=run/checkpoints/step-400.h5 bytes=151022592
 *
 * Values with blanks, quotes or '=' are quoted as in C, control characters always, so a line stays a
 * line. Nothing is allocated: lines longer than ATH_LOG_BYTES end in "...". Any thread may log; the
 * three settings are made before other threads start.
 */
#ifndef ATH_CORE_LOG_H
#define ATH_CORE_LOG_H

#include "core/err.h"
#include <stdio.h>

/* name, text, colour of the text (ANSI) */
#define ATH_LOG_MAP(X)      \
    X(ERROR, "error", "31") \
    X(WARN, "warn", "33")   \
    X(INFO, "info", "32")   \
    X(DEBUG, "debug", "2")

typedef enum ath_log_level {
#define ATH_LOG_ENUM(name, text, colour) ATH_LOG_##name,
    ATH_LOG_MAP(ATH_LOG_ENUM)
#undef ATH_LOG_ENUM
        ATH_N_LOG_LEVELS
} ath_log_level;

enum { ATH_LOG_BYTES = 1024, ATH_LOG_FIELDS = 12, ATH_LOG_TOPICS = 16 };

/* Gets each line, with its '\n' and terminated; any thread. The line is the caller's. */
typedef void ath_log_sink(void *user, ath_log_level level, const char *line, size_t n);

/* Where lines go. Nowhere before the first call. `colour` is the caller's choice (terminal, NO_COLOR). */
void ath_log_to_file(FILE *file, bool colour);
void ath_log_to_sink(ath_log_sink *sink, void *user);

/* What is logged: a level for all topics, then exceptions: "warn", "info,plan=debug,io=error".
 * "info" at start. EINVAL leaves all as it was. */
ATH_MUST ath_err ath_log_set(const char *rules);
bool ath_log_is_on(ath_log_level level, const char *topic);

typedef struct ath_field {
    const char *key;
    enum { ATH_FIELD_TEXT, ATH_FIELD_INT, ATH_FIELD_REAL } kind;
    const char *text;
    int64_t number;
    double real;
} ath_field;

static inline ath_field ath_field_text(const char *key, const char *value)
{
    return (ath_field){.key = key, .kind = ATH_FIELD_TEXT, .text = value};
}

static inline ath_field ath_field_int(const char *key, int64_t value)
{
    return (ath_field){.key = key, .kind = ATH_FIELD_INT, .number = value};
}

static inline ath_field ath_field_real(const char *key, double value)
{
    return (ath_field){.key = key, .kind = ATH_FIELD_REAL, .real = value};
}

static inline ath_field ath_field_f32(const char *key, float value)
{
    return ath_field_real(key, (double)value);
}

/* A field of a text, an integer (as int64_t) or a real number. */
#define ATH_KV(key, value) \
    _Generic((value),                    \
        char *: ath_field_text,          \
        const char *: ath_field_text,    \
        float: ath_field_f32,            \
        double: ath_field_real,          \
        default: ath_field_int)((key), (value))

/* Logs 1 to ATH_LOG_FIELDS fields; they are computed only where the level is on. */
#define ath_log(level, topic, ...)                                                             \
    do {                                                                                       \
        if (ath_log_is_on((level), (topic)))                                                   \
            ath_log_put((level), (topic), (const ath_field[ATH_LOG_FIELDS + 1]){__VA_ARGS__}); \
    } while (0)

/* Fields end with the first without a key. */
void ath_log_put(ath_log_level level, const char *topic, const ath_field *fields);

#endif
