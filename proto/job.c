#include "proto/job.h"

#include "core/mem.h"
#include "proto/job_private.h"
#include <inttypes.h>

void ath_job_free(Athanor__Job **job)
{
    if (*job) ath_message_drop(&(*job)->base);
    *job = NULL;
}

ath_err ath_job_pack(const Athanor__Job *job, uint8_t **out, size_t *n)
{
    return ath_message_pack(&job->base, out, n);
}

static ath_err check_number(const ath_job_key *key, double x)
{
    ATH_NEED(x >= key->min && x <= key->max, ATH_EFORMAT,
             "packed job: %s is %.10g, wanted %.10g to %.10g", key->path, x, key->min, key->max);
    ATH_NEED(!key->multiple || (int64_t)x % key->multiple == 0, ATH_EFORMAT,
             "packed job: %s is %.10g, wanted a multiple of %" PRId64, key->path, x, key->multiple);
    return ATH_OK;
}

static ath_err check_value(const ProtobufCFieldDescriptor *f, const ath_job_key *key,
                           const void *value)
{
    switch (ath_job_form_of(f)) {
    case ATH_JOB_TEXT:
    case ATH_JOB_SWITCH:
    case ATH_JOB_TABLE:
        return ATH_OK;
    case ATH_JOB_WORD:
        ATH_NEED(protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)value),
                 ATH_EFORMAT, "packed job: %s is %d, which this version does not know", key->path,
                 *(const int *)value);
        return ATH_OK;
    case ATH_JOB_WHOLE:
        return check_number(key, (double)*(const int64_t *)value);
    case ATH_JOB_REAL:
        return check_number(key, *(const double *)value);
    case ATH_JOB_AMOUNT: {
        const Athanor__Amount *amount = *(Athanor__Amount *const *)value;
        ATH_NEED(amount->share >= 0 && amount->share <= 1, ATH_EFORMAT,
                 "packed job: %s is a share of %g, wanted 0 to 1", key->path, amount->share);
        return check_number(key, (double)amount->steps);
    }
    case ATH_JOB_SIZE: {
        const Athanor__Size *size = *(Athanor__Size *const *)value;
        ATH_TRY(check_number(key, (double)size->width));
        return check_number(key, (double)size->height);
    }
    case ATH_N_JOB_FORMS:
        break;
    }
    ATH_ASSERT(!"a form of field");
}

static ath_err check_table(const ProtobufCMessage *m, const char *table)
{
    char path[ATH_JOB_PATH_BYTES];

    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        bool many = ath_job_is_many(f);
        char *items = many ? *(char **)ath_field_value(f, m) : ath_field_value(f, m);
        size_t n = many ? *ath_field_count(f, m) : 1;
        ath_job_path_of(table, f, path);
        const ath_job_key *key = ath_job_key_find(path);
        ATH_ASSERT(key);
        for (size_t k = 0; k < n; k++, items += ath_job_element_bytes(f)) {
            ATH_TRY(check_value(f, key, items));
            if (ath_job_form_of(f) == ATH_JOB_TABLE)
                ATH_TRY(check_table(*(ProtobufCMessage **)(void *)items, path));
        }
    }
    return ATH_OK;
}

ath_err ath_job_unpack(const void *bytes, size_t n, Athanor__Job **out)
{
    ProtobufCMessage *m = NULL;

    ATH_TRY(ath_message_unpack(&athanor__job__descriptor, bytes, n, &m));
    ath_err err = check_table(m, "");
    if (err) {
        ath_message_drop(m);
        return ath_pass_at(err, __FILE__, __LINE__, "check_table");
    }
    *out = (Athanor__Job *)m;
    return ATH_OK;
}
