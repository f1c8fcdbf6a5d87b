/*
 * Packed messages of protobuf, with our memory and our errors. protobuf-c gives a message's type as
 * data (a descriptor); these functions take any of ours.
 */
#ifndef ATH_PROTO_MESSAGE_H
#define ATH_PROTO_MESSAGE_H

#include "core/err.h"
#include <protobuf-c/protobuf-c.h>

/* The bytes of a message (ath_mem_free); equal messages give equal bytes. */
ATH_MUST ath_err ath_message_pack(const ProtobufCMessage *m, uint8_t **out, size_t *n);

/* A message of type `type` from bytes that may come from anywhere: EFORMAT where they are none.
 * Tables it lacks are there with their defaults. */
ATH_MUST ath_err ath_message_unpack(const ProtobufCMessageDescriptor *type, const void *bytes,
                                    size_t n, ProtobufCMessage **out);

/* Frees what ath_message_unpack gave; accepts NULL. */
void ath_message_drop(ProtobufCMessage *m);

/* The members of field `f`: its value (a pointer to them if it is repeated) and how many there are
 * (repeated) or whether it was given (a bool; NULL: texts and tables have none). */
void *ath_field_value(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m);
size_t *ath_field_count(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m);
protobuf_c_boolean *ath_field_given(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m);

#endif
