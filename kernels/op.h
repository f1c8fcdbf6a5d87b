/*
 * The contract of a kernel. An op is a descriptor: shape rule, what backward reads, and a table of
 * forward and backward kernels by backend. Kernels see calls: pointers, shapes, their own attribute
 * struct, scratch, and for each gradient whether it is wanted and whether to add or to set. They
 * allocate nothing, wait for nothing, print nothing.
 *
 * Letters used by all kernels:
 *     N images of a batch   H W rows, columns of an image   C channels (last axis: NHWC)
 *     B sequences           T S query tokens, key tokens    D channels of one head
 *     G groups              L channels of a group           M N K rows, columns, inner of a product
 *     E width of an embedding    V words of a vocabulary    R rank of a low-rank product
 * "rows" is the product of all axes but the last. The gradient of x is dx.
 *
 * Data types. Activations are F32 or BF16 (F64 in `ref64` alone). All sums, statistics and softmax
 * are in f32 at least. The gradient of an operand has the operand's dtype, except weight operands
 * (`ath_op.weights`), whose gradient is F32 for BF16 operands too (F64 for F64).
 */
#ifndef ATH_KERNELS_OP_H
#define ATH_KERNELS_OP_H

#include "core/err.h"
#include "core/str.h"
#include "kernels/dtype.h"

enum { ATH_MAX_DIMS = 5, ATH_MAX_IN = 5, ATH_MAX_OUT = 3, ATH_MAX_SAVED = 2 };

/* Shape and type of a dense row-major array. dtype NONE: absent. A scalar has n_dim 0. */
typedef struct ath_desc {
    ath_dtype dtype;
    int32_t n_dim;
    int64_t dim[ATH_MAX_DIMS];
} ath_desc;

int64_t ath_desc_count(const ath_desc *d); /* elements; 1 for a scalar */
int64_t ath_desc_rows(const ath_desc *d);  /* elements / last axis */
int64_t ath_desc_last(const ath_desc *d);  /* length of the last axis; 1 for a scalar */
size_t ath_desc_bytes(const ath_desc *d);  /* 0 where absent */
bool ath_desc_is_equal(const ath_desc *a, const ath_desc *b);
bool ath_desc_is_same_shape(const ath_desc *a, const ath_desc *b); /* dtype aside */
enum { ATH_DESC_TEXT = 96 };
const char *ath_desc_print(const ath_desc *d, char out[ATH_DESC_TEXT]); /* "f32[2,64,64,320]" */

typedef enum ath_backend { ATH_REF, ATH_REF64, ATH_CPU, ATH_CUDA, ATH_N_BACKENDS } ath_backend;
const char *ath_backend_name(ath_backend backend);

typedef enum ath_pass { ATH_FWD, ATH_BWD, ATH_N_PASSES } ath_pass;

typedef struct ath_op ath_op;
typedef struct ath_stream ath_stream;

/* What is known of a call before it runs: the same for every run of a plan. */
typedef struct ath_site {
    const ath_op *op;
    const void *attr; /* the op's attribute struct, or NULL where it has none */
    ath_pass pass;
    int32_t n_threads;       /* host backends: at least 1 */
    ath_desc in[ATH_MAX_IN]; /* dtype NONE: optional operand left out */
    ath_desc out[ATH_MAX_OUT];
    ath_desc saved[ATH_MAX_SAVED];
    ath_desc din[ATH_MAX_IN]; /* BWD: dtype NONE: not wanted */
    uint32_t add;             /* BWD: bit i: add to din[i]; else set it */
    uint32_t frozen;          /* bit i: in[i] changes only when weights are loaded */
} ath_site;

/* A private layout of a frozen operand that a kernel wants made once, when weights are loaded.
 * Equal keys over the same operand mean equal bytes, so copies are shared. */
typedef struct ath_packing {
    size_t bytes; /* 0: none wanted */
    uint64_t key;
} ath_packing;

/* What bind decided. Zeroed before bind is called. */
typedef struct ath_bound {
    size_t scratch_bytes;
    ath_packing pack[ATH_MAX_IN];
    const char
        *algorithm; /* static text for --explain and the plan's hash; NULL: the kernel itself */
    void *handle;   /* owned; given to every call */
    void (*destroy)(void *handle);
} ath_bound;

typedef struct ath_call {
    const ath_site *site;
    const ath_bound *bound;
    ath_stream *stream;             /* of the device; host kernels do not look at it */
    const void *in[ATH_MAX_IN];     /* BWD: NULL unless in bwd_reads */
    void *out[ATH_MAX_OUT];         /* FWD: to write. BWD: to read, NULL unless in bwd_reads */
    void *saved[ATH_MAX_SAVED];     /* FWD: to write. BWD: to read, NULL unless in bwd_reads */
    const void *dout[ATH_MAX_OUT];  /* BWD */
    void *din[ATH_MAX_IN];          /* BWD: NULL where not wanted */
    const void *packed[ATH_MAX_IN]; /* where bind asked for it; in[i] is then NULL */
    void *scratch;                  /* aligned to 64, contents arbitrary */
} ath_call;

/* What a kernel promises about bits beyond "the same call twice gives the same bits". */
enum {
    ATH_BITS_THREADS = 1, /* any n_threads */
    ATH_BITS_ROWS = 2,    /* an image or sequence alone = the same one within a larger batch (FWD
                             out and saved, BWD gradients of activations) */
};

typedef struct ath_kernel {
    /* Chooses the algorithm, fills `bound`. NULL: no scratch, no handle. Refuses with ENOTSUP. */
    ath_err (*bind)(const ath_site *site, ath_bound *bound);
    ath_err (*run)(const ath_call *call);
    /* Makes the private layout of operand i, call->in[i]; of the call only that, site, bound and
     * stream are set. NULL where bind asks for none. */
    ath_err (*pack)(const ath_call *call, int i, void *packed);
    uint32_t bits; /* ATH_BITS_* */
} ath_kernel;

#define ATH_READS_IN(i)    (1u << (i))
#define ATH_READS_OUT(i)   (1u << (8 + (i)))
#define ATH_READS_SAVED(i) (1u << (16 + (i)))

struct ath_op {
    const char *name;
    int32_t n_in; /* operands, optional ones included */
    int32_t n_out;
    int32_t n_saved;    /* written by forward for backward: statistics */
    uint32_t optional;  /* bit i: in[i] may be absent */
    uint32_t weights;   /* bit i: weight operand: din[i] is F32 (F64 where in[i] is F64) */
    uint32_t no_grad;   /* bit i: din[i] cannot be wanted (ids, targets, random keys) */
    uint32_t updates;   /* bit i: out[i] is read and written in place (optimizer ops) */
    uint32_t bwd_reads; /* what backward reads besides dout: the memory contract */
    size_t attr_bytes;  /* attribute structs hold four-byte fields only: hashed as bytes */
    /* The shape rule: checks everything, fills out and saved, or refuses with ESHAPE, EDTYPE,
     * EINVAL in a sentence that begins with the op's name. `in` has n_in entries. */
    ath_err (*infer)(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved);
    /* Prints the attributes for people, "k3 s1"; NULL where there are none. */
    void (*show)(const void *attr, ath_str *to);
    /* Useful floating-point operations of a call (multiply-add = 2); NULL: memory-bound. */
    double (*flop)(const ath_site *site);
    ath_kernel fwd[ATH_N_BACKENDS];
    ath_kernel bwd[ATH_N_BACKENDS];
};

/* The kernel that `backend` runs for this pass: its own, else ref's for cpu; NULL where none. */
const ath_kernel *ath_op_kernel(const ath_op *op, ath_pass pass, ath_backend backend);

/* Runs infer and checks the operands' presence and the attribute. */
ath_err ath_op_infer(const ath_op *op, const void *attr, const ath_desc *in, ath_desc *out,
                     ath_desc *saved);

/* Bytes a call must move at least: every operand read and result written once. */
double ath_site_bytes(const ath_site *site);

/* Fills `bound` for a site; ath_bound_release undoes it (accepts zeroed ones). */
ath_err ath_site_bind(const ath_site *site, const ath_kernel *kernel, ath_bound *bound);
void ath_bound_release(ath_bound *bound);

#endif
