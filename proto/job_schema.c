#include "proto/job_private.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const ath_job_key ath_job_keys[] = {
#define KEY(path, help)                           {path, 0, 0, 0, help},
#define NUMBER(path, least, most, multiple, help) {path, least, most, multiple, help},
#include "proto/job_keys.def"
#undef KEY
#undef NUMBER
};
const size_t ath_job_n_keys = sizeof ath_job_keys / sizeof *ath_job_keys;

const ath_job_key *ath_job_key_find(const char *path)
{
    for (size_t i = 0; i < ath_job_n_keys; i++)
        if (strcmp(ath_job_keys[i].path, path) == 0) return &ath_job_keys[i];
    return NULL;
}

ath_job_form ath_job_form_of(const ProtobufCFieldDescriptor *f)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (f->descriptor == &athanor__amount__descriptor) return ATH_JOB_AMOUNT;
        if (f->descriptor == &athanor__size__descriptor) return ATH_JOB_SIZE;
        return ATH_JOB_TABLE;
    }
    if (f->type == PROTOBUF_C_TYPE_STRING) return ATH_JOB_TEXT;
    if (f->type == PROTOBUF_C_TYPE_ENUM) return ATH_JOB_WORD;
    if (f->type == PROTOBUF_C_TYPE_BOOL) return ATH_JOB_SWITCH;
    if (f->type == PROTOBUF_C_TYPE_INT64) return ATH_JOB_WHOLE;
    ATH_ASSERT(f->type == PROTOBUF_C_TYPE_DOUBLE);
    return ATH_JOB_REAL;
}

bool ath_job_is_many(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED;
}

size_t ath_job_element_bytes(const ProtobufCFieldDescriptor *f)
{
    switch (ath_job_form_of(f)) {
    case ATH_JOB_SWITCH:
        return sizeof(protobuf_c_boolean);
    case ATH_JOB_WORD:
        return sizeof(int);
    case ATH_JOB_WHOLE:
        return sizeof(int64_t);
    case ATH_JOB_REAL:
        return sizeof(double);
    case ATH_JOB_TEXT:
    case ATH_JOB_AMOUNT:
    case ATH_JOB_SIZE:
    case ATH_JOB_TABLE:
        return sizeof(void *);
    case ATH_N_JOB_FORMS:
        break;
    }
    ATH_ASSERT(!"a form of field");
}

void ath_job_key_of(const ProtobufCFieldDescriptor *f, char *out)
{
    size_t n = strlen(f->name);

    if (f->name[n - 1] == '_') n--;
    snprintf(out, ATH_JOB_PATH_BYTES, "%.*s", (int)n, f->name);
}

void ath_job_word_of(const ProtobufCEnumValue *v, char *out)
{
    snprintf(out, ATH_JOB_PATH_BYTES, "%s", v->name);
    for (; *out; out++) *out = (char)tolower((unsigned char)*out);
}

void ath_job_path_of(const char *table, const ProtobufCFieldDescriptor *f, char *out)
{
    char key[ATH_JOB_PATH_BYTES];

    ath_job_key_of(f, key);
    int n = snprintf(out, ATH_JOB_PATH_BYTES, "%s%s%s", table, *table ? "." : "", key);
    ATH_ASSERT(n < ATH_JOB_PATH_BYTES);
}

static void print_range(const ath_job_key *key, ath_str *to)
{
    ath_str_print(to, ", %.10g to %.10g", key->min, key->max);
    if (key->multiple) ath_str_print(to, ", a multiple of %" PRId64, key->multiple);
}

static void print_words(const ProtobufCEnumDescriptor *e, ath_str *to)
{
    char word[ATH_JOB_PATH_BYTES];

    for (unsigned i = 0; i < e->n_values; i++) {
        ath_job_word_of(&e->values[i], word);
        ath_str_print(to, "%s\"%s\"", i ? ", " : "", word);
    }
}

void ath_job_print_wanted(const ProtobufCFieldDescriptor *f, const ath_job_key *key, ath_str *to)
{
    bool many = ath_job_is_many(f);

    switch (ath_job_form_of(f)) {
    case ATH_JOB_TEXT:
        ath_str_print(to, "a text");
        return;
    case ATH_JOB_SWITCH:
        ath_str_print(to, "true or false");
        return;
    case ATH_JOB_WORD:
        ath_str_print(to, many ? "any of " : "one of ");
        print_words(f->descriptor, to);
        if (many) ath_str_print(to, ", in brackets");
        return;
    case ATH_JOB_WHOLE:
        ath_str_print(to, "a whole number");
        print_range(key, to);
        return;
    case ATH_JOB_REAL:
        ath_str_print(to, "a number");
        print_range(key, to);
        if (key->max == 1) ath_str_print(to, ", or a share such as \"5%%\"");
        return;
    case ATH_JOB_AMOUNT:
        ath_str_print(to, "a count such as 500, or a share of all steps such as \"5%%\"");
        return;
    case ATH_JOB_SIZE:
        ath_str_print(to, "pixels such as 512, or width and height such as [512, 768]");
        print_range(key, to);
        return;
    case ATH_JOB_TABLE:
        ath_str_print(to, many ? "an array of tables, [[%s]]" : "a table, [%s]", key->path);
        return;
    case ATH_N_JOB_FORMS:
        break;
    }
    ATH_ASSERT(!"a form of field");
}
