#include "proto/message.h"

#include "core/mem.h"
#include <string.h>

enum { MAX_BYTES = 1 << 30 };

static void *alloc(void *failed, size_t n)
{
    void *p = NULL;

    if (ath_mem_new(1, n, "message", &p)) *(bool *)failed = true;
    return p;
}

static void drop(void *failed, void *p)
{
    (void)failed;
    ath_mem_drop(p);
}

void *ath_field_value(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    return (char *)(uintptr_t)m + f->offset;
}

size_t *ath_field_count(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    return (size_t *)(void *)((char *)(uintptr_t)m + f->quantifier_offset);
}

protobuf_c_boolean *ath_field_given(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    if (!f->quantifier_offset) return NULL;
    return (protobuf_c_boolean *)(void *)((char *)(uintptr_t)m + f->quantifier_offset);
}

/* Tables that the bytes did not hold. */
static ath_err add_tables(ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) continue; /* what is not said is not meant */
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage **items = *(ProtobufCMessage ***)ath_field_value(f, m);
            for (size_t k = 0; k < *ath_field_count(f, m); k++) ATH_TRY(add_tables(items[k]));
            continue;
        }
        ProtobufCMessage **part = ath_field_value(f, m);
        const ProtobufCMessageDescriptor *type = f->descriptor;
        if (!*part) {
            ATH_TRY(ath_mem_new(1, type->sizeof_message, "message", (void **)part));
            protobuf_c_message_init(type, *part);
        }
        ATH_TRY(add_tables(*part));
    }
    return ATH_OK;
}

ath_err ath_message_pack(const ProtobufCMessage *m, uint8_t **out, size_t *n)
{
    size_t bytes = protobuf_c_message_get_packed_size(m);
    uint8_t *packed = NULL;

    ATH_TRY(ATH_NEW(bytes, "packed message", &packed));
    *n = protobuf_c_message_pack(m, packed);
    *out = packed;
    return ATH_OK;
}

ath_err ath_message_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t n,
                           ProtobufCMessage **out)
{
    bool failed = false;
    ProtobufCAllocator memory = {alloc, drop, &failed};

    ATH_NEED(n <= MAX_BYTES, ATH_EFORMAT, "a packed %s of %zu bytes, at most %d", type->short_name,
             n, MAX_BYTES);
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &memory, n, bytes);
    ATH_NEED(!failed, ATH_ENOMEM, "no memory for a %s of %zu bytes", type->short_name, n);
    ATH_NEED(m, ATH_EFORMAT, "%zu bytes are no packed %s", n, type->short_name);
    ath_err err = add_tables(m);
    if (err) {
        ath_message_drop(m);
        return ath_pass_at(err, __FILE__, __LINE__, "add_tables");
    }
    *out = m;
    return ATH_OK;
}

void ath_message_drop(ProtobufCMessage *m)
{
    bool failed = false;
    ProtobufCAllocator memory = {alloc, drop, &failed};

    if (m) protobuf_c_message_free_unpacked(m, &memory);
}
