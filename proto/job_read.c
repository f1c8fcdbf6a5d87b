/* From TOML to the message: walks protobuf-c's descriptors, knows no key by name. */
#include "core/io/file.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "proto/job_private.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 20, MAX_ITEMS = 4096 };

static ath_err read_table(ath_job_reader *r, const ath_toml *node, ProtobufCMessage *m,
                          const char *table);

/* A message with its tables, all at their defaults. */
static ath_err new_message(ath_job_reader *r, const ProtobufCMessageDescriptor *type,
                           ProtobufCMessage **out)
{
    ProtobufCMessage *m = NULL;

    ATH_TRY(ath_arena_new(&r->arena, 1, type->sizeof_message, (void **)&m));
    protobuf_c_message_init(type, m);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE || ath_job_is_many(f)) continue;
        ATH_TRY(new_message(r, f->descriptor, ath_field_value(f, m)));
    }
    *out = m;
    return ATH_OK;
}

static void describe(const ath_toml *node, char *out, size_t n)
{
    switch (node->kind) {
    case ATH_TOML_TABLE:
        snprintf(out, n, "a table");
        return;
    case ATH_TOML_ARRAY:
        snprintf(out, n, "an array of %" PRId64, node->n);
        return;
    case ATH_TOML_TEXT:
        snprintf(out, n, strlen(node->text) > 40 ? "\"%.40s...\"" : "\"%.40s\"", node->text);
        return;
    case ATH_TOML_INT:
        snprintf(out, n, "%" PRId64, node->whole);
        return;
    case ATH_TOML_REAL:
        snprintf(out, n, "%.10g%s", node->real, fmod(node->real, 1) == 0 ? ".0" : "");
        return;
    case ATH_TOML_BOOL:
        snprintf(out, n, "%s", node->flag ? "true" : "false");
        return;
    case ATH_TOML_TIME:
        snprintf(out, n, "a date or time");
        return;
    case ATH_N_TOML_KINDS:
        break;
    }
    ATH_ASSERT(!"a kind of node");
}

static ath_err refuse(ath_job_reader *r, const ath_toml *node, const ProtobufCFieldDescriptor *f,
                      const char *path, const char *meant)
{
    const ath_job_key *key = ath_job_key_find(path);
    ath_str wanted = {0};
    char found[64];

    ATH_ASSERT(key);
    describe(node, found, sizeof found);
    ath_job_print_wanted(f, key, &wanted);
    ath_err err = ath_str_check(&wanted);
    if (!err)
        err = ath_job_complain(r, node->at, "%s: found %s, wanted %s%s%s%s", path, found,
                               ath_str_text(&wanted), meant ? "; did you mean \"" : "",
                               meant ? meant : "", meant ? "\"?" : "");
    ath_str_release(&wanted);
    return err;
}

/* The share in "5%": 0.05. */
static bool take_share(const ath_toml *node, double *out)
{
    char *end = NULL;

    if (node->kind != ATH_TOML_TEXT || node->text[0] < '0' || node->text[0] > '9') return false;
    if (node->text[strspn(node->text, "0123456789.eE+-")] != '%') return false;
    double x = strtod(node->text, &end) / 100;
    if (strcmp(end, "%") != 0 || !(x <= 1)) return false;
    *out = x;
    return true;
}

static bool is_whole_within(const ath_toml *node, const ath_job_key *key)
{
    return node->kind == ATH_TOML_INT && (double)node->whole >= key->min &&
           (double)node->whole <= key->max && (!key->multiple || node->whole % key->multiple == 0);
}

static bool take_real(const ath_toml *node, const ath_job_key *key, double *out)
{
    double x = 0;

    if (node->kind == ATH_TOML_INT)
        x = (double)node->whole;
    else if (node->kind == ATH_TOML_REAL)
        x = node->real;
    else if (key->max != 1 || !take_share(node, &x))
        return false;
    if (!(x >= key->min && x <= key->max)) return false;
    *out = x == 0 ? 0 : x; /* no -0 */
    return true;
}

static bool take_amount(const ath_toml *node, const ath_job_key *key, Athanor__Amount *out)
{
    double share = 0;
    bool is_count = is_whole_within(node, key);

    if (!is_count && !take_share(node, &share)) return false;
    out->steps = is_count ? node->whole : 0;
    out->share = share;
    return true;
}

static bool take_size(const ath_toml *node, const ath_job_key *key, Athanor__Size *out)
{
    const ath_toml *width = node, *height = node;

    if (node->kind == ATH_TOML_ARRAY && node->n == 2) {
        width = node->first;
        height = width->next;
    }
    if (!is_whole_within(width, key) || !is_whole_within(height, key)) return false;
    out->width = width->whole;
    out->height = height->whole;
    return true;
}

/* A word of the enum, or `*meant` which it may have been; `words` keeps it. */
static bool take_word(const char *text, const ProtobufCEnumDescriptor *e,
                      char words[][ATH_JOB_PATH_BYTES], const char **meant, int *out)
{
    const char *names[16];

    ATH_ASSERT(e->n_values <= 16);
    for (unsigned i = 0; i < e->n_values; i++) {
        ath_job_word_of(&e->values[i], words[i]);
        names[i] = words[i];
        if (strcmp(words[i], text) == 0) {
            *out = e->values[i].value;
            return true;
        }
    }
    *meant = ath_nearest(text, names, e->n_values);
    return false;
}

/* One value into `to`. */
static ath_err read_value(ath_job_reader *r, const ath_toml *node,
                          const ProtobufCFieldDescriptor *f, const char *path, void *to)
{
    const ath_job_key *key = ath_job_key_find(path);
    const char *text = node->kind == ATH_TOML_TEXT ? node->text : r->raw, *meant = NULL;
    char words[16][ATH_JOB_PATH_BYTES];
    bool good = false;

    ATH_ASSERT(key);
    switch (ath_job_form_of(f)) {
    case ATH_JOB_TEXT:
        if (text) return ath_arena_print(&r->arena, to, "%s", text);
        break;
    case ATH_JOB_WORD:
        good = text && take_word(text, f->descriptor, words, &meant, to);
        break;
    case ATH_JOB_SWITCH:
        good = node->kind == ATH_TOML_BOOL;
        if (good) *(protobuf_c_boolean *)to = node->flag;
        break;
    case ATH_JOB_WHOLE:
        good = is_whole_within(node, key);
        if (good) *(int64_t *)to = node->whole;
        break;
    case ATH_JOB_REAL:
        good = take_real(node, key, to);
        break;
    case ATH_JOB_AMOUNT:
        good = take_amount(node, key, *(Athanor__Amount **)to);
        break;
    case ATH_JOB_SIZE:
        good = take_size(node, key, *(Athanor__Size **)to);
        break;
    case ATH_JOB_TABLE:
        if (node->kind == ATH_TOML_TABLE) return read_table(r, node, *(void **)to, path);
        break;
    case ATH_N_JOB_FORMS:
        break;
    }
    return good ? ATH_OK : refuse(r, node, f, path, meant);
}

static ath_err read_array(ath_job_reader *r, const ath_toml *node,
                          const ProtobufCFieldDescriptor *f, ProtobufCMessage *m, const char *path)
{
    size_t bytes = ath_job_element_bytes(f);
    bool is_table = ath_job_form_of(f) == ATH_JOB_TABLE;
    char *items = NULL;

    if (node->kind != ATH_TOML_ARRAY) return refuse(r, node, f, path, NULL);
    if (node->n > MAX_ITEMS)
        return ath_job_complain(r, node->at, "%s: %" PRId64 " of them, at most %d", path, node->n,
                                MAX_ITEMS);
    ATH_TRY(ath_arena_new(&r->arena, (size_t)node->n, bytes, (void **)&items));
    *(char **)ath_field_value(f, m) = items;
    *ath_field_count(f, m) = (size_t)node->n;
    for (const ath_toml *item = node->first; item; item = item->next, items += bytes) {
        if (is_table) ATH_TRY(new_message(r, f->descriptor, (ProtobufCMessage **)(void *)items));
        ATH_TRY(read_value(r, item, f, path, items));
    }
    return ATH_OK;
}

static ath_err read_field(ath_job_reader *r, const ath_toml *node,
                          const ProtobufCFieldDescriptor *f, ProtobufCMessage *m, const char *path)
{
    if (ath_job_is_many(f)) return read_array(r, node, f, m, path);
    protobuf_c_boolean *given = ath_field_given(f, m);
    if (given) *given = true;
    return read_value(r, node, f, path, ath_field_value(f, m));
}

/* The field called `key` (n bytes), or NULL. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  const char *key, size_t n)
{
    char name[ATH_JOB_PATH_BYTES];

    for (unsigned i = 0; i < type->n_fields; i++) {
        ath_job_key_of(&type->fields[i], name);
        if (strlen(name) == n && memcmp(name, key, n) == 0) return &type->fields[i];
    }
    return NULL;
}

/* "; did you mean ...?": a key of this table, or one of this name in another; "" where none is near. */
static void propose(const ProtobufCMessageDescriptor *type, const char *key, char *out, size_t n)
{
    char keys[32][ATH_JOB_PATH_BYTES];
    const char *names[32];

    ATH_ASSERT(type->n_fields <= 32);
    for (unsigned i = 0; i < type->n_fields; i++) {
        ath_job_key_of(&type->fields[i], keys[i]);
        names[i] = keys[i];
    }
    const char *nearest = ath_nearest(key, names, type->n_fields);
    out[0] = 0;
    for (size_t i = 0; !nearest && i < ath_job_n_keys; i++) {
        const char *dot = strrchr(ath_job_keys[i].path, '.');
        if (dot && strcmp(dot + 1, key) == 0) nearest = ath_job_keys[i].path;
    }
    if (nearest) snprintf(out, n, "; did you mean \"%s\"?", nearest);
}

static ath_err refuse_key(ath_job_reader *r, ath_toml_place at,
                          const ProtobufCMessageDescriptor *type, const char *table,
                          const char *key)
{
    char proposal[ATH_JOB_PATH_BYTES + 32];

    if (r->n_problems >= ATH_JOB_PROBLEMS) return ath_job_complain(r, at, "one more"); /* counted */
    propose(type, key, proposal, sizeof proposal);
    if (proposal[0]) return ath_job_complain(r, at, "no key \"%.40s\"%s", key, proposal);
    return ath_job_complain(r, at, "no key \"%.40s\" in %s%s; athanor help job lists the keys", key,
                            *table ? table : "a job", *table ? "" : " outside its tables");
}

static ath_err read_table(ath_job_reader *r, const ath_toml *node, ProtobufCMessage *m,
                          const char *table)
{
    char path[ATH_JOB_PATH_BYTES];

    for (const ath_toml *item = node->first; item; item = item->next) {
        const ProtobufCFieldDescriptor *f = find_field(m->descriptor, item->key, strlen(item->key));
        if (!f) {
            ATH_TRY(refuse_key(r, item->key_at, m->descriptor, table, item->key));
            continue;
        }
        ath_job_path_of(table, f, path);
        ATH_TRY(read_field(r, item, f, m, path));
    }
    return ATH_OK;
}

/* The value of a --set as a node: TOML where it is some, else the text itself. */
static ath_err parse_value(ath_job_reader *r, const char *value, ath_toml **out)
{
    const char *line = NULL;
    ath_toml *root = NULL;

    ATH_TRY(ath_arena_print(&r->arena, &line, "value = %s", value));
    ath_err err = ath_toml_parse(line, strlen(line), r->source, &r->arena, &root);
    if (err == ATH_ENOMEM) return ath_pass_at(err, __FILE__, __LINE__, "ath_toml_parse");
    if (!err && root->n == 1) {
        *out = root->first;
        return ATH_OK;
    }
    ath_err_clear();
    ATH_TRY(ATH_ARENA_NEW(&r->arena, 1, out));
    (*out)->kind = ATH_TOML_TEXT;
    (*out)->text = value;
    return ATH_OK;
}

/* "0" in sample.0.prompt: one that is there, or one more. */
static ath_err step_into(ath_job_reader *r, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
                         size_t index, ProtobufCMessage **out)
{
    ProtobufCMessage ***items = ath_field_value(f, m), **more = NULL;
    size_t *n = ath_field_count(f, m);

    if (index == *n && *n < MAX_ITEMS) {
        ATH_TRY(ATH_ARENA_NEW(&r->arena, *n + 1, &more));
        if (*n) memcpy(more, *items, *n * sizeof *more);
        ATH_TRY(new_message(r, f->descriptor, &more[*n]));
        *items = more;
        ++*n;
    }
    *out = index < *n ? (*items)[index] : NULL;
    return ATH_OK;
}

/* Follows the key from `m` on; `rest` is what is left of it. */
static ath_err apply_set(ath_job_reader *r, ProtobufCMessage *m, const char *rest,
                         const char *value)
{
    char path[ATH_JOB_PATH_BYTES] = "", table[ATH_JOB_PATH_BYTES] = "", word[48];
    const ath_toml_place nowhere = {0};
    ath_toml *node = NULL;

    for (;;) {
        size_t n = strcspn(rest, ".");
        const ProtobufCFieldDescriptor *f = find_field(m->descriptor, rest, n);
        snprintf(word, sizeof word, "%.*s", (int)(n < 40 ? n : 40), rest);
        if (!f) return refuse_key(r, nowhere, m->descriptor, table, word);
        ath_job_path_of(table, f, path);
        rest += n;
        bool is_table = ath_job_form_of(f) == ATH_JOB_TABLE;
        if (!*rest) {
            ATH_TRY(parse_value(r, value, &node));
            return read_field(r, node, f, m, path);
        }
        rest++;
        if (!is_table) return ath_job_complain(r, nowhere, "%s holds no keys", path);
        if (!ath_job_is_many(f)) {
            m = *(ProtobufCMessage **)ath_field_value(f, m);
        } else {
            char *end = NULL;
            size_t index = *rest >= '0' && *rest <= '9' ? strtoull(rest, &end, 10) : SIZE_MAX;
            if (end && *end == '.') ATH_TRY(step_into(r, f, m, index, &m));
            if (!end || *end != '.' || !m)
                return ath_job_complain(r, nowhere, "%s is an array: write %s.0.key", path, path);
            rest = end + 1;
        }
        snprintf(table, sizeof table, "%s", path);
    }
}

static ath_err apply_sets(ath_job_reader *r, ProtobufCMessage *job)
{
    for (int i = 0; i < r->n_sets; i++) {
        const char *equals = strchr(r->sets[i], '='), *key = NULL;
        ATH_TRY(ath_arena_print(&r->arena, &r->source, "--set %s", r->sets[i]));
        r->raw = equals ? equals + 1 + strspn(equals + 1, " ") : "";
        int n = equals ? (int)(equals - r->sets[i]) : 0;
        while (n && r->sets[i][n - 1] == ' ') n--;
        if (n) {
            ATH_TRY(ath_arena_print(&r->arena, &key, "%.*s", n, r->sets[i]));
            ATH_TRY(apply_set(r, job, key, r->raw));
        } else {
            ATH_TRY(ath_job_complain(r, (ath_toml_place){0}, "wanted key=value"));
        }
        r->raw = NULL;
    }
    r->source = r->path;
    return ATH_OK;
}

/* All values count as given from here on, so that the packed job holds them. */
static ath_err complete(ath_job_reader *r, ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        void *value = ath_field_value(f, m);
        if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
            bool many = ath_job_is_many(f);
            ProtobufCMessage **parts = many ? *(ProtobufCMessage ***)value : value;
            size_t n = many ? *ath_field_count(f, m) : 1;
            for (size_t k = 0; k < n; k++) ATH_TRY(complete(r, parts[k]));
        } else if (ath_job_is_many(f)) {
            continue;
        } else if (f->type == PROTOBUF_C_TYPE_STRING) {
            const char **text = value; /* protobuf-c leaves out what is the default by address */
            ATH_TRY(ath_arena_print(&r->arena, text, "%s", *text));
        } else {
            *ath_field_given(f, m) = true;
        }
    }
    return ATH_OK;
}

/* "q-style" of "jobs/q-style.toml". */
static ath_err name_after_file(ath_job_reader *r, Athanor__Job *job)
{
    const char *slash = strrchr(r->path, '/'), *base = slash ? slash + 1 : r->path;
    const char *dot = strrchr(base, '.');
    const char *name = NULL;

    if (job->name[0]) return ATH_OK;
    ATH_TRY(ath_arena_print(&r->arena, &name, "%.*s",
                            (int)(dot && dot > base ? dot - base : (int)strlen(base)), base));
    job->name = (char *)(uintptr_t)name;
    return ATH_OK;
}

static ath_err read_all(ath_job_reader *r, const char *text, size_t n, uint8_t **packed,
                        size_t *bytes)
{
    ProtobufCMessage *m = NULL;
    ath_toml *root = NULL;

    ATH_TRY(ath_toml_parse(text, n, r->path, &r->arena, &root));
    r->root = root;
    ATH_TRY(new_message(r, &athanor__job__descriptor, &m));
    Athanor__Job *job = (Athanor__Job *)m;
    ATH_TRY(read_table(r, root, m, ""));
    ATH_TRY(apply_sets(r, m));
    ATH_TRY(name_after_file(r, job));
    ATH_TRY(ath_job_rules(r, job));
    ATH_TRY(ath_job_verdict(r));
    ATH_TRY(complete(r, m));
    return ath_message_pack(m, packed, bytes);
}

ath_err ath_job_read_text(const char *text, size_t n, const char *path, const char *const *sets,
                          int n_sets, Athanor__Job **out)
{
    ath_job_reader r = {.path = path, .source = path, .sets = sets, .n_sets = n_sets};
    uint8_t *packed = NULL;
    size_t bytes = 0;

    ath_err err = read_all(&r, text, n, &packed, &bytes);
    if (err)
        err = ath_pass_at(err, __FILE__, __LINE__, "read_all");
    else
        err = ath_job_unpack(packed, bytes, out);
    ath_mem_free(&packed);
    ath_arena_release(&r.arena);
    return err;
}

ath_err ath_job_read(const char *path, const char *const *sets, int n_sets, Athanor__Job **out)
{
    char *text = NULL;
    size_t n = 0;

    ATH_TRY(ath_file_read(path, MAX_BYTES, &text, &n));
    ath_err err = ath_job_read_text(text, n, path, sets, n_sets, out);
    ath_mem_free(&text);
    return err;
}
