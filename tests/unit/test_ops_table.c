/*
 * What holds for every op of kernels/ops.def, whatever it computes: the descriptor is well formed,
 * its bits name operands that exist, kernels are there for every pass that is promised, and the
 * common door refuses what no op accepts.
 */
#include "kernels/ops.h"
#include "tests/harness.h"

#include <ctype.h>

/* Checks that name the op when they fail. */
#define CHECK_OP(op, cond) \
    ath_test_note((cond), __FILE__, __LINE__, "%s: %s", (op)->name ? (op)->name : "?", #cond)

static const int32_t zeros[64]; /* attributes that mean nothing */

static uint32_t bits_below(int n)
{
    return (1u << n) - 1;
}

static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!islower((unsigned char)*c) && *c != '_' && !(isdigit((unsigned char)*c) && c > name))
            return false;
    return *name != '\0';
}

static void test_names(void)
{
    ath_test_begin("names");
    CHECK(ATH_N_OPS > 0);
    for (int i = 0; i < ATH_N_OPS; i++) {
        CHECK_OP(ath_ops[i], ath_ops[i]->name && is_name(ath_ops[i]->name));
        CHECK_OP(ath_ops[i], ath_op_find(ath_ops[i]->name) == ath_ops[i]);
    }
    CHECK(ath_op_find("") == NULL);
    CHECK(ath_op_find("no_such_op") == NULL);
#define OP(op) CHECK_STR(ath_ops[ATH_OP_INDEX_##op]->name, #op);
#include "kernels/ops.def"
#undef OP
}

/* Whether the op's counts fit, without which nothing more can be asked. */
static bool test_limits(const ath_op *op)
{
    const bool fits = op->n_in >= 1 && op->n_in <= ATH_MAX_IN && op->n_out >= 1 &&
                      op->n_out <= ATH_MAX_OUT && op->n_saved >= 0 &&
                      op->n_saved <= ATH_MAX_SAVED && op->attr_bytes <= sizeof zeros;

    CHECK_OP(op, fits);
    CHECK_OP(op, op->infer != NULL);
    CHECK_OP(op, op->attr_bytes % 4 == 0); /* hashed as bytes: fields of four, no padding */
    CHECK_OP(op, !op->show == !op->attr_bytes);
    return fits && op->infer;
}

static void test_bits(const ath_op *op)
{
    const uint32_t in = bits_below(op->n_in), out = bits_below(op->n_out);
    const uint32_t readable = in | out << 8 | bits_below(op->n_saved) << 16;

    CHECK_OP(op, (op->optional & ~in) == 0);
    CHECK_OP(op, op->optional != in);
    CHECK_OP(op, (op->weights & ~in) == 0);
    CHECK_OP(op, (op->no_grad & ~in) == 0);
    CHECK_OP(op, (op->weights & op->no_grad) == 0);
    CHECK_OP(op, (op->updates & ~out) == 0);
    CHECK_OP(op, (op->bwd_reads & ~readable) == 0);
}

static bool has_pass(const ath_op *op, ath_pass pass)
{
    const ath_kernel *column = pass == ATH_FWD ? op->fwd : op->bwd;
    for (int b = 0; b < ATH_N_BACKENDS; b++)
        if (column[b].run) return true;
    return false;
}

static void test_kernel(const ath_op *op, const ath_kernel *k)
{
    CHECK_OP(op, k->run || (!k->bind && !k->pack && !k->bits));
    CHECK_OP(op, !k->pack || k->bind); /* only bind can ask for a packing */
    CHECK_OP(op, (k->bits & ~(uint32_t)(ATH_BITS_THREADS | ATH_BITS_ROWS)) == 0);
}

static void test_kernels(const ath_op *op)
{
    const bool has_bwd = has_pass(op, ATH_BWD);

    for (int b = 0; b < ATH_N_BACKENDS; b++) {
        test_kernel(op, &op->fwd[b]);
        test_kernel(op, &op->bwd[b]);
    }
    for (int pass = ATH_FWD; pass <= (has_bwd ? ATH_BWD : ATH_FWD); pass++) {
        const ath_kernel *column = pass == ATH_FWD ? op->fwd : op->bwd;
        CHECK_OP(op, column[ATH_REF].run != NULL);
        CHECK_OP(op, column[ATH_REF64].run != NULL);
        CHECK_OP(op, column[ATH_REF].run != column[ATH_REF64].run);
        CHECK_OP(op, column[ATH_REF].bind == column[ATH_REF64].bind);
        CHECK_OP(op, column[ATH_REF].bits & ATH_BITS_THREADS);
        CHECK_OP(op, ath_op_kernel(op, (ath_pass)pass, ATH_CPU) ==
                         &column[column[ATH_CPU].run ? ATH_CPU : ATH_REF]);
    }
    /* no gradient at all: nothing to read for one, nothing saved for one, none can be asked for */
    CHECK_OP(op, has_bwd || (!op->bwd_reads && !op->n_saved && !op->weights));
    CHECK_OP(op, has_bwd || op->no_grad == bits_below(op->n_in));
    CHECK_OP(op, !has_bwd || op->no_grad != bits_below(op->n_in));
    CHECK_OP(op, !has_bwd || !op->updates);
}

static ath_err infer_zeros(const ath_op *op, const ath_desc *in)
{
    ath_desc out[ATH_MAX_OUT], saved[ATH_MAX_SAVED];

    ath_err_clear();
    return ath_op_infer(op, op->attr_bytes ? zeros : NULL, in, out, saved);
}

/* What the common door refuses, before the op's own rule is asked. */
static void test_refusals(const ath_op *op)
{
    ath_desc in[ATH_MAX_IN], out[ATH_MAX_OUT], saved[ATH_MAX_SAVED];

    for (int i = 0; i < op->n_in; i++)
        in[i] = (ath_desc){.dtype = ATH_F32, .n_dim = 2, .dim = {2, 2}};
    CHECK_ERR(ath_op_infer(op, op->attr_bytes ? NULL : zeros, in, out, saved), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), op->name);
    for (int i = 0; i < op->n_in; i++) {
        const ath_desc good = in[i];
        in[i].dtype = ATH_NONE;
        if (op->optional >> i & 1) {
            CHECK_OP(op, infer_zeros(op, in) != ATH_EMISSING);
        } else {
            CHECK_ERR(infer_zeros(op, in), ATH_EMISSING);
            CHECK_HAS(ath_err_text(), op->name);
        }
        in[i] = good;
        in[i].dim[1] = 0;
        CHECK_ERR(infer_zeros(op, in), ATH_ESHAPE);
        in[i].dim[1] = (int64_t)INT32_MAX + 1;
        CHECK_ERR(infer_zeros(op, in), ATH_ESHAPE);
        in[i] = good;
        in[i].n_dim = ATH_MAX_DIMS + 1;
        CHECK_ERR(infer_zeros(op, in), ATH_ESHAPE);
        in[i] = good;
    }
}

/* The op's own rule: no operand has this dtype, and the sentence begins with the op's name. */
static void test_rule(const ath_op *op)
{
    ath_desc in[ATH_MAX_IN];
    char head[64];

    for (int i = 0; i < op->n_in; i++)
        in[i] = (ath_desc){.dtype = ATH_N_DTYPES, .n_dim = 2, .dim = {2, 2}};
    const ath_err err = infer_zeros(op, in);
    CHECK_OP(op, err == ATH_EDTYPE || err == ATH_ESHAPE || err == ATH_EINVAL);
    snprintf(head, sizeof head, "%s: %s: ", ath_err_name(err), op->name);
    CHECK_OP(op, strncmp(ath_err_text(), head, strlen(head)) == 0);
}

int main(void)
{
    test_names();
    for (int i = 0; i < ATH_N_OPS; i++) {
        ath_test_begin(ath_ops[i]->name);
        if (!test_limits(ath_ops[i])) continue;
        test_bits(ath_ops[i]);
        test_kernels(ath_ops[i]);
        test_refusals(ath_ops[i]);
        test_rule(ath_ops[i]);
    }
    return ath_test_end();
}
