#include "proto/job_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fewest digits that read back as the same number. */
static void print_real(double x, ath_str *to)
{
    char text[40];

    if (x == floor(x) && fabs(x) < 1e15) {
        ath_str_print(to, "%.1f", x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    ath_str_print(to, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

/* The fewest digits that, divided by 100 as the reader does, give the same share. Near share * 100
 * there is such a number, since the share was read from one. */
static void print_share(double share, ath_str *to)
{
    const double near[] = {share * 100, nextafter(share * 100, 0), nextafter(share * 100, 200)};
    char text[40] = "";

    for (int digits = 1; digits <= 17; digits++) {
        for (int i = 0; i < 3; i++) {
            snprintf(text, sizeof text, "%.*g", digits, near[i]);
            if (strtod(text, NULL) / 100 == share) goto found;
        }
    }
found:
    ath_str_print(to, "\"%s%%\"", text);
}

static void print_text(const char *text, ath_str *to)
{
    ath_str_put(to, "\"", 1);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            ath_str_print(to, "\\%c", c);
        else if (c == '\n')
            ath_str_print(to, "\\n");
        else if (c == '\t')
            ath_str_print(to, "\\t");
        else if (c < 0x20 || c == 0x7f)
            ath_str_print(to, "\\u%04X", c);
        else
            ath_str_put(to, text, 1);
    }
    ath_str_put(to, "\"", 1);
}

static void print_word(const ProtobufCEnumDescriptor *e, int value, ath_str *to)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(e, value);
    char word[ATH_JOB_PATH_BYTES];

    ATH_ASSERT(v); /* reading and unpacking refuse other values */
    ath_job_word_of(v, word);
    ath_str_print(to, "\"%s\"", word);
}

static void print_amount(const Athanor__Amount *a, ath_str *to)
{
    if (a->share > 0)
        print_share(a->share, to);
    else
        ath_str_print(to, "%" PRId64, a->steps);
}

static void print_size(const Athanor__Size *s, ath_str *to)
{
    if (s->width == s->height)
        ath_str_print(to, "%" PRId64, s->width);
    else
        ath_str_print(to, "[%" PRId64 ", %" PRId64 "]", s->width, s->height);
}

void ath_job_print_value(const ProtobufCFieldDescriptor *f, const void *value, ath_str *to)
{
    switch (ath_job_form_of(f)) {
    case ATH_JOB_TEXT:
        print_text(*(char *const *)value, to);
        return;
    case ATH_JOB_WORD:
        print_word(f->descriptor, *(const int *)value, to);
        return;
    case ATH_JOB_SWITCH:
        ath_str_print(to, "%s", *(const protobuf_c_boolean *)value ? "true" : "false");
        return;
    case ATH_JOB_WHOLE:
        ath_str_print(to, "%" PRId64, *(const int64_t *)value);
        return;
    case ATH_JOB_REAL:
        print_real(*(const double *)value, to);
        return;
    case ATH_JOB_AMOUNT:
        print_amount(*(Athanor__Amount *const *)value, to);
        return;
    case ATH_JOB_SIZE:
        print_size(*(Athanor__Size *const *)value, to);
        return;
    case ATH_JOB_TABLE:
    case ATH_N_JOB_FORMS:
        break;
    }
    ATH_ASSERT(!"a value");
}

static void print_values(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m, ath_str *to)
{
    const void *value = ath_field_value(f, m);

    if (!ath_job_is_many(f)) {
        ath_job_print_value(f, value, to);
        return;
    }
    const char *items = *(char *const *)value;
    ath_str_print(to, "[");
    for (size_t i = 0; i < *ath_field_count(f, m); i++) {
        ath_str_print(to, "%s", i ? ", " : "");
        ath_job_print_value(f, items + i * ath_job_element_bytes(f), to);
    }
    ath_str_print(to, "]");
}

static void print_line(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m, ath_str *to)
{
    char key[ATH_JOB_PATH_BYTES];

    ath_job_key_of(f, key);
    ath_str_print(to, "%s = ", key);
    print_values(f, m, to);
    ath_str_print(to, "\n");
}

static void print_table(const char *table, const ProtobufCMessage *m, ath_str *to);

static void print_tables(const char *path, const ProtobufCFieldDescriptor *f,
                         const ProtobufCMessage *m, ath_str *to)
{
    const bool many = ath_job_is_many(f);
    void *value = ath_field_value(f, m);
    ProtobufCMessage **items = many ? *(ProtobufCMessage ***)value : value;
    const size_t n = many ? *ath_field_count(f, m) : 1;

    for (size_t k = 0; k < n; k++) {
        ath_str_print(to, many ? "\n[[%s]]\n" : "\n[%s]\n", path);
        print_table(path, items[k], to);
    }
}

/* A table's own values first: in TOML what follows the head of a table belongs to that one. */
static void print_table(const char *table, const ProtobufCMessage *m, ath_str *to)
{
    const ProtobufCMessageDescriptor *type = m->descriptor;
    char path[ATH_JOB_PATH_BYTES];

    for (unsigned i = 0; i < type->n_fields; i++)
        if (ath_job_form_of(&type->fields[i]) != ATH_JOB_TABLE) print_line(&type->fields[i], m, to);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (ath_job_form_of(f) != ATH_JOB_TABLE) continue;
        ath_job_path_of(table, f, path);
        print_tables(path, f, m, to);
    }
}

void ath_job_print_field(const char *path, const ProtobufCFieldDescriptor *f,
                         const ProtobufCMessage *m, ath_str *to)
{
    if (ath_job_form_of(f) == ATH_JOB_TABLE)
        print_tables(path, f, m, to);
    else
        print_values(f, m, to);
}

void ath_job_print(const Athanor__Job *job, ath_str *to)
{
    print_table("", &job->base, to);
}
