/* Archives as torch.save lays them out, for tests: stored members with right checksums. */
#ifndef ATH_TESTS_ZIP_MAKER_H
#define ATH_TESTS_ZIP_MAKER_H

#include "core/str.h"

typedef struct zip_member {
    const char *name;
    const void *bytes;
    size_t n;
} zip_member;

typedef struct zip_how {
    uint16_t flags, method;
    bool is_64;          /* sizes and places as 64-bit numbers, with a zip64 record */
    const char *comment; /* of the archive; NULL: none */
} zip_how;

/* Appends the archive to `out`, whose error latches. */
void zip_make(ath_str *out, const zip_member *members, int n, zip_how how);

#endif
