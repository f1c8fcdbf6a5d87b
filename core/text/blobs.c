#include "core/text/blobs.h"

/* The assembler takes the bytes as they are: C has no such thing before C23. */
#define BLOB(name, path)                            \
    __asm__(".pushsection .rodata\n"                \
            ".global " name "\n"                    \
            ".global " name "_end\n" name ":\n"     \
            ".incbin \"" path "\"\n" name "_end:\n" \
            ".byte 0\n"                             \
            ".popsection\n")

BLOB("ath_merges", ATH_MERGES_PATH);
BLOB("ath_entities", ATH_ENTITIES_PATH);
