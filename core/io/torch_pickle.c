/*
 * The pickle machine, without the part that calls anything: instructions move data between a stack, a
 * memo and containers. Names are looked up in one table; one that is not in it ends the reading.
 * Every instruction makes a bounded number of values, so the length of the pickle bounds all memory.
 */
#include "core/io/torch_private.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PICKLE_MAX = 1 << 24, MEMBER_NAME_MAX = 512 };

typedef struct machine {
    const ath_zip *zip;
    const char *root; /* n_root bytes */
    size_t n_root;
    const uint8_t *bytes;
    size_t n, at;
    ath_pickle *out;
    int32_t *stack, *memo; /* values; memo: -1 where nothing was put */
    int64_t *mark;         /* heights of the stack */
    int64_t n_stack, room_stack, n_memo, room_memo, n_marks, room_marks;
    bool is_done;
} machine;

/* Names that may occur. What they would make is known without asking them. */
typedef enum global_kind {
    GLOBAL_DICT,
    GLOBAL_TENSOR,    /* (storage, offset, size, stride, ...) */
    GLOBAL_PARAMETER, /* (tensor, ...) */
    GLOBAL_STORAGE,
    GLOBAL_DTYPE,
    GLOBAL_OTHER, /* harmless, and nothing to us: what comes of it is passed over */
} global_kind;

static const struct {
    const char *module, *name;
    global_kind kind;
    ath_st_dtype dtype;
    bool is_untyped; /* storage: its numbers count bytes, and the tensor says the type */
} globals[] = {
    {"collections", "OrderedDict", GLOBAL_DICT, 0, false},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_TENSOR, 0, false},
    {"torch._utils", "_rebuild_tensor_v3", GLOBAL_TENSOR, 0, true},
    {"torch._utils", "_rebuild_parameter", GLOBAL_PARAMETER, 0, false},
    {"torch._utils", "_rebuild_parameter_with_state", GLOBAL_PARAMETER, 0, false},
#define STORAGE(name, dtype)                                           \
    {                                                                  \
        "torch", name "Storage", GLOBAL_STORAGE, ATH_ST_##dtype, false \
    }
    STORAGE("Float", F32),
    STORAGE("Half", F16),
    STORAGE("BFloat16", BF16),
    STORAGE("Double", F64),
    STORAGE("Long", I64),
    STORAGE("Int", I32),
    STORAGE("Short", I16),
    STORAGE("Char", I8),
    STORAGE("Byte", U8),
    STORAGE("Bool", BOOL),
    STORAGE("ComplexFloat", C64),
#undef STORAGE
    {"torch.storage", "UntypedStorage", GLOBAL_STORAGE, ATH_ST_U8, true},
    {"torch", "UntypedStorage", GLOBAL_STORAGE, ATH_ST_U8, true},
#define DTYPE(name, dtype)                                 \
    {                                                      \
        "torch", name, GLOBAL_DTYPE, ATH_ST_##dtype, false \
    }
    DTYPE("float32", F32),
    DTYPE("float16", F16),
    DTYPE("bfloat16", BF16),
    DTYPE("float64", F64),
    DTYPE("int64", I64),
    DTYPE("int32", I32),
    DTYPE("int16", I16),
    DTYPE("int8", I8),
    DTYPE("uint8", U8),
    DTYPE("uint16", U16),
    DTYPE("uint32", U32),
    DTYPE("uint64", U64),
    DTYPE("bool", BOOL),
    DTYPE("complex64", C64),
    DTYPE("float8_e4m3fn", F8_E4M3),
    DTYPE("float8_e5m2", F8_E5M2),
    DTYPE("float8_e8m0fnu", F8_E8M0),
    DTYPE("float8_e4m3fnuz", F8_E4M3FNUZ),
    DTYPE("float8_e5m2fnuz", F8_E5M2FNUZ),
#undef DTYPE
#define OTHER(module, name)                  \
    {                                        \
        module, name, GLOBAL_OTHER, 0, false \
    }
    OTHER("torch", "Size"),
    OTHER("torch", "device"),
    OTHER("__builtin__", "set"),
    OTHER("builtins", "set"),
    /* in the checkpoints of Stable Diffusion 1: the name of a callback, the best score of a run */
    OTHER("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    OTHER("pytorch_lightning.callbacks", "ModelCheckpoint"),
    OTHER("numpy.core.multiarray", "scalar"),
    OTHER("numpy._core.multiarray", "scalar"),
    OTHER("numpy", "dtype"),
    OTHER("_codecs", "encode"),
#undef OTHER
};

static ath_err bad(const machine *m, const char *fmt, ...) ATH_PRINTF(2, 3);
static ath_err bad(const machine *m, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return ath_raise(ATH_EFORMAT, "%s: pickle, before byte %zu: %s", m->zip->file, m->at, text);
}

const char *ath_pickle_kind_name(ath_pickle_kind kind)
{
    static const char *const names[ATH_N_PICKLE_KINDS] = {
        "None",   "a number", "a text",    "a tuple",  "a list",
        "a dict", "a name",   "a storage", "a tensor", "a value of another kind"};
    return names[kind];
}

/* Reading bytes. */

static ath_err take(machine *m, uint64_t n, const uint8_t **out)
{
    if (n > m->n - m->at) return bad(m, "it ends in the middle of an instruction");
    *out = m->bytes + m->at;
    m->at += (size_t)n;
    return ATH_OK;
}

static ath_err take_number(machine *m, int n, uint64_t *out)
{
    const uint8_t *p = m->bytes;

    ATH_TRY(take(m, (uint64_t)n, &p));
    *out = 0;
    for (int i = n; i-- > 0;) *out = *out << 8 | p[i];
    return ATH_OK;
}

/* Up to the end of the line. */
static ath_err take_line(machine *m, const char **text, size_t *n)
{
    const uint8_t *p = m->bytes + m->at, *end = memchr(p, '\n', m->n - m->at);

    if (!end) return bad(m, "it ends in the middle of a name");
    *text = (const char *)p;
    *n = (size_t)(end - p);
    m->at += *n + 1;
    return ATH_OK;
}

/* Values, stack, cells. */

static ath_pickle_value *value_of(const machine *m, int32_t i)
{
    return &m->out->value[i];
}

static bool is_kind(const machine *m, int32_t i, ath_pickle_kind kind)
{
    return value_of(m, i)->kind == kind;
}

static ath_err push(machine *m, int32_t value)
{
    ATH_TRY(ath_mem_grow(&m->stack, m->n_stack, &m->room_stack, sizeof *m->stack, m->zip->file));
    m->stack[m->n_stack++] = value;
    return ATH_OK;
}

static ath_err push_new(machine *m, ath_pickle_value value)
{
    ath_pickle *p = m->out;

    ATH_TRY(ath_mem_grow(&p->value, p->n_values, &p->room_values, sizeof *p->value, m->zip->file));
    p->value[p->n_values] = value;
    return push(m, (int32_t)p->n_values++);
}

/* Above the last mark. */
static int64_t height(const machine *m)
{
    return m->n_stack - (m->n_marks ? m->mark[m->n_marks - 1] : 0);
}

static ath_err pop(machine *m, int32_t *out)
{
    if (height(m) < 1) return bad(m, "an instruction finds nothing on the stack");
    *out = m->stack[--m->n_stack];
    return ATH_OK;
}

static ath_err peek(const machine *m, int32_t *out)
{
    if (height(m) < 1) return bad(m, "an instruction finds nothing on the stack");
    *out = m->stack[m->n_stack - 1];
    return ATH_OK;
}

/* Takes the last mark; what lay above it is stack[*first] and up, for the caller to drop. */
static ath_err take_mark(machine *m, int64_t *first)
{
    if (!m->n_marks) return bad(m, "an instruction finds no mark on the stack");
    *first = m->mark[--m->n_marks];
    return ATH_OK;
}

static ath_err append(machine *m, int32_t container, int32_t value)
{
    ath_pickle *p = m->out;
    ath_pickle_value *c = value_of(m, container);
    const int32_t cell = (int32_t)p->n_cells;

    ATH_TRY(ath_mem_grow(&p->cell, p->n_cells, &p->room_cells, sizeof *p->cell, m->zip->file));
    p->cell[p->n_cells++] = (ath_pickle_cell){.value = value, .next = -1};
    if (c->as.items.n)
        p->cell[c->as.items.last].next = cell;
    else
        c->as.items.first = cell;
    c->as.items.last = cell;
    c->as.items.n++;
    return ATH_OK;
}

static ath_pickle_value empty(ath_pickle_kind kind)
{
    return (ath_pickle_value){.kind = kind, .as.items = {.first = -1, .last = -1}};
}

/* Item i of a tuple. */
static int32_t item(const machine *m, int32_t tuple, int i)
{
    int32_t cell = value_of(m, tuple)->as.items.first;
    while (i-- > 0) cell = m->out->cell[cell].next;
    return m->out->cell[cell].value;
}

static bool has_text(const machine *m, int32_t value, const char *text)
{
    const ath_pickle_value *v = value_of(m, value);
    const size_t n = strlen(text);
    return v->kind == ATH_PICKLE_TEXT && (size_t)v->as.text.n == n &&
           memcmp(v->as.text.text, text, n) == 0;
}

/* Instructions: each gets the number that its row of the table holds. */

static ath_err do_nothing(machine *m, int n_bytes)
{
    const uint8_t *p = NULL;
    return take(m, (uint64_t)n_bytes, &p);
}

static ath_err do_proto(machine *m, int n_bytes)
{
    uint64_t version = 0;

    ATH_TRY(take_number(m, n_bytes, &version));
    if (version < 2 || version > 5)
        return bad(m, "protocol %" PRIu64 ", wanted 2 to 5: save the file again", version);
    return ATH_OK;
}

static ath_err do_stop(machine *m, int unused)
{
    (void)unused;
    ATH_TRY(pop(m, &m->out->top));
    m->is_done = true;
    return ATH_OK;
}

static ath_err do_constant(machine *m, int kind)
{
    return push_new(m, (ath_pickle_value){.kind = (ath_pickle_kind)kind});
}

static ath_err do_bool(machine *m, int value)
{
    return push_new(m, (ath_pickle_value){.kind = ATH_PICKLE_INT, .as.number = value});
}

static ath_err do_int(machine *m, int n_bytes)
{
    uint64_t x = 0;

    ATH_TRY(take_number(m, n_bytes, &x));
    const int64_t number = n_bytes == 4 ? (int32_t)(uint32_t)x : (int64_t)x;
    return push_new(m, (ath_pickle_value){.kind = ATH_PICKLE_INT, .as.number = number});
}

/* Of any length; one that does not fit is nothing to us. */
static ath_err do_long(machine *m, int n_length)
{
    uint64_t n = 0, x = 0;
    const uint8_t *p = m->bytes;

    ATH_TRY(take_number(m, n_length, &n));
    ATH_TRY(take(m, n, &p));
    if (n > 8) return do_constant(m, ATH_PICKLE_OTHER);
    for (uint64_t i = n; i-- > 0;) x = x << 8 | p[i];
    if (n && n < 8 && p[n - 1] & 0x80) x |= UINT64_MAX << 8 * n;
    return push_new(m, (ath_pickle_value){.kind = ATH_PICKLE_INT, .as.number = (int64_t)x});
}

static ath_err do_float(machine *m, int n_bytes)
{
    ATH_TRY(do_nothing(m, n_bytes));
    return do_constant(m, ATH_PICKLE_OTHER);
}

static ath_err do_text(machine *m, int n_length)
{
    uint64_t n = 0;
    const uint8_t *p = NULL;

    ATH_TRY(take_number(m, n_length, &n));
    ATH_TRY(take(m, n, &p));
    return push_new(m, (ath_pickle_value){.kind = ATH_PICKLE_TEXT,
                                          .as.text = {.text = (const char *)p, .n = (int64_t)n}});
}

static ath_err do_bytes(machine *m, int n_length)
{
    uint64_t n = 0;
    const uint8_t *p = NULL;

    ATH_TRY(take_number(m, n_length, &n));
    ATH_TRY(take(m, n, &p));
    return do_constant(m, ATH_PICKLE_OTHER);
}

static ath_err do_mark(machine *m, int unused)
{
    (void)unused;
    ATH_TRY(ath_mem_grow(&m->mark, m->n_marks, &m->room_marks, sizeof *m->mark, m->zip->file));
    m->mark[m->n_marks++] = m->n_stack;
    return ATH_OK;
}

static ath_err do_pop(machine *m, int unused)
{
    int32_t value;
    (void)unused;
    return pop(m, &value);
}

static ath_err do_pop_mark(machine *m, int unused)
{
    (void)unused;
    return take_mark(m, &m->n_stack);
}

static ath_err do_dup(machine *m, int unused)
{
    int32_t value = 0;
    (void)unused;
    ATH_TRY(peek(m, &value));
    return push(m, value);
}

static ath_err do_empty(machine *m, int kind)
{
    return push_new(m, empty((ath_pickle_kind)kind));
}

/* A container of what lies above `first`, in its place. */
static ath_err gather(machine *m, ath_pickle_kind kind, int64_t first)
{
    const int64_t n = m->n_stack - first;

    if (kind == ATH_PICKLE_DICT && n % 2) return bad(m, "a dict of a key without a value");
    ATH_TRY(push_new(m, empty(kind)));
    const int32_t container = m->stack[m->n_stack - 1];
    for (int64_t i = 0; i < n; i++) ATH_TRY(append(m, container, m->stack[first + i]));
    m->stack[first] = container;
    m->n_stack = first + 1;
    return ATH_OK;
}

static ath_err do_gather(machine *m, int kind)
{
    int64_t first = 0;

    ATH_TRY(take_mark(m, &first));
    return gather(m, (ath_pickle_kind)kind, first);
}

static ath_err do_tuple(machine *m, int n)
{
    if (height(m) < n) return bad(m, "a tuple of %d finds fewer on the stack", n);
    return gather(m, ATH_PICKLE_TUPLE, m->n_stack - n);
}

/* Puts what lies above `first` into the container below. */
static ath_err extend(machine *m, int64_t first, ath_pickle_kind kind)
{
    const int64_t n = m->n_stack - first;
    int32_t container = 0;

    m->n_stack = first;
    ATH_TRY(peek(m, &container));
    if (is_kind(m, container, ATH_PICKLE_OTHER)) return ATH_OK; /* a set */
    if (!is_kind(m, container, kind))
        return bad(m, "%s gets items as if it were %s",
                   ath_pickle_kind_name(value_of(m, container)->kind), ath_pickle_kind_name(kind));
    if (kind == ATH_PICKLE_DICT && n % 2) return bad(m, "a dict of a key without a value");
    for (int64_t i = 0; i < n; i++) ATH_TRY(append(m, container, m->stack[first + i]));
    return ATH_OK;
}

static ath_err do_extend(machine *m, int kind)
{
    int64_t first = 0;

    ATH_TRY(take_mark(m, &first));
    return extend(m, first, (ath_pickle_kind)kind);
}

static ath_err do_append(machine *m, int kind)
{
    const int n = kind == ATH_PICKLE_DICT ? 2 : 1;

    if (height(m) < n) return bad(m, "an instruction finds nothing on the stack");
    return extend(m, m->n_stack - n, (ath_pickle_kind)kind);
}

/* The memo. */

static ath_err put_memo(machine *m, uint64_t at)
{
    int32_t value = 0;

    ATH_TRY(peek(m, &value));
    if (at > m->n) return bad(m, "memo %" PRIu64 " in a pickle of %zu bytes", at, m->n);
    while ((uint64_t)m->n_memo <= at) {
        ATH_TRY(ath_mem_grow(&m->memo, m->n_memo, &m->room_memo, sizeof *m->memo, m->zip->file));
        m->memo[m->n_memo++] = -1;
    }
    m->memo[at] = value;
    return ATH_OK;
}

static ath_err do_put(machine *m, int n_bytes)
{
    uint64_t at = 0;

    ATH_TRY(take_number(m, n_bytes, &at));
    return put_memo(m, at);
}

static ath_err do_memoize(machine *m, int unused)
{
    (void)unused;
    return put_memo(m, (uint64_t)m->n_memo);
}

static ath_err do_get(machine *m, int n_bytes)
{
    uint64_t at = 0;

    ATH_TRY(take_number(m, n_bytes, &at));
    if (at >= (uint64_t)m->n_memo || m->memo[at] < 0)
        return bad(m, "memo %" PRIu64 " is read and was never written", at);
    return push(m, m->memo[at]);
}

/* Names. */

static ath_err push_global(machine *m, const char *module, size_t n_module, const char *name,
                           size_t n_name)
{
    for (int32_t i = 0; i < (int32_t)(sizeof globals / sizeof *globals); i++) {
        if (strlen(globals[i].module) != n_module || strlen(globals[i].name) != n_name) continue;
        if (memcmp(globals[i].module, module, n_module) != 0) continue;
        if (memcmp(globals[i].name, name, n_name) != 0) continue;
        return push_new(m, (ath_pickle_value){.kind = ATH_PICKLE_GLOBAL, .what = i});
    }
    return bad(m, "%.*s.%.*s would run code; only tensors, numbers and texts in dicts are read",
               (int)(n_module < 100 ? n_module : 100), module, (int)(n_name < 100 ? n_name : 100),
               name);
}

static ath_err do_global(machine *m, int unused)
{
    const char *module = NULL, *name = NULL;
    size_t n_module = 0, n_name = 0;

    (void)unused;
    ATH_TRY(take_line(m, &module, &n_module));
    ATH_TRY(take_line(m, &name, &n_name));
    return push_global(m, module, n_module, name, n_name);
}

static ath_err do_stack_global(machine *m, int unused)
{
    int32_t module = 0, name = 0;

    (void)unused;
    ATH_TRY(pop(m, &name));
    ATH_TRY(pop(m, &module));
    if (!is_kind(m, module, ATH_PICKLE_TEXT) || !is_kind(m, name, ATH_PICKLE_TEXT))
        return bad(m, "a name that is no text");
    const ath_pickle_value *a = value_of(m, module), *b = value_of(m, name);
    return push_global(m, a->as.text.text, (size_t)a->as.text.n, b->as.text.text,
                       (size_t)b->as.text.n);
}

/* INST, a name and a call in one, which nothing of ours needs. */
static ath_err do_inst(machine *m, int unused)
{
    const char *module = NULL, *name = NULL;
    size_t n_module = 0, n_name = 0;

    (void)unused;
    ATH_TRY(take_line(m, &module, &n_module));
    ATH_TRY(take_line(m, &name, &n_name));
    return bad(m, "%.*s.%.*s would run code (INST)", (int)(n_module < 100 ? n_module : 100), module,
               (int)(n_name < 100 ? n_name : 100), name);
}

/* Storages: ('storage', class, key, place, count). */

static ath_err find_member(const machine *m, int32_t key, const ath_zip_member **out)
{
    const ath_pickle_value *k = value_of(m, key);
    char name[MEMBER_NAME_MAX];

    if (k->as.text.n > 100 || m->n_root > 300) return bad(m, "a storage with a very long key");
    const int n = snprintf(name, sizeof name, "%.*sdata/%.*s", (int)m->n_root, m->root,
                           (int)k->as.text.n, k->as.text.text);
    *out = ath_zip_find(m->zip, name, (size_t)n);
    if (!*out) return bad(m, "storage \"%s\" is not in the archive", name);
    return ATH_OK;
}

static ath_err do_storage(machine *m, int unused)
{
    const ath_zip_member *member = NULL;
    int32_t id = 0;

    (void)unused;
    ATH_TRY(pop(m, &id));
    if (!is_kind(m, id, ATH_PICKLE_TUPLE) || value_of(m, id)->as.items.n < 5 ||
        !has_text(m, item(m, id, 0), "storage"))
        return bad(m, "something kept outside the pickle that is no storage");
    const ath_pickle_value *type = value_of(m, item(m, id, 1)),
                           *count = value_of(m, item(m, id, 4));
    const int32_t key = item(m, id, 2);
    if (type->kind != ATH_PICKLE_GLOBAL || globals[type->what].kind != GLOBAL_STORAGE ||
        !is_kind(m, key, ATH_PICKLE_TEXT) || count->kind != ATH_PICKLE_INT)
        return bad(m, "a storage whose type, key or length is something else");
    ATH_TRY(find_member(m, key, &member));
    ATH_ASSERT(member);
    const ath_st_dtype dtype = globals[type->what].dtype;
    const int64_t bytes = ath_st_dtype_bits(dtype) / 8, n = count->as.number;
    if (n < 0 || n > INT64_MAX / bytes || (uint64_t)(n * bytes) != member->n)
        return bad(m, "a storage of %" PRId64 " elements of %s has %zu bytes", n,
                   ath_st_dtype_name(dtype), member->n);
    return push_new(m, (ath_pickle_value){.kind = ATH_PICKLE_STORAGE,
                                          .what = globals[type->what].is_untyped ? ATH_N_ST_DTYPES
                                                                                 : (int32_t)dtype,
                                          .as.storage = {.bytes = member->bytes, .n = n * bytes}});
}

/* What calls would make. */

static ath_err make_tensor(machine *m, bool is_untyped, int32_t args)
{
    const int n = value_of(m, args)->as.items.n, i_extra = is_untyped ? 7 : 6;
    ath_pickle_value t = {.kind = ATH_PICKLE_TENSOR};

    if (n < i_extra || n > i_extra + 1)
        return bad(m, "a tensor of %d arguments, wanted %d or %d", n, i_extra, i_extra + 1);
    t.as.tensor.storage = item(m, args, 0);
    t.as.tensor.offset = item(m, args, 1);
    t.as.tensor.size = item(m, args, 2);
    t.as.tensor.stride = item(m, args, 3);
    if (!is_kind(m, t.as.tensor.storage, ATH_PICKLE_STORAGE) ||
        !is_kind(m, t.as.tensor.offset, ATH_PICKLE_INT) ||
        !is_kind(m, t.as.tensor.size, ATH_PICKLE_TUPLE) ||
        !is_kind(m, t.as.tensor.stride, ATH_PICKLE_TUPLE))
        return bad(m, "a tensor whose storage, offset, size or stride is something else");
    if (n > i_extra) { /* bits that change what the numbers mean: conjugate, negative */
        const ath_pickle_value *extra = value_of(m, item(m, args, i_extra));
        if (extra->kind != ATH_PICKLE_NONE && (extra->kind != ATH_PICKLE_DICT || extra->as.items.n))
            return bad(m, "a tensor with properties of its own; save a clone of it");
    }
    t.what = value_of(m, t.as.tensor.storage)->what;
    if (is_untyped) {
        const ath_pickle_value *type = value_of(m, item(m, args, 6));
        if (type->kind != ATH_PICKLE_GLOBAL || globals[type->what].kind != GLOBAL_DTYPE)
            return bad(m, "a tensor whose type is %s", ath_pickle_kind_name(type->kind));
        t.what = (int32_t)globals[type->what].dtype;
    }
    if (t.what == ATH_N_ST_DTYPES) return bad(m, "a tensor without a type");
    return push_new(m, t);
}

static ath_err call(machine *m, int32_t global, int32_t args)
{
    const int32_t row = value_of(m, global)->what;

    switch (globals[row].kind) {
    case GLOBAL_DICT:
        if (value_of(m, args)->as.items.n) return bad(m, "an OrderedDict that is not made empty");
        return do_empty(m, ATH_PICKLE_DICT);
    case GLOBAL_TENSOR:
        return make_tensor(m, globals[row].is_untyped, args);
    case GLOBAL_PARAMETER:
        if (value_of(m, args)->as.items.n < 1 || !is_kind(m, item(m, args, 0), ATH_PICKLE_TENSOR))
            return bad(m, "a parameter that is no tensor");
        return push(m, item(m, args, 0));
    case GLOBAL_OTHER:
        return do_constant(m, ATH_PICKLE_OTHER);
    case GLOBAL_STORAGE:
    case GLOBAL_DTYPE:
        break;
    }
    return bad(m, "%s.%s is called, which would run code", globals[row].module, globals[row].name);
}

/* REDUCE and NEWOBJ: a callable and its arguments. */
static ath_err do_call(machine *m, int unused)
{
    int32_t args = 0, global = 0;

    (void)unused;
    ATH_TRY(pop(m, &args));
    ATH_TRY(pop(m, &global));
    if (!is_kind(m, global, ATH_PICKLE_GLOBAL))
        return bad(m, "%s is called, which would run code",
                   ath_pickle_kind_name(value_of(m, global)->kind));
    if (!is_kind(m, args, ATH_PICKLE_TUPLE))
        return bad(m, "a call with %s for arguments",
                   ath_pickle_kind_name(value_of(m, args)->kind));
    return call(m, global, args);
}

/* Attributes of a dict (its _metadata) and of what is nothing to us are passed over. */
static ath_err do_build(machine *m, int unused)
{
    int32_t state = 0, object = 0;

    (void)unused;
    ATH_TRY(pop(m, &state));
    ATH_TRY(peek(m, &object));
    if (is_kind(m, object, ATH_PICKLE_DICT) || is_kind(m, object, ATH_PICKLE_OTHER)) return ATH_OK;
    return bad(m, "the state of %s is set (BUILD), which would run code",
               ath_pickle_kind_name(value_of(m, object)->kind));
}

static ath_err do_refuse(machine *m, int op)
{
    return bad(m, "instruction 0x%02x would run code", (unsigned)op);
}

typedef ath_err instruction(machine *m, int number);

static const struct {
    instruction *run;
    int number;
} instructions[256] = {
    [0x80] = {do_proto, 1},
    [0x95] = {do_nothing, 8}, /* FRAME */
    ['.'] = {do_stop, 0},
    ['('] = {do_mark, 0},
    ['0'] = {do_pop, 0},
    ['1'] = {do_pop_mark, 0},
    ['2'] = {do_dup, 0},
    ['N'] = {do_constant, ATH_PICKLE_NONE},
    [0x88] = {do_bool, 1},
    [0x89] = {do_bool, 0},
    ['J'] = {do_int, 4},
    ['K'] = {do_int, 1},
    ['M'] = {do_int, 2},
    [0x8a] = {do_long, 1},
    [0x8b] = {do_long, 4},
    ['G'] = {do_float, 8},
    ['X'] = {do_text, 4},
    [0x8c] = {do_text, 1},
    [0x8d] = {do_text, 8},
    ['T'] = {do_text, 4},
    ['U'] = {do_text, 1},
    ['B'] = {do_bytes, 4},
    ['C'] = {do_bytes, 1},
    [0x8e] = {do_bytes, 8},
    [0x96] = {do_bytes, 8},
    [')'] = {do_empty, ATH_PICKLE_TUPLE},
    [']'] = {do_empty, ATH_PICKLE_LIST},
    ['}'] = {do_empty, ATH_PICKLE_DICT},
    [0x8f] = {do_empty, ATH_PICKLE_LIST}, /* a set */
    ['t'] = {do_gather, ATH_PICKLE_TUPLE},
    ['l'] = {do_gather, ATH_PICKLE_LIST},
    ['d'] = {do_gather, ATH_PICKLE_DICT},
    [0x91] = {do_gather, ATH_PICKLE_LIST}, /* a frozenset */
    [0x85] = {do_tuple, 1},
    [0x86] = {do_tuple, 2},
    [0x87] = {do_tuple, 3},
    ['a'] = {do_append, ATH_PICKLE_LIST},
    ['e'] = {do_extend, ATH_PICKLE_LIST},
    [0x90] = {do_extend, ATH_PICKLE_LIST},
    ['s'] = {do_append, ATH_PICKLE_DICT},
    ['u'] = {do_extend, ATH_PICKLE_DICT},
    ['q'] = {do_put, 1},
    ['r'] = {do_put, 4},
    [0x94] = {do_memoize, 0},
    ['h'] = {do_get, 1},
    ['j'] = {do_get, 4},
    ['c'] = {do_global, 0},
    [0x93] = {do_stack_global, 0},
    ['i'] = {do_inst, 0},
    ['Q'] = {do_storage, 0},
    ['R'] = {do_call, 0},
    [0x81] = {do_call, 0},
    ['b'] = {do_build, 0},
    ['o'] = {do_refuse, 'o'},
    [0x92] = {do_refuse, 0x92},
    [0x82] = {do_refuse, 0x82},
    [0x83] = {do_refuse, 0x83},
    [0x84] = {do_refuse, 0x84},
};

static ath_err run(machine *m)
{
    while (!m->is_done) {
        uint64_t op = 0;
        ATH_TRY(take_number(m, 1, &op));
        if (!instructions[op].run) return bad(m, "instruction 0x%02x is not known", (unsigned)op);
        ATH_TRY(instructions[op].run(m, instructions[op].number));
    }
    return ATH_OK;
}

ath_err ath_pickle_read(const ath_zip *zip, const ath_zip_member *pickle, const char *root,
                        size_t n_root, ath_pickle *out)
{
    machine m = {.zip = zip,
                 .root = root,
                 .n_root = n_root,
                 .bytes = pickle->bytes,
                 .n = pickle->n,
                 .out = out};

    ATH_NEED(pickle->n <= PICKLE_MAX, ATH_EFORMAT, "%s: a pickle of %zu bytes, at most %d are read",
             zip->file, pickle->n, PICKLE_MAX);
    ath_err err = run(&m);
    ath_mem_free(&m.stack);
    ath_mem_free(&m.memo);
    ath_mem_free(&m.mark);
    return err;
}

void ath_pickle_release(ath_pickle *pickle)
{
    ath_mem_free(&pickle->value);
    ath_mem_free(&pickle->cell);
    *pickle = (ath_pickle){0};
}
