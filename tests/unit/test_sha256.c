/* SHA-256 of files: the known answers of FIPS 180 also over pieces, and what goes wrong is said. */
#include "core/io/file.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/athanor-sha256-XXXXXX";

static void check(const char *bytes, size_t n, const char *wanted)
{
    char text[ATH_SHA256_TEXT];

    CHECK_OK(ath_file_publish(path, bytes, n));
    CHECK_OK(ath_sha256_of_file(path, text));
    CHECK_STR(text, wanted);
}

static ath_err refuse(void *context, const void *bytes, size_t n)
{
    (void)context;
    (void)bytes;
    return ath_raise(ATH_ECANCELED, "refused %zu", n);
}

int main(void)
{
    static char million[1000000];
    char text[ATH_SHA256_TEXT] = "as it was";

    ath_test_begin("known answers");
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    memset(million, 'a', sizeof million);
    check(million, sizeof million,
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

    ath_test_begin("failures");
    CHECK_ERR(ath_file_each(path, refuse, NULL), ATH_ECANCELED);
    ath_mem_fail_from(1);
    CHECK_ERR(ath_sha256_of_file(path, text), ATH_ENOMEM);
    ath_mem_fail_from(0);
    unlink(path);
    CHECK_ERR(ath_sha256_of_file(path, text), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "no such file");
    CHECK_ERR(ath_sha256_of_file("/", text), ATH_EIO);
    CHECK_STR(text, "as it was");
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
