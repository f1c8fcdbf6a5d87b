/* Options: values by their row, arguments in their order, every mistake refused with its name. */
#include "core/opt.h"
#include "tests/harness.h"

#include <stddef.h>
#include <stdlib.h>

typedef struct values {
    bool json;
    const char *model;
    int64_t dtype, threads;
    double cfg;
    ath_opt_list sets;
} values;

static const ath_opt opts[] = {
    {"json", ATH_OPT_SWITCH, offsetof(values, json), .help = "for programs"},
    {"model", ATH_OPT_TEXT, offsetof(values, model), "NAME", "tiny", "which network"},
    {"dtype", ATH_OPT_WORD, offsetof(values, dtype), "f32|bf16|f", "bf16", "of activations"},
    {"threads", ATH_OPT_INT, offsetof(values, threads), "-1..64", NULL, "threads of a rank"},
    {"cfg", ATH_OPT_REAL, offsetof(values, cfg), "0..30.5", "7", "guidance"},
    {"set", ATH_OPT_LIST, offsetof(values, sets), "KEY=VALUE", NULL, "one more"},
    {0},
};

enum { MAX_ARGS = 10 };

/* Parses `line`, words between single spaces; `argv` points into static text. */
static ath_err parse(const char *line, values *v, int *argc, char **argv)
{
    static char text[200];
    char *rest = NULL;

    *v = (values){0};
    *argc = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[(*argc)++] = word;
    return ath_opt_parse(opts, v, argc, argv);
}

static void check_refused(const char *line, const char *says)
{
    values v;
    int argc;
    char *argv[MAX_ARGS];

    CHECK_ERR(parse(line, &v, &argc, argv), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), says);
}

static void test_values(void)
{
    values v;
    int argc;
    char *argv[MAX_ARGS];

    CHECK_OK(parse("", &v, &argc, argv));
    CHECK_EQ(argc, 0);
    CHECK_EQ(v.threads, 0);
    CHECK_EQ(v.dtype, 1);
    CHECK_STR(v.model, "tiny");
    CHECK(v.cfg == 7);
    CHECK(!v.json);

    CHECK_OK(parse("job.toml --threads 64 - --model=a=b --json run", &v, &argc, argv));
    CHECK_EQ(argc, 3);
    CHECK_STR(argv[0], "job.toml");
    CHECK_STR(argv[1], "-");
    CHECK_STR(argv[2], "run");
    CHECK_EQ(v.threads, 64);
    CHECK_STR(v.model, "a=b");
    CHECK(v.json);

    CHECK_OK(parse("--cfg 30.5", &v, &argc, argv));
    CHECK(v.cfg == 30.5);
    CHECK_OK(parse("--cfg=.25 --threads=2 --threads -1 --dtype f --model -- -- --json", &v, &argc,
                   argv));
    CHECK(v.cfg == 0.25);
    CHECK_EQ(v.threads, -1);
    CHECK_EQ(v.dtype, 2);
    CHECK_STR(v.model, "--");
    CHECK_EQ(argc, 1);
    CHECK_STR(argv[0], "--json");
    CHECK(!v.json);
}

static void test_list(void)
{
    values v = {0};
    int argc = 0;
    char word[] = "--set=a=1", *argv[ATH_OPT_LIST_MAX + 1];

    CHECK_OK(parse("--set a=1 x --set=b=", &v, &argc, argv));
    CHECK_EQ(v.sets.n, 2);
    CHECK_STR(v.sets.item[0], "a=1");
    CHECK_STR(v.sets.item[1], "b=");
    CHECK_EQ(argc, 1);
    for (int n = ATH_OPT_LIST_MAX; n <= ATH_OPT_LIST_MAX + 1; n++) {
        for (int i = 0; i < n; i++) argv[i] = word;
        v = (values){0};
        argc = n;
        CHECK_ERR(ath_opt_parse(opts, &v, &argc, argv), n > ATH_OPT_LIST_MAX ? ATH_EINVAL : ATH_OK);
        CHECK_EQ(v.sets.n, ATH_OPT_LIST_MAX);
    }
    CHECK_HAS(ath_err_text(), "--set is given more than 64 times");
}

static void test_refused(void)
{
    check_refused("--thread 2", "no option --thread; did you mean --threads?");
    check_refused("--treads=2", "did you mean --threads?");
    check_refused("--json=yes", "--json takes no value");
    check_refused("--threads", "--threads needs a value: -1..64");
    check_refused("--threads -2", "--threads is \"-2\", wanted a number, -1..64");
    check_refused("--threads 65", "-1..64");
    check_refused("--threads 2x", "\"2x\"");
    check_refused("--threads=", "\"\"");
    check_refused("--threads 99999999999999999999", "-1..64");
    check_refused("--cfg 30.6", "--cfg is \"30.6\", wanted a number, 0..30.5");
    check_refused("--cfg nan", "wanted a number, 0..30.5");
    check_refused("--cfg 7,5", "\"7,5\"");
    check_refused("--cfg -0.1", "\"-0.1\"");
    check_refused("--dtype bf1", "--dtype is \"bf1\", wanted f32|bf16|f");
    check_refused("--dtype=", "wanted f32|bf16|f");
    check_refused("--dtype f32|bf16", "wanted f32|bf16|f");
    check_refused("-j", "two dashes");
}

static void test_print(void)
{
    ath_str text = {0};

    ath_opt_print(opts, &text);
    CHECK_OK(ath_str_check(&text));
    CHECK_STR(ath_str_text(&text), "  --json                 for programs\n"
                                   "  --model NAME           which network (tiny)\n"
                                   "  --dtype f32|bf16|f     of activations (bf16)\n"
                                   "  --threads -1..64       threads of a rank\n"
                                   "  --cfg 0..30.5          guidance (7)\n"
                                   "  --set KEY=VALUE        one more\n");
    ath_str_release(&text);
}

int main(void)
{
    ath_test_begin("values");
    test_values();
    ath_test_begin("list");
    test_list();
    ath_test_begin("refused");
    test_refused();
    ath_test_begin("print");
    test_print();
    return ath_test_end();
}
