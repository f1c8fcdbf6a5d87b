/* Errors: one cause, then the places it passed; per thread; never longer than its buffer. */
#include "core/thread.h"
#include "tests/harness.h"

#include <errno.h>

static ath_err fails(void)
{
    return ath_raise(ATH_ESHAPE, "found %d, wanted %d", 3, 4);
}

static ath_err passes(void)
{
    ATH_TRY(fails());
    return ATH_OK;
}

static ath_err passes_out(int *n_given_back)
{
    ath_err err = ATH_OK;

    ATH_TRY_OUT(passes());
out:
    ++*n_given_back;
    return err;
}

static void check_names(void)
{
    ath_test_begin("names");
    for (int i = 0; i < ATH_N_ERRS; i++)
        for (int k = 0; k < i; k++)
            CHECK(strcmp(ath_err_name((ath_err)i), ath_err_name((ath_err)k)) != 0);
    CHECK_STR(ath_err_name(ATH_ESHAPE), "ESHAPE");
    CHECK_STR(ath_err_name((ath_err)999), "unknown error");
    CHECK_EQ(ath_err_exit_code(ATH_OK), 0);
    CHECK_EQ(ath_err_exit_code(ATH_ENOMEM), 33);
    CHECK_EQ(ath_err_exit_code(ATH_ECANCELED), 75);
    CHECK_EQ(ath_err_exit_code((ath_err)-1), 1);
}

static void check_text(void)
{
    int n_given_back = 0;

    ath_test_begin("text");
    ath_err_clear();
    CHECK_STR(ath_err_text(), "");
    CHECK_ERR(passes_out(&n_given_back), ATH_ESHAPE);
    CHECK_EQ(n_given_back, 1);
    const char *text = ath_err_text();
    CHECK(strncmp(text, "ESHAPE: found 3, wanted 4 (test_err.c:", 38) == 0);
    CHECK_HAS(text, "\n  in fails (test_err.c:");
    CHECK_HAS(strstr(text, "in fails"), "\n  in passes (test_err.c:");

    char saved[256];
    snprintf(saved, sizeof saved, "%s", text);
    CHECK_ERR(ath_raise(ATH_EIO, "another"), ATH_EIO);
    CHECK(strstr(ath_err_text(), "found 3") == NULL);
    CHECK_ERR(ath_err_restore(ATH_ESHAPE, saved), ATH_ESHAPE);
    CHECK_STR(ath_err_text(), saved);
    CHECK_ERR(ath_err_restore(ATH_ESHAPE, ath_err_text()), ATH_ESHAPE);
    CHECK_STR(ath_err_text(), saved);
}

static void check_long(void)
{
    char big[40000];

    ath_test_begin("long texts are cut");
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    CHECK_ERR(ath_raise(ATH_EIO, "%s", big), ATH_EIO);
    for (int i = 0; i < 1000; i++) CHECK_ERR(ath_pass_at(ATH_EIO, big, i, big), ATH_EIO);
    CHECK(strlen(ath_err_text()) < sizeof big / 2);
}

static void check_sys(void)
{
    ath_test_begin("system calls");
    errno = ENOSPC;
    CHECK_ERR(ath_sys(-1, "run/x"), ATH_EIO);
    CHECK_HAS(ath_err_text(), "run/x: No space left on device");
    errno = ENOMEM;
    CHECK_ERR(ath_sys(-1, "run/x"), ATH_ENOMEM);
    CHECK_OK(ath_sys(0, "run/x"));
    CHECK_OK(ath_sys(INT64_MAX, "run/x"));
}

static ath_err raise_elsewhere(void *seen, const ath_cancel *cancel)
{
    (void)cancel;
    *(bool *)seen = ath_err_text()[0] == 0;
    (void)ath_raise(ATH_ENAN, "elsewhere");
    return ATH_OK;
}

static void check_threads(void)
{
    ath_pool *pool = NULL;
    bool was_empty = false;

    ath_test_begin("each thread has its own");
    CHECK_ERR(ath_raise(ATH_EIO, "here"), ATH_EIO);
    CHECK_OK(ath_pool_create(1, 1, &pool));
    CHECK_OK(ath_pool_submit(pool, raise_elsewhere, &was_empty));
    CHECK_OK(ath_pool_wait(pool));
    CHECK(was_empty);
    CHECK_HAS(ath_err_text(), "here");
    ath_pool_destroy(&pool);
}

int main(void)
{
    check_names();
    check_text();
    check_long();
    check_sys();
    check_threads();
    return ath_test_end();
}
