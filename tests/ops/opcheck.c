#include "tests/ops/opcheck.h"

#include "kernels/cuda.h"
#include "kernels/ops.h"
#if ATH_OPCHECK_SHIM
#include "tests/cuda/shim_library.h"
#endif

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In the order of the words of their options. */
enum { ANY = 0, DTYPE_F32 = 1, DTYPE_BF16 = 2 };
enum { MODE_ALL, MODE_REFUSE, MODE_GRAD, MODE_VALUE, MODE_BITS, MODE_PERF, MODE_SELF };
enum {
    OPT_MODE,
    OPT_OP,
    OPT_CASE,
    OPT_TAG,
    OPT_BACKEND,
    OPT_DEVICE,
    OPT_DTYPE,
    OPT_THREADS,
    OPT_SEED,
    N_OPTS
};

/* words: which values it may have; NULL where it is a name, or a number. */
static const struct {
    const char *name, *initial, *words, *help;
} opts[N_OPTS] = {
    [OPT_MODE] = {"mode", "all", "all|refuse|grad|value|bits|perf|self",
                  "what to do; all: everything but perf"},
    [OPT_OP] = {"op", "", NULL, "this op only"},
    [OPT_CASE] = {"case", "", NULL, "this case only"},
    [OPT_TAG] = {"tag", "any", "any|quick|sd15|odd|perf", "cases of this kind only"},
    [OPT_BACKEND] = {"backend", "any", "any|ref|ref64|cpu|cuda",
                     "any: cpu, and ref too where it is quick; grad: ref64 always"},
    [OPT_DEVICE] = {"device", "host", "host|sim|cuda",
                    "where kernels run; sim: a GPU of host memory"},
    [OPT_DTYPE] = {"dtype", "any", "any|f32|bf16", "of activations"},
    [OPT_THREADS] = {"threads", "2", NULL, "threads of the kernels"},
    [OPT_SEED] = {"seed", "1", NULL, "of the contents of all operands"},
};

enum { DEVICE_HOST, DEVICE_SIM, DEVICE_CUDA };

typedef struct options {
    ath_device *device; /* NULL: the host */
    const char *text[N_OPTS];
    int number[N_OPTS]; /* the value, or its place among the words */
    bool json, list;
} options;

/* What a mode runs on. */
static const struct mode {
    const char *name;
    ath_mode *run;
    uint32_t tags;    /* only cases with one of these; 0: all */
    bool is_on_ref64; /* on ref64, with F32 data, and nothing else */
    bool is_once;     /* for each op, not for each case */
} modes[] = {
    [MODE_REFUSE] = {.name = "refuse", .run = ath_mode_refuse, .tags = QUICK, .is_once = true},
    [MODE_GRAD] = {.name = "grad", .run = ath_mode_grad, .tags = QUICK, .is_on_ref64 = true},
    [MODE_VALUE] = {.name = "value", .run = ath_mode_value, .tags = QUICK | SD15 | ODD},
    [MODE_BITS] = {.name = "bits", .run = ath_mode_bits, .tags = QUICK | SD15 | ODD},
    [MODE_PERF] = {.name = "perf", .run = ath_mode_perf},
};

/* The command that repeats what is being run, for failures and for crashes. */
static char repeat[512];

void ath_report_at(ath_report *r, const char *mode, const ath_setup *s)
{
    r->mode = mode;
    r->at = s;
    snprintf(
        repeat, sizeof repeat,
        "opcheck --mode %s --op %s --case %s --backend %s --dtype %s --threads %d --seed %llu\n",
        r->mode, s->op->name, s->c->name, ath_backend_name(s->backend), ath_dtype_name(s->dtype),
        s->threads, (unsigned long long)s->seed);
}

static void print_place(const ath_report *r, const char *word)
{
    printf("%s %s %s %s %s %s%s: ", word, r->mode, r->at->op->name, r->at->c->name,
           ath_backend_name(r->at->backend), ath_dtype_name(r->at->dtype),
           r->at->drop ? " without optional operands" : "");
}

void ath_report_check(ath_report *r, bool ok, const char *fmt, ...)
{
    va_list args;

    if (ok)
        r->n_passed++;
    else
        r->n_failed++;
    if (ok || r->is_quiet) return;
    print_place(r, "FAILED");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n  %s", repeat);
}

void ath_report_warn(ath_report *r, const char *fmt, ...)
{
    va_list args;

    if (r->is_quiet) return;
    print_place(r, "warning");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { N_CRASHES = sizeof crashes / sizeof *crashes };
static void (*former[N_CRASHES])(int);

/* A kernel that crashes: say where, then let it happen again under the former handler, which is
 * the sanitizer's or the system's. */
static void on_crash(int number)
{
    static const char head[] = "crashed; repeat with: ";
    const bool is_said = write(STDERR_FILENO, head, sizeof head - 1) > 0 &&
                         write(STDERR_FILENO, repeat, strlen(repeat)) > 0;
    (void)is_said;
    for (int k = 0; k < N_CRASHES; k++)
        if (crashes[k] == number) signal(number, former[k]);
}

static void run_setup(const struct mode *m, const ath_setup *s, ath_report *r)
{
    ath_report_at(r, m->name, s);
    ath_err_clear();
    ath_err err = m->run(s, r);
    if (err) ath_report_check(r, false, "%s", ath_err_text());
    fflush(stdout);
}

static bool is_backend_chosen(const struct mode *m, const options *o, const ath_case *c,
                              ath_backend backend)
{
    if (o->number[OPT_BACKEND] != ANY)
        return strcmp(o->text[OPT_BACKEND], ath_backend_name(backend)) == 0;
    if (backend == ATH_CUDA) return false;
    return backend == ATH_CPU || (c->tags & QUICK && m->run != ath_mode_perf);
}

/* Whether the CUDA backend has a kernel of its own that runs here. */
static bool has_own(const ath_op *op)
{
#if ATH_OPCHECK_SHIM
    return ath_shim_has(op, ATH_FWD);
#else
    return ath_cuda_kernel(op, ATH_FWD) != NULL;
#endif
}

/* The backends and dtypes of one case. */
static void run_case(const struct mode *m, const options *o, ath_setup s, ath_report *r)
{
    static const ath_backend backends[] = {ATH_REF, ATH_CPU, ATH_CUDA};
    enum { N = sizeof backends / sizeof *backends };
    const int dtype = o->number[OPT_DTYPE];

    if (m->is_on_ref64) {
        s.backend = ATH_REF64;
        s.dtype = ATH_F32;
        run_setup(m, &s, r);
        return;
    }
    s.device = o->device;
    for (int b = 0; b < N; b++) {
        s.backend = backends[b];
        if (!is_backend_chosen(m, o, s.c, s.backend)) continue;
        if (s.backend == ATH_CUDA && !has_own(s.op)) continue;
        s.dtype = ATH_F32;
        if (dtype != DTYPE_BF16) run_setup(m, &s, r);
        s.dtype = ATH_BF16;
        if (dtype != DTYPE_F32 && ath_case_has_dtype(s.c, s.op)) run_setup(m, &s, r);
    }
}

static bool is_chosen(const options *o, const ath_case *c, uint32_t mode_tags)
{
    const char *op = o->text[OPT_OP], *name = o->text[OPT_CASE];
    const uint32_t tag = (uint32_t)(1 << o->number[OPT_TAG]) >> 1; /* any: 0 */

    if (*op && strcmp(op, c->op) != 0) return false;
    if (*name && strcmp(name, c->name) != 0) return false;
    if (tag && !(c->tags & tag)) return false;
    return !mode_tags || c->tags & mode_tags;
}

static uint32_t optional_given(const ath_case *c, const ath_op *op)
{
    uint32_t given = 0;
    for (int i = 0; i < op->n_in; i++)
        if (c->in[i].kind) given |= 1u << i;
    return given & op->optional;
}

static void run_mode(const struct mode *m, const options *o, ath_report *r)
{
    const char *last_op = "";

    for (int i = 0; i < ath_n_cases; i++) {
        const ath_case *c = &ath_cases[i];
        ath_setup s = {.c = c,
                       .op = ath_op_find(c->op),
                       .seed = (uint64_t)o->number[OPT_SEED],
                       .threads = o->number[OPT_THREADS]};
        if (!is_chosen(o, c, m->tags)) continue;
        if (!s.op) {
            r->n_skipped++;
            continue;
        }
        if (m->is_once) {
            s.backend = ATH_CPU;
            s.dtype = ATH_F32;
            if (strcmp(last_op, c->op) != 0) run_setup(m, &s, r);
            last_op = c->op;
            continue;
        }
        run_case(m, o, s, r);
        s.drop = optional_given(c, s.op);
        if (s.drop && c->tags & QUICK && m->run != ath_mode_perf) run_case(m, o, s, r);
    }
}

static void list_cases(const options *o)
{
    for (int i = 0; i < ath_n_cases; i++) {
        const ath_case *c = &ath_cases[i];
        const ath_setup s = {.c = c, .op = ath_op_find(c->op)};
        char text[ATH_DESC_TEXT];
        int32_t attr[ATH_ATTR_WORDS] = {0};
        ath_desc in[ATH_MAX_IN] = {0};
        ath_str shown = {0};
        if (!is_chosen(o, c, 0)) continue;
        printf("%-14s %-34s", c->op, c->name);
        if (s.op) ath_case_describe(&s, ATH_F32, attr, in);
        for (int k = 0; s.op && k < s.op->n_in; k++) printf(" %s", ath_desc_print(&in[k], text));
        if (s.op && s.op->show) s.op->show(attr, &shown);
        printf(" %s%s\n", ath_str_text(&shown), s.op ? "" : "(no such op yet)");
        ath_str_release(&shown);
    }
}

static void print_usage(void)
{
    printf("usage: opcheck [--OPTION VALUE]... [--json] [--list-cases]\n\n");
    for (int k = 0; k < N_OPTS; k++)
        printf("  --%-8s %s; %s%s%s\n", opts[k].name, opts[k].help,
               opts[k].words ? opts[k].words : "", opts[k].words ? "; " : "default: ",
               opts[k].words ? "the first is the default" : opts[k].initial);
    printf("  --list TAG is --mode perf --tag TAG; --json prints perf as one object a line\n");
}

/* The place of `text` among words divided by bars; -1 where it is none of them. */
static int find_word(const char *words, const char *text)
{
    const size_t n = strlen(text);

    for (int i = 0; *words; i++) {
        const size_t length = strcspn(words, "|");
        if (length == n && memcmp(words, text, n) == 0) return i;
        words += length + (words[length] != 0);
    }
    return -1;
}

static bool set_option(options *o, int k, const char *text)
{
    char *end = NULL;

    o->text[k] = text;
    if (opts[k].words) return (o->number[k] = find_word(opts[k].words, text)) >= 0;
    if (k == OPT_OP || k == OPT_CASE) return true;
    const long long n = strtoll(text, &end, 10);
    o->number[k] = (int)n;
    return end != text && !*end && n >= (k == OPT_THREADS) && n <= 1 << 30;
}

static bool parse_pair(options *o, const char *name, const char *text)
{
    if (!text || strncmp(name, "--", 2) != 0) return false;
    if (strcmp(name, "--list") == 0)
        return set_option(o, OPT_MODE, "perf") && set_option(o, OPT_TAG, text);
    for (int k = 0; k < N_OPTS; k++)
        if (strcmp(name + 2, opts[k].name) == 0) return set_option(o, k, text);
    return false;
}

static bool parse(int argc, char **argv, options *o)
{
    for (int k = 0; k < N_OPTS; k++) set_option(o, k, opts[k].initial);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (strcmp(argv[i], "--list-cases") == 0) {
            o->list = true;
        } else if (!parse_pair(o, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    return true;
}

static ath_err make_device(options *o)
{
    switch (o->number[OPT_DEVICE]) {
    case DEVICE_SIM:
        return ath_device_create_sim((uint64_t)o->number[OPT_SEED], &o->device);
    case DEVICE_CUDA:
        ATH_TRY(ath_cuda_open());
        return ath_device_create_cuda(0, &o->device);
    default:
        return ATH_OK;
    }
}

int main(int argc, char **argv)
{
    options o = {0};
    ath_report r = {0};

    if (!parse(argc, argv, &o)) {
        print_usage();
        return 2;
    }
    if (o.list) {
        list_cases(&o);
        return 0;
    }
#if ATH_OPCHECK_SHIM
    ath_shim_install();
#endif
    for (int k = 0; k < N_CRASHES; k++) former[k] = signal(crashes[k], on_crash);
    r.is_json = o.json;
    if (make_device(&o)) {
        fprintf(stderr, "opcheck: %s\n", ath_err_text());
        return 3;
    }
    const int mode = o.number[OPT_MODE];
    for (int k = MODE_REFUSE; k < MODE_SELF; k++)
        if (mode == k || (mode == MODE_ALL && k != MODE_PERF)) run_mode(&modes[k], &o, &r);
    if (mode == MODE_SELF || mode == MODE_ALL) ath_self_test(&r);
    ath_device_destroy(&o.device);
    printf("%d passed, %d failed, %d skipped\n", r.n_passed, r.n_failed, r.n_skipped);
    return r.n_failed != 0 || r.n_passed == 0;
}
