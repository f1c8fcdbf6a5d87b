/*
 * The torch reader: gives out what torch.save wrote, bit for bit; whatever would run code is refused by
 * its name; no damage of a file leads past its bytes, and every refusal is ATH_EFORMAT with the file.
 */
#include "core/io/file.h"
#include "core/io/torch.h"
#include "core/mem.h"
#include "tests/harness.h"
#include "tests/zip_maker.h"

#include <stdlib.h>

/* The same bytes in a block of their exact size, so that a read past the end is found. */
static ath_err open_exact(const void *bytes, size_t n, ath_st **out)
{
    char *copy = malloc(n ? n : 1);
    ath_st *st = NULL;
    uint32_t sum = 0;

    ATH_ASSERT(copy);
    memcpy(copy, bytes, n);
    ath_err err = ath_torch_open_bytes("t.pt", copy, n, &st);
    for (int64_t i = 0; st && i < ath_st_count(st); i++) {
        const ath_st_tensor *t = ath_st_get(st, i);
        for (size_t k = 0; k < t->bytes; k++) sum += ((const uint8_t *)t->data)[k];
    }
    if (out && st) *out = NULL;
    ath_st_close(&st);
    free(copy);
    return sum == UINT32_MAX ? ATH_EINVAL : err; /* the bytes were looked at */
}

static void compare(const ath_st *st, const ath_st *want)
{
    CHECK_EQ(ath_st_count(st), ath_st_count(want));
    for (int64_t i = 0; i < ath_st_count(want); i++) {
        const ath_st_tensor *w = ath_st_get(want, i), *t = ath_st_find(st, w->name);
        ath_test_begin(w->name);
        CHECK(t && t->dtype == w->dtype && t->n_dim == w->n_dim && t->bytes == w->bytes);
        if (!t || t->n_dim != w->n_dim || t->bytes != w->bytes) continue;
        for (int k = 0; k < w->n_dim; k++) CHECK_EQ(t->dim[k], w->dim[k]);
        CHECK_BITS(t->data, w->data, w->bytes);
    }
}

static void test_fixture(void)
{
    ath_st *st = NULL, *want = NULL;

    ath_test_begin("fixture");
    CHECK_OK(ath_tensors_open("tests/reference/torch.pt", &st));
    CHECK_OK(ath_tensors_open("tests/reference/torch.safetensors", &want));
    if (st && want) {
        compare(st, want);
        CHECK_STR(ath_st_get(st, 0)->name, "plain"); /* in the order of the dict */
        CHECK_EQ(ath_st_meta_count(st), 0);
        CHECK(ath_st_meta_find(st, "x") == NULL);
        CHECK(ath_st_find(st, "epoch") == NULL && ath_st_find(st, "list") == NULL);
        CHECK_ERR(ath_st_need(st, "state_dict.plain", &(const ath_st_tensor *){NULL}),
                  ATH_EMISSING);
    }
    ath_st_close(&st);
    ath_st_close(&want);
    CHECK_OK(ath_tensors_open("tests/reference/torch_protocol4.pt", &st));
    CHECK(st && ath_st_find(st, "a"));
    ath_st_close(&st);
    CHECK_ERR(ath_tensors_open("tests/reference/torch_legacy.pt", &st), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "torch_legacy.pt: saved by torch before 1.6");
    CHECK_ERR(ath_tensors_open("/tmp/no/such/file", &st), ATH_EMISSING);
    CHECK_ERR(ath_torch_open("tests/reference/torch.safetensors", &st), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "no archive");
}

/* Pieces of pickles. */
#define P            "\x80\2"
#define GLOBAL(m, n) "c" m "\n" n "\n"
#define TEXT(n, s)   "X" n "\0\0\0" s
#define STORAGE(type, key, n) \
    "(" TEXT("\7", "storage") GLOBAL("torch", type) TEXT("\1", key) TEXT("\3", "cpu") "K" n "tQ"
#define HOOKS GLOBAL("collections", "OrderedDict") ")R"
/* storage 0 has six F32 */
#define TENSOR(offset, size, stride)             \
    GLOBAL("torch._utils", "_rebuild_tensor_v2") \
    "(" STORAGE("FloatStorage", "0", "\6") "K" offset size stride "\x89" HOOKS "tR"
#define ENTRY(value) P "}" TEXT("\1", "a") value "s."
#define I_HUGE       "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f"
#define I_BIG        "\x8a\10\0\0\0\0\0\0\0\x40"
#define I_LESS       "\x8a\1\xff"

static ath_err open_pickle(const void *pickle, size_t n)
{
    static const float storage[6] = {1, 2, 3, 4, 5, 6};
    const zip_member members[] = {
        {"x/data.pkl", pickle, n}, {"x/data/0", storage, sizeof storage}, {"x/version", "3\n", 2}};
    ath_str zip = {0};

    zip_make(&zip, members, 3, (zip_how){0});
    ath_err err = open_exact(zip.text, zip.n, NULL);
    ath_str_release(&zip);
    return err;
}

#define ROW(bytes, says)               \
    {                                  \
        bytes, sizeof(bytes) - 1, says \
    }
static const struct {
    const char *bytes;
    size_t n;
    const char *says;
} hostile[] = {
    ROW(P GLOBAL("os", "system") TEXT("\2", "id") "\x85R.", "os.system would run code"),
    ROW(P GLOBAL("posix", "system") ".", "posix.system would run code"),
    ROW(P GLOBAL("__builtin__", "eval") ".", "__builtin__.eval would run code"),
    ROW(P GLOBAL("builtins", "getattr") ".", "builtins.getattr would run code"),
    ROW(P GLOBAL("torch", "load") ".", "torch.load would run code"),
    ROW(P GLOBAL("torch.hub", "load") ".", "torch.hub.load would run code"),
    ROW(P GLOBAL("numpy.core.multiarray", "_reconstruct") ".", "_reconstruct would run code"),
    ROW("\x80\4\x8c\2os\x8c\6system\x93.", "os.system would run code"),
    ROW(P "ios\nsystem\n.", "os.system would run code (INST)"),
    ROW(P "(" HOOKS "o.", "0x6f would run code"),
    ROW(P "\x82\1.", "0x82 would run code"),
    ROW(P "K\1)R.", "a number is called, which would run code"),
    ROW(P GLOBAL("torch", "FloatStorage") ")R.", "torch.FloatStorage is called"),
    ROW(P GLOBAL("torch", "float32") ")\x81.", "torch.float32 is called"),
    ROW(P GLOBAL("collections", "OrderedDict") "K\1R.", "with a number for arguments"),
    ROW(P GLOBAL("collections", "OrderedDict") "K\1\x85R.", "not made empty"),
    ROW(ENTRY(TENSOR("\0", "K\6\x85", "K\1\x85") "}b"), "the state of a tensor is set (BUILD)"),
    ROW(P "K\1}b.", "the state of a number is set"),
    ROW(P "].", "holds a list, wanted a dict"),
    ROW(P TENSOR("\0", "K\6\x85", "K\1\x85") ".", "holds a tensor, wanted a dict"),
    ROW("\x80\1}.", "protocol 1"),
    ROW("\x80\6}.", "protocol 6"),
    ROW("", "in the middle of an instruction"),
    ROW(P "}", "in the middle of an instruction"),
    ROW(P "X\xff\xff\xff\xff", "in the middle of an instruction"),
    ROW(P "\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "in the middle of an instruction"),
    ROW(P "cos", "in the middle of a name"),
    ROW(P "cos\nsystem", "in the middle of a name"),
    ROW(P "I1\n.", "instruction 0x49 is not known"),
    ROW(P "\xff.", "instruction 0xff is not known"),
    ROW(P ".", "nothing on the stack"),
    ROW(P "0", "nothing on the stack"),
    ROW(P "(.", "nothing on the stack"),
    ROW(P "K\1(R", "nothing on the stack"),
    ROW(P "t", "no mark on the stack"),
    ROW(P "\x87", "a tuple of 3 finds fewer"),
    ROW(P "K\1(\x85", "a tuple of 1 finds fewer"),
    ROW(P "(K\1d.", "a key without a value"),
    ROW(P "}(K\1u.", "a key without a value"),
    ROW(P "K\1K\1K\1s.", "a number gets items as if it were a dict"),
    ROW(P "}K\1a.", "a dict gets items as if it were a list"),
    ROW(P "h\0.", "memo 0 is read and was never written"),
    ROW(P "}j\xff\xff\xff\xff.", "memo 4294967295 is read"),
    ROW(P "}r\xff\xff\xff\xff.", "memo 4294967295 in a pickle of"),
    ROW(P "K\1K\2\x93.", "a name that is no text"),
    ROW(P "NQ.", "no storage"),
    ROW(P "(" TEXT("\6", "module") "NNNNtQ.", "no storage"),
    ROW(P "(" TEXT("\7", "storage") "NNNNtQ.", "whose type, key or length"),
    ROW(P STORAGE("FloatStorage", "1", "\6") ".", "\"x/data/1\" is not in the archive"),
    ROW(P STORAGE("FloatStorage", "0", "\7") ".", "7 elements of F32 has 24 bytes"),
    ROW(P STORAGE("LongStorage", "0", "\6") ".", "6 elements of I64 has 24 bytes"),
    ROW(P GLOBAL("torch._utils", "_rebuild_tensor_v2") ")R.", "a tensor of 0 arguments"),
    ROW(P GLOBAL("torch._utils", "_rebuild_parameter") ")R.", "a parameter that is no tensor"),
    ROW(P GLOBAL("torch._utils", "_rebuild_tensor_v2") "(NNNNNNtR.", "is something else"),
    ROW(ENTRY(TENSOR("\1", "K\6\x85", "K\1\x85")), "reaches to element 6 of a storage of 6"),
    ROW(ENTRY(TENSOR("\7", "K\1\x85", "K\1\x85")), "reaches to element 7 of a storage of 6"),
    ROW(ENTRY(TENSOR("\0", "K\2K\4\x86", "K\4K\1\x86")), "reaches to element 7"),
    ROW(ENTRY(TENSOR("\0", "K\2\x85", I_HUGE "\x85")), "reaches to element 9223372036854775807"),
    ROW(ENTRY(TENSOR("\1", "K\2\x85", I_HUGE "\x85")), "stride 9223372036854775807 of axis 0 over"),
    ROW(ENTRY(TENSOR("\0", I_BIG "K\4\x86", "K\0K\0\x86")), "shape overflows at axis 0"),
    ROW(ENTRY(TENSOR("\0", "J\0\0\0\x40K\x10\x86", "K\0K\0\x86")), "bytes are to be copied"),
    ROW(ENTRY(TENSOR("\0", "K\2\x85", I_LESS "\x85")), "stride[0] is not a whole number"),
    ROW(ENTRY(TENSOR("\0", I_LESS "\x85", "K\1\x85")), "size[0] is not a whole number"),
    ROW(ENTRY(TENSOR("\0", "N\x85", "K\1\x85")), "size[0] is not a whole number"),
    ROW(ENTRY(TENSOR("\0", "K\6\x85", ")")), "1 axes and 0 strides"),
    ROW(P "}N" TENSOR("\0", "K\6\x85", "K\1\x85") "s.", "has None for a key"),
    ROW(P "}X\2\0\0\0a\0" TENSOR("\0", "K\6\x85", "K\1\x85") "s.", "not UTF-8"),
    ROW(P "}X\1\0\0\0\xff" TENSOR("\0", "K\6\x85", "K\1\x85") "s.", "not UTF-8"),
    ROW(P "}q\0(" TEXT("\1", "a") "h\0" TEXT("\1", "b") "h\0u.", "more than 32 deep"),
    ROW(P "}(" TEXT("\1", "a") TENSOR("\0", "K\6\x85", "K\1\x85") TEXT("\1", "a")
            TENSOR("\0", "K\6\x85", "K\1\x85") "u.",
        "\"a\" occurs twice"),
};

static void test_hostile(void)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        ath_test_begin(hostile[i].says);
        CHECK_ERR(open_pickle(hostile[i].bytes, hostile[i].n), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), hostile[i].says);
        CHECK_HAS(ath_err_text(), "t.pt: ");
    }
}

static const struct {
    const char *bytes;
    size_t n, unused;
} allowed[] = {
    ROW(P "}.", 0),
    ROW(ENTRY(TENSOR("\0", "K\6\x85", "K\1\x85")), 0),
    ROW(ENTRY(TENSOR("\6", "K\0\x85", "K\1\x85")), 0),
    ROW(ENTRY(TENSOR("\5", ")", ")")), 0),
    ROW(ENTRY(TENSOR("\0", "K\1K\6\x86", "M\xff\xffK\1\x86")), 0),
    ROW(ENTRY(TENSOR("\0", "K\6K\7\x86", "K\1K\0\x86")), 0),
    ROW(ENTRY("]q\0h\0a"), 0),   /* a list of itself */
    ROW(ENTRY("}(K\1NNNd."), 0), /* whatever lies behind the end */
    ROW(ENTRY(GLOBAL("numpy", "dtype") TEXT("\2", "f8") "\x85R}b"), 0),
    ROW(ENTRY("\x8b\x09\0\0\0"
              "123456789"),
        0),
};

static void test_allowed(void)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        ath_test_begin("allowed");
        CHECK_OK(open_pickle(allowed[i].bytes, allowed[i].n));
    }
}

/* A dict whose two entries are the dict before, 40 times: 2^40 entries in a few hundred bytes. And
 * nesting, marks and memos by the hundred thousand. */
static void test_bombs(void)
{
    ath_str s = {0};

    ath_test_begin("bombs");
    ath_str_put(&s, P "}q\0", 5);
    for (int i = 1; i < 31; i++) {
        ath_str_put(&s, "0}(X\1\0\0\0ah\0X\1\0\0\0bh\0uq\0", 22);
        s.text[s.n - 1] = (char)i;
        s.text[s.n - 4] = s.text[s.n - 12] = (char)(i - 1);
    }
    ath_str_put(&s, ".", 1);
    CHECK_ERR(open_pickle(s.text, s.n), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "more than 1048576 entries");
    static const char *const repeated[] = {"(", "]", "(]", "}X\1\0\0\0a", "2", ")\x85"};
    static const size_t n_repeated[] = {1, 1, 2, 7, 1, 2};
    for (size_t k = 0; k < sizeof repeated / sizeof *repeated; k++) {
        enum { N = 200000 };
        static char pickle[3 + 7 * N] = P "}";
        for (size_t i = 0; i < N; i++)
            memcpy(pickle + 3 + i * n_repeated[k], repeated[k], n_repeated[k]);
        CHECK_ERR(open_pickle(pickle, 3 + N * n_repeated[k]), ATH_EFORMAT);
    }
    ath_str_release(&s);
}

/* Archives: other shapes that are good, and those that are not. */
static void test_zip(void)
{
    static const char pickle[] = ENTRY(TENSOR("\0", "K\6\x85", "K\1\x85"));
    static const float storage[6] = {1, 2, 3, 4, 5, 6};
    const zip_member p = {"x/data.pkl", pickle, sizeof pickle - 1}, q = {"y/data.pkl", "", 0};
    const zip_member d = {"x/data/0", storage, sizeof storage},
                     little = {"x/byteorder", "little", 6};
    const zip_member big = {"x/byteorder", "big", 3};
    const struct {
        zip_member members[3];
        int n;
        zip_how how;
        const char *says; /* NULL: good */
    } rows[] = {
        {{p, d, little}, 3, {0}, NULL},
        {{p, d, little}, 3, {.is_64 = true}, NULL},
        {{p, d, little}, 3, {.is_64 = true, .comment = "PK\5\6 and more"}, NULL},
        {{p, d, little}, 3, {.comment = "a comment"}, NULL},
        {{p, d, big}, 3, {0}, "not in little-endian order"},
        {{p, d}, 2, {.method = 8}, "is compressed (method 8)"},
        {{p, d}, 2, {.flags = 1}, "is encrypted"},
        {{p, d, d}, 3, {0}, "\"x/data/0\": occurs twice"},
        {{p, d, q}, 3, {0}, "more than one data.pkl"},
        {{d, little}, 2, {0}, "without data.pkl"},
        {{{0}}, 0, {0}, "without data.pkl"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_str zip = {0};
        ath_test_begin(rows[i].says ? rows[i].says : "zip");
        zip_make(&zip, rows[i].members, rows[i].n, rows[i].how);
        CHECK_ERR(open_exact(zip.text, zip.n, NULL), rows[i].says ? ATH_EFORMAT : ATH_OK);
        if (rows[i].says) CHECK_HAS(ath_err_text(), rows[i].says);
        ath_str_release(&zip);
    }
    ath_str zip = {0};
    zip_make(&zip, (zip_member[]){p, d}, 2, (zip_how){0});
    zip.text[30 + 10 + 20] ^= 1; /* in the pickle */
    CHECK_ERR(open_exact(zip.text, zip.n, NULL), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "its checksum is");
    ath_str_release(&zip);
}

static void check_damaged(const char *bytes, size_t n)
{
    ath_err err = open_exact(bytes, n, NULL);

    if (err == ATH_OK) return;
    if (err != ATH_EFORMAT || !strstr(ath_err_text(), "t.pt: ")) {
        CHECK_ERR(err, ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), "t.pt: ");
    }
}

/* Cut at every byte, and every byte flipped, of the archive and of the pickle in a good archive. */
static void test_damage(void)
{
    char *bytes = NULL, *pickle;
    size_t n = 0, begin = 0, n_pickle = 0;

    ath_test_begin("damage");
    CHECK_OK(ath_file_read("tests/reference/torch.pt", 100000, &bytes, &n));
    for (size_t cut = 0; cut < n; cut++) CHECK_ERR(open_exact(bytes, cut, NULL), ATH_EFORMAT);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 3; k++) {
            const char was = bytes[i];
            bytes[i] = (char)(k == 0 ? ~was : was ^ (1 << (i + (size_t)k) % 8));
            check_damaged(bytes, n);
            bytes[i] = was;
        }
    }
    while (begin < n && memcmp(bytes + begin, P "}", 3) != 0) begin++;
    while (begin + n_pickle < n && memcmp(bytes + begin + n_pickle, "PK", 2) != 0) n_pickle++;
    pickle = bytes + begin;
    CHECK(n_pickle > 1000 && n_pickle < 5000);
    for (size_t cut = 0; cut < n_pickle && pickle[cut] != '.'; cut++)
        CHECK_ERR(open_pickle(pickle, cut), ATH_EFORMAT);
    for (size_t i = 0; i < n_pickle; i++) {
        const char was = pickle[i];
        pickle[i] = (char)~was;
        CHECK(open_pickle(pickle, n_pickle) == ATH_EFORMAT);
        pickle[i] = (char)(was ^ 1 << i % 8);
        CHECK(open_pickle(pickle, n_pickle) == ATH_EFORMAT);
        pickle[i] = was;
    }
    ath_mem_free(&bytes);
}

static void test_no_memory(void)
{
    const int64_t held = ath_mem_get_stats().n_held;
    ath_err err = ATH_ENOMEM;
    int64_t n = 0;

    ath_test_begin("no memory");
    while (err != ATH_OK && n < 500) {
        ath_st *st = NULL;
        ath_mem_fail_from(++n);
        err = ath_torch_open("tests/reference/torch.pt", &st);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && st == NULL));
        ath_st_close(&st);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(err == ATH_OK && n > 10);
}

int main(void)
{
    test_fixture();
    test_hostile();
    test_allowed();
    test_bombs();
    test_zip();
    test_damage();
    test_no_memory();
    return ath_test_end();
}
