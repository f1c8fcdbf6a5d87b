/* Every key of a job, from the schema and job_keys.def. */
#include "proto/job_private.h"

#include <ctype.h>
#include <stddef.h>

static void print_row(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m,
                      const ath_job_key *key, ath_job_format format, ath_str *to)
{
    ath_str initial = {0}, wanted = {0};
    char name[ATH_JOB_PATH_BYTES];

    ath_job_key_of(f, name);
    if (ath_job_is_many(f))
        ath_str_print(&initial, "[]");
    else if (ath_job_form_of(f) == ATH_JOB_AMOUNT)
        ath_str_print(&initial, "0");
    else if (ath_job_form_of(f) == ATH_JOB_SIZE)
        ath_str_print(&initial, "512");
    else
        ath_job_print_value(f, ath_field_value(f, m), &initial);
    ath_job_print_wanted(f, key, &wanted);
    if (format == ATH_JOB_MARKDOWN)
        ath_str_print(to, "| `%s` | `%s` | %s | %s |\n", name, ath_str_text(&initial),
                      ath_str_text(&wanted), key->help);
    else
        ath_str_print(to, "  %-20s %s\n  %-20s %s; default %s\n", name, key->help, "",
                      ath_str_text(&wanted), ath_str_text(&initial));
    if (ath_str_check(&initial) || ath_str_check(&wanted)) to->err = ATH_ENOMEM;
    ath_str_release(&initial);
    ath_str_release(&wanted);
}

enum { MESSAGE_BYTES = 512 };

/* A table's own keys, then its tables. */
static void print_table(const ProtobufCMessageDescriptor *type, const char *table,
                        ath_job_format format, ath_str *to)
{
    _Alignas(max_align_t) char room[MESSAGE_BYTES] = {0};
    ProtobufCMessage *m = (ProtobufCMessage *)(void *)room;
    char path[ATH_JOB_PATH_BYTES];

    ATH_ASSERT(type->sizeof_message <= sizeof room);
    protobuf_c_message_init(type, m);
    if (format == ATH_JOB_MARKDOWN)
        ath_str_print(to, "| key | default | wanted | is |\n|---|---|---|---|\n");
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (ath_job_form_of(f) == ATH_JOB_TABLE) continue;
        ath_job_path_of(table, f, path);
        print_row(f, m, ath_job_key_find(path), format, to);
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        bool many = ath_job_is_many(f);
        if (ath_job_form_of(f) != ATH_JOB_TABLE) continue;
        ath_job_path_of(table, f, path);
        const char *open = many ? "[[" : "[", *close = many ? "]]" : "]";
        const char *help = ath_job_key_find(path)->help;
        if (format == ATH_JOB_MARKDOWN)
            ath_str_print(to, "\n## %s%s%s\n\n%c%s.\n\n", open, path, close,
                          toupper((unsigned char)help[0]), help + 1);
        else
            ath_str_print(to, "\n%s%s%s  %s\n", open, path, close, help);
        print_table(f->descriptor, path, format, to);
    }
}

void ath_job_help(ath_job_format format, ath_str *to)
{
    if (format == ATH_JOB_MARKDOWN)
        ath_str_print(
            to, "# The job file\n\n"
                "A job is one TOML file. Every key has a default but `data.train`; unknown keys "
                "and values out of range are refused, with the place and what is wanted. "
                "`--set key=value` changes one for a single run. Paths count from the folder "
                "in which `athanor` is started.\n\n"
                "`athanor help job` prints this page, which is made from `proto/job.proto` and "
                "`proto/job_keys.def`; `make golden` writes it anew.\n\n## outside the tables\n\n");
    else
        ath_str_print(
            to, "A job is one TOML file with these keys; --set key=value changes one for a "
                "single run,\nas in --set train.epochs=20 or --set sample.0.prompt=\"a cat\".\n\n");
    print_table(&athanor__job__descriptor, "", format, to);
}
