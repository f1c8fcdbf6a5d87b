#include "proto/job_private.h"
#include "proto/message.h"

#include <string.h>

/* What changes no bit of the weights: how often things are saved and drawn, where they lie, how long a
 * rank is waited for, how often memory is looked at. And what is done once no step succeeds. */
bool ath_job_is_free(const char *key)
{
    static const char *const free_keys[] = {"save",
                                            "sample",
                                            "out",
                                            "data.cache",
                                            "train.watch_seconds",
                                            "train.skip_limit",
                                            "train.rollback_rate",
                                            "train.digest_every"};

    for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++) {
        const size_t n = strlen(free_keys[i]);
        if (strncmp(key, free_keys[i], n) == 0 && (key[n] == '.' || !key[n])) return true;
    }
    return false;
}

typedef struct comparison {
    ath_job_change_fn *each;
    void *context;
} comparison;

static ath_err tell(const comparison *c, const char *path, const ath_str *was, const ath_str *is)
{
    ATH_TRY(ath_str_check(was));
    ATH_TRY(ath_str_check(is));
    if (was->n == is->n && memcmp(ath_str_text(was), ath_str_text(is), was->n) == 0) return ATH_OK;
    return c->each(c->context, path, ath_str_text(was), ath_str_text(is));
}

static ath_err compare_field(const comparison *c, const char *path,
                             const ProtobufCFieldDescriptor *f, const ProtobufCMessage *const m[2])
{
    ath_str text[2] = {{0}, {0}};

    for (int i = 0; i < 2; i++) ath_job_print_field(path, f, m[i], &text[i]);
    const ath_err err = tell(c, path, &text[0], &text[1]);
    for (int i = 0; i < 2; i++) ath_str_release(&text[i]);
    return err;
}

static ath_err compare(const comparison *c, const char *table, const ProtobufCMessage *was,
                       const ProtobufCMessage *is)
{
    const ProtobufCMessage *const both[2] = {was, is};
    const ProtobufCMessageDescriptor *type = was->descriptor;
    char path[ATH_JOB_PATH_BYTES];

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        ath_job_path_of(table, f, path);
        if (ath_job_form_of(f) == ATH_JOB_TABLE && !ath_job_is_many(f))
            ATH_TRY(compare(c, path, *(ProtobufCMessage *const *)ath_field_value(f, was),
                            *(ProtobufCMessage *const *)ath_field_value(f, is)));
        else
            ATH_TRY(compare_field(c, path, f, both));
    }
    return ATH_OK;
}

ath_err ath_job_changes(const Athanor__Job *was, const Athanor__Job *is, ath_job_change_fn *each,
                        void *context)
{
    const comparison c = {each, context};

    return compare(&c, "", &was->base, &is->base);
}
