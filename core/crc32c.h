/*
 * CRC-32C (Castagnoli; RFC 3720): the checksum of records in curve.log and TensorBoard's events.
 * `crc` is what the bytes before gave, 0 at the start. Any thread.
 */
#ifndef ATH_CORE_CRC32C_H
#define ATH_CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t ath_crc32c(uint32_t crc, const void *bytes, size_t n);

#endif
