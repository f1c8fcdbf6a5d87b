/* Environment variables: exact errors, hints, defaults that are valid. */
#include "core/var.h"
#include "tests/harness.h"

#include <stdlib.h>

static void check_parse(void)
{
    static const ath_var_row word = {"ATH_CHECK", ATH_VAR_IS_WORD, "off", "off|nan|bits", ""},
                             number = {"ATH_N", ATH_VAR_IS_INT, "1", "-3..64", ""},
                             text = {"ATH_PLACE", ATH_VAR_IS_TEXT, "", "FOLDER", ""};
    static const char *const bad[] = {
        "", " 1", "1 ", "+1", "0x3", "1.5", "65", "-4", "one", "-", "99999999999999999999"};
    ath_var_value v = {0};

    ath_test_begin("parse");
    CHECK_OK(ath_var_parse(&word, "off", &v));
    CHECK_EQ(v.number, 0);
    CHECK_OK(ath_var_parse(&word, "bits", &v));
    CHECK_EQ(v.number, 2);
    CHECK_STR(v.text, "bits");
    CHECK_ERR(ath_var_parse(&word, "bit", &v), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "ATH_CHECK is \"bit\", wanted off|nan|bits; did you mean bits?");
    CHECK_ERR(ath_var_parse(&word, "", &v), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "ATH_CHECK is \"\", wanted off|nan|bits (");
    CHECK_ERR(ath_var_parse(&word, "off|nan", &v), ATH_EINVAL);
    CHECK_EQ(v.number, 2); /* untouched */

    CHECK_OK(ath_var_parse(&number, "-3", &v));
    CHECK_EQ(v.number, -3);
    CHECK_OK(ath_var_parse(&number, "64", &v));
    CHECK_EQ(v.number, 64);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ath_var_parse(&number, bad[i], &v), ATH_EINVAL);
    CHECK_HAS(ath_err_text(),
              "ATH_N is \"99999999999999999999\", wanted a whole number from -3 to 64");
    CHECK_OK(ath_var_parse(&text, "any thing", &v));
    CHECK_STR(v.text, "any thing");
}

static void check_env(void)
{
    char fine[] = "ATH_ISA=v3", misspelt[] = "ATH_IAS=v3", bad[] = "ATH_ISA=v33",
         other[] = "PATH=/", empty[] = "ATH_ISA=", odd[] = "ATH_";
    char *good_env[] = {other, fine, odd, NULL};

    ath_test_begin("environment");
    CHECK_OK(ath_var_check(good_env));
    CHECK_ERR(ath_var_check((char *[]){other, misspelt, NULL}), ATH_EINVAL);
    CHECK_HAS(ath_err_text(),
              "ATH_IAS: there is no such environment variable; did you mean ATH_ISA?");
    CHECK_ERR(ath_var_check((char *[]){bad, NULL}), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "ATH_ISA is \"v33\", wanted best|base|v3|v4; did you mean v3?");
    CHECK_ERR(ath_var_check((char *[]){empty, NULL}), ATH_EINVAL);
}

static void check_get(void)
{
    ath_test_begin("get");
    unsetenv("ATH_ISA");
    CHECK_STR(ath_var_get(ATH_VAR_ISA).text, "best");
    setenv("ATH_ISA", "v4", 1);
    CHECK_EQ(ath_var_get(ATH_VAR_ISA).number, 3);
    setenv("ATH_ISA", "v5", 1);
    CHECK_STR(ath_var_get(ATH_VAR_ISA).text, "best");
    unsetenv("ATH_ISA");
}

static void check_rows(void)
{
    ath_str s = {0};
    ath_var_value v;

    ath_test_begin("rows");
    ath_var_print(&s);
    for (int i = 0; i < ATH_N_VARS; i++) {
        CHECK_OK(ath_var_parse(&ath_vars[i], ath_vars[i].initial, &v));
        CHECK_HAS(ath_str_text(&s), ath_vars[i].name);
        CHECK_HAS(ath_str_text(&s), ath_vars[i].help);
    }
    CHECK_HAS(ath_str_text(&s), "ATH_ISA=best|base|v3|v4  (default: best)\n");
    CHECK_OK(ath_str_check(&s));
    ath_str_release(&s);
}

int main(void)
{
    check_parse();
    check_env();
    check_get();
    check_rows();
    return ath_test_end();
}
