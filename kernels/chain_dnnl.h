/*
 * A chain of oneDNN primitives: the handle of the cpu kernels of conv2d, linear and lowrank.
 *
 * Bind creates the chain of a site, puts products and convolutions on it and seals it; run executes
 * them in that order on one stream. All memory is the call's: operands, packed operands, scratch;
 * the library's own scratchpad is booked in the call's scratch. A chain runs one call at a time.
 *
 * Frozen operands are packed once into the layout the library likes best; others are brought into
 * it within the run, through scratch, where their plain layout will not do.
 *
 * F32 and BF16 with f32 sums. Below ISA level v4 oneDNN knows no BF16: there the chain widens
 * operands to f32 in scratch and narrows the results, and packs nothing for BF16.
 *
 * Bits: equal for the same site, thread count, ISA level and processor; the op says what more.
 */
#ifndef ATH_KERNELS_CHAIN_DNNL_H
#define ATH_KERNELS_CHAIN_DNNL_H

#include "kernels/op.h"
#include <dnnl.h>

/* A oneDNN status as ours: ENOTSUP where it has no such primitive, ENOMEM, else EDNNL. */
ATH_MUST ath_err ath_dnnl(dnnl_status_t status);

/* Makes the engine and the stream of the process, at first use, for ath_isa_get()'s level. Those
 * below are valid after its success. Any thread. */
ATH_MUST ath_err ath_dnnl_start(void);
dnnl_engine_t ath_dnnl_engine(void);
dnnl_stream_t ath_dnnl_stream(void);

/* Sets the threads of primitives that this thread creates and executes; returns the number before.
 * Does nothing in a build without OpenMP. */
int ath_dnnl_set_threads(int n);

/* The number type that primitives compute with for F32 and BF16: f32 where oneDNN has no BF16. */
dnnl_data_type_t ath_dnnl_type(ath_dtype dtype);

/* Where an array's bytes lie in a call. */
typedef enum ath_place_kind {
    ATH_AT_IN,
    ATH_AT_OUT,
    ATH_AT_SAVED,
    ATH_AT_DOUT,
    ATH_AT_DIN,
    ATH_AT_PACKED,
    ATH_AT_SCRATCH,
    ATH_AT_PAD, /* the library's scratchpad, shared by all primitives of a chain */
} ath_place_kind;

typedef struct ath_place {
    ath_place_kind kind;
    size_t i; /* which operand; for SCRATCH the offset in bytes */
} ath_place;

typedef struct ath_array {
    ath_place place;
    dnnl_memory_desc_t md;
} ath_array;

/* A dense row-major array. */
ath_array ath_array_at(ath_place_kind kind, int i, ath_dtype dtype, int n_dim, const int64_t *dim);
/* The whole of operand `d` as a matrix: all axes but the last are its rows. */
ath_array ath_array_rows(ath_place_kind kind, int i, const ath_desc *d);
/* The same bytes read with the first two axes exchanged. */
ath_array ath_array_swap(const ath_array *a);

/* The shape of `md` in whatever layout a primitive likes best. */
dnnl_memory_desc_t ath_md_any(const dnnl_memory_desc_t *md, dnnl_data_type_t type);

typedef struct ath_chain ath_chain;

/* An empty chain, owned by bound->handle. ENOTSUP for F64. */
ATH_MUST ath_err ath_chain_create(const ath_site *site, ath_bound *bound, ath_chain **out);
/* Books scratch and names the algorithm. Nothing can be put on the chain after this. */
void ath_chain_seal(ath_chain *chain);

/* `a` as primitives can read it: itself, or widened. */
ATH_MUST ath_err ath_chain_read(ath_chain *chain, ath_array a, ath_array *out);
/* Where primitives shall write what will become `a`: `a` itself, or scratch where it must be
 * narrowed or is wanted `aside`. */
ath_array ath_chain_target(ath_chain *chain, const ath_array *a, bool aside);
/* Brings `from`, written by a primitive, to its final place; nothing where it is there already. */
ATH_MUST ath_err ath_chain_settle(ath_chain *chain, const ath_array *from, const ath_array *to,
                                  bool add);

typedef struct ath_chain_arg {
    int id; /* DNNL_ARG_* */
    const ath_array *array;
} ath_chain_arg;

/* A weight operand in its plain layout, to be brought into the one that a primitive wants. Turned:
 * filter tap (i, j) changes places with (I-1-i, J-1-j). */
typedef struct ath_chain_weight {
    const ath_array *array;
    bool turned;
} ath_chain_weight;

/* A primitive with its operands, `weight` (or NULL) among them; takes `pd`, also when it fails. */
ATH_MUST ath_err ath_chain_put(ath_chain *chain, dnnl_primitive_desc_t pd,
                               const ath_chain_weight *weight, int n, const ath_chain_arg *arg);

/* Attributes of a primitive: user scratchpad, result times `scale`, times the row `factor` (or
 * NULL), added to what the destination holds. The caller destroys them. */
ATH_MUST ath_err ath_chain_attr(float scale, const ath_array *factor, bool add,
                                dnnl_primitive_attr_t *out);

/* c[M,N] (=|+=) scale * factor[n] * (a[M,K] b[K,N] + bias[n]), f32 sums. A frozen operand b is
 * packed. */
typedef struct ath_product {
    ath_array a, b, c;
    const ath_array *bias;   /* [1,N] f32, or NULL */
    const ath_array *factor; /* [1,N] f32, or NULL */
    float scale;
    bool add;
} ath_product;
ATH_MUST ath_err ath_chain_product(ath_chain *chain, const ath_product *p);

/* din[i] (=|+=) the sums over rows of dout[0]: the gradient of a bias. Nothing if not wanted. */
ATH_MUST ath_err ath_chain_bias_grad(ath_chain *chain, int i);

/* The kernel functions of a chain. */
ath_err ath_chain_run(const ath_call *call);
ath_err ath_chain_pack(const ath_call *call, int i, void *packed);

#endif
