#include "core/log.h"

#include "core/time.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *text, *colour;
} levels[ATH_N_LOG_LEVELS] = {
#define ATH_LOG_ROW(name, text, colour) {text, colour},
    ATH_LOG_MAP(ATH_LOG_ROW)
#undef ATH_LOG_ROW
};

enum { TOPIC_BYTES = 24 };

typedef struct rules {
    ath_log_level level; /* of topics that are not named */
    int n_topics;
    struct {
        char name[TOPIC_BYTES];
        ath_log_level level;
    } topic[ATH_LOG_TOPICS];
} rules;

static rules current = {.level = ATH_LOG_INFO};
static ath_log_sink *current_sink;
static void *current_user;

/* One line under way. Room is kept for the cut mark and the line's end. */
typedef struct line {
    char text[ATH_LOG_BYTES];
    size_t n;
    bool is_cut;
} line;

static const char cut_mark[] = "...\n";

static void put(line *l, const char *text, size_t n)
{
    size_t room = sizeof l->text - sizeof cut_mark - l->n;

    if (n > room) l->is_cut = true;
    if (l->is_cut) return;
    memcpy(l->text + l->n, text, n);
    l->n += n;
}

static void put_text(line *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_format(line *l, const char *fmt, ...) ATH_PRINTF(2, 3);

static void put_format(line *l, const char *fmt, ...)
{
    char text[64];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_text(l, text);
}

static bool is_plain(const char *value)
{
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("\"\\=", *c)) return false;
    return *value != 0;
}

static void put_value(line *l, const char *value)
{
    if (is_plain(value)) {
        put_text(l, value);
        return;
    }
    put(l, "\"", 1);
    for (const char *c = value; *c; c++) {
        if (*c == '\n')
            put(l, "\\n", 2);
        else if (*c == '"' || *c == '\\')
            put_format(l, "\\%c", *c);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            put_format(l, "\\%03o", (unsigned char)*c);
        else
            put(l, c, 1);
    }
    put(l, "\"", 1);
}

static void put_field(line *l, const ath_field *f)
{
    put(l, " ", 1);
    put_text(l, f->key);
    put(l, "=", 1);
    switch (f->kind) {
    case ATH_FIELD_TEXT:
        put_value(l, f->text ? f->text : "(null)");
        break;
    case ATH_FIELD_INT:
        put_format(l, "%" PRId64, f->number);
        break;
    case ATH_FIELD_REAL:
        put_format(l, "%.9g", f->real);
        break;
    }
}

bool ath_log_is_on(ath_log_level level, const char *topic)
{
    ath_log_level most = current.level;

    if (!current_sink) return false;
    for (int i = 0; i < current.n_topics; i++)
        if (strcmp(topic, current.topic[i].name) == 0) most = current.topic[i].level;
    return level <= most;
}

void ath_log_put(ath_log_level level, const char *topic, const ath_field *fields)
{
    char now[ATH_TIME_TEXT];
    line l = {.n = 0};

    if (!current_sink) return;
    put_text(&l, ath_time_print(ath_time_wall_ns(), now));
    put_format(&l, " %s ", levels[level].text);
    put_text(&l, topic);
    for (const ath_field *f = fields; f->key; f++) put_field(&l, f);
    const char *end = l.is_cut ? cut_mark : "\n";
    memcpy(l.text + l.n, end, strlen(end) + 1);
    current_sink(current_user, level, l.text, l.n + strlen(end));
}

/* One call each, so that stdio's own lock keeps lines whole. */
static void to_plain_file(void *user, ath_log_level level, const char *text, size_t n)
{
    (void)level;
    fwrite(text, 1, n, user);
}

static void to_coloured_file(void *user, ath_log_level level, const char *text, size_t n)
{
    fprintf(user, "\x1b[%sm%.*s\x1b[0m\n", levels[level].colour, (int)(n - 1), text);
}

void ath_log_to_file(FILE *file, bool colour)
{
    ath_log_to_sink(colour ? to_coloured_file : to_plain_file, file);
}

void ath_log_to_sink(ath_log_sink *sink, void *user)
{
    current_sink = sink;
    current_user = user;
}

static ath_err find_level(const char *text, size_t n, ath_log_level *out)
{
    for (int i = 0; i < ATH_N_LOG_LEVELS; i++) {
        if (strlen(levels[i].text) != n || memcmp(levels[i].text, text, n) != 0) continue;
        *out = (ath_log_level)i;
        return ATH_OK;
    }
    return ath_raise(ATH_EINVAL, "log: level \"%.*s\", wanted error, warn, info or debug", (int)n,
                     text);
}

/* "level" or "topic=level", n bytes. */
static ath_err add_rule(rules *r, const char *text, size_t n)
{
    const char *equal = memchr(text, '=', n);

    if (!equal) return find_level(text, n, &r->level);
    size_t name_bytes = (size_t)(equal - text);
    ATH_NEED(r->n_topics < ATH_LOG_TOPICS, ATH_ELIMIT, "log: more than %d topics", ATH_LOG_TOPICS);
    ATH_NEED(0 < name_bytes && name_bytes < TOPIC_BYTES, ATH_EINVAL,
             "log: topic \"%.*s\", wanted 1 to %d characters", (int)name_bytes, text,
             TOPIC_BYTES - 1);
    memcpy(r->topic[r->n_topics].name, text, name_bytes);
    ATH_TRY(find_level(equal + 1, n - name_bytes - 1, &r->topic[r->n_topics].level));
    r->n_topics++;
    return ATH_OK;
}

ath_err ath_log_set(const char *text)
{
    rules fresh = {.level = ATH_LOG_INFO};

    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        ATH_TRY(add_rule(&fresh, at, n));
        at += n;
        if (!*at) break;
    }
    current = fresh;
    return ATH_OK;
}
