/*
 * The test harness: checks that print both values, cases, one closing line "N passed, N failed".
 * A test program calls ath_test_begin("case") before each group and returns ath_test_end().
 */
#ifndef ATH_TESTS_HARNESS_H
#define ATH_TESTS_HARNESS_H

#include "core/err.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void ath_test_begin(const char *name);
void ath_test_note(bool ok, const char *file, int line, const char *fmt, ...) ATH_PRINTF(4, 5);
int ath_test_end(void);

#define CHECK(cond) ath_test_note((cond), __FILE__, __LINE__, "%s", #cond)
#define CHECK_EQ(a, b)                                                                            \
    do {                                                                                          \
        int64_t a_ = (int64_t)(a), b_ = (int64_t)(b);                                             \
        ath_test_note(a_ == b_, __FILE__, __LINE__, "%s == %s: %" PRId64 " and %" PRId64, #a, #b, \
                      a_, b_);                                                                    \
    } while (0)
#define CHECK_STR(a, b)                                                                           \
    do {                                                                                          \
        const char *a_ = (a), *b_ = (b);                                                          \
        ath_test_note(strcmp(a_, b_) == 0, __FILE__, __LINE__, "%s == %s: \"%s\" and \"%s\"", #a, \
                      #b, a_, b_);                                                                \
    } while (0)
#define CHECK_HAS(text, part)                                                                   \
    do {                                                                                        \
        const char *a_ = (text), *b_ = (part);                                                  \
        ath_test_note(strstr(a_, b_) != NULL, __FILE__, __LINE__, "\"%s\" contains \"%s\"", a_, \
                      b_);                                                                      \
    } while (0)
#define CHECK_NEAR(a, b, bound)                                                     \
    do {                                                                            \
        double a_ = (double)(a), b_ = (double)(b);                                  \
        ath_test_note(a_ - b_ <= (bound) && b_ - a_ <= (bound), __FILE__, __LINE__, \
                      "%s ~ %s: %.17g and %.17g", #a, #b, a_, b_);                  \
    } while (0)
#define CHECK_BITS(a, b, bytes) \
    ath_test_note(memcmp((a), (b), (bytes)) == 0, __FILE__, __LINE__, "bits of %s == %s", #a, #b)
#define CHECK_OK(call)                                                   \
    do {                                                                 \
        ath_err e_ = (call);                                             \
        ath_test_note(e_ == ATH_OK, __FILE__, __LINE__, "%s: %s", #call, \
                      e_ ? ath_err_text() : "");                         \
    } while (0)
#define CHECK_ERR(call, wanted)                                                       \
    do {                                                                              \
        ath_err e_ = (call);                                                          \
        ath_test_note(e_ == (wanted), __FILE__, __LINE__, "%s: %s, wanted %s", #call, \
                      ath_err_name(e_), ath_err_name(wanted));                        \
    } while (0)

#endif
