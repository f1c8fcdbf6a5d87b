/* Any bytes as a torch archive, or, where they do not begin like one, as the pickle in a good one. */
#include "core/io/torch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/zip_maker.h"

#include <string.h>

static void open_archive(const void *bytes, size_t n)
{
    ath_st *st = NULL;
    volatile uint8_t sum = 0;

    if (ath_torch_open_bytes("input", bytes, n, &st)) return;
    for (int64_t i = 0; i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        ATH_ASSERT(ath_st_find(st, t->name) == t);
        for (size_t k = 0; k < t->bytes; k++) sum = sum ^ ((const uint8_t *)t->data)[k];
    }
    ath_st_close(&st);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const uint8_t storage[96] = {1, 2, 3};
    const zip_member members[] = {{"x/data.pkl", bytes, n},
                                  {"x/data/0", storage, 96},
                                  {"x/data/1", storage, 4},
                                  {"x/data/2", storage, 0}};
    ath_str zip = {0};

    if (n >= 2 && memcmp(bytes, "PK", 2) == 0) {
        open_archive(bytes, n);
        return 0;
    }
    zip_make(&zip, members, 4, (zip_how){.is_64 = n % 2});
    if (!ath_str_check(&zip)) open_archive(zip.text, zip.n);
    ath_str_release(&zip);
    return 0;
}
