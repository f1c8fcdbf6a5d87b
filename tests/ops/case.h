/*
 * Cases: an op, its attributes, its operands' shapes (cases.def). Trials: a case set up for one
 * backend and dtype, with all its arrays between guards and filled from the seed.
 */
#ifndef ATH_TESTS_OPS_CASE_H
#define ATH_TESTS_OPS_CASE_H

#include "kernels/device.h"
#include "kernels/op.h"
#include "tests/ops/array.h"

/* In the order of the words of --tag. */
enum ath_tag {
    QUICK = 1, /* small: run in every mode, differentiated */
    SD15 = 2,  /* a shape of Stable Diffusion 1.5 */
    ODD = 4,   /* sizes nobody tunes for */
    PERF = 8,  /* timed only: too large for the double reference */
};

/* Kinds of operands: which dtype they have, what is in them (array.h), and whether the first axis
 * is the batch.
 *     the run's dtype   A O  batch      W  not (scaled by fan-in)    f16  H  not
 *     f32               B T  batch      F G P M  not               f64  D  not
 *     i32               I K  batch */
typedef struct ath_operand {
    char kind; /* 0: absent */
    int32_t n_dim;
    int64_t dim[ATH_MAX_DIMS];
    int64_t range;
} ath_operand;

typedef struct ath_case {
    const char *op, *name;
    uint32_t tags;
    const void *attr;
    /* n_in operands, then the first contents of outputs that are updated in place */
    ath_operand in[ATH_MAX_IN + ATH_MAX_OUT];
    ath_err refusal; /* of the lines that must be refused: with what */
} ath_case;

/* Values of attribute fields that stand for a dtype of the run. */
enum { DT_RUN = -1001, DT_FULL = -1002, DT_HALF = -1003 };

extern const ath_case ath_cases[], ath_refusals[];
extern const int ath_n_cases, ath_n_refusals;

/* What to run a case as. */
typedef struct ath_setup {
    const ath_case *c;
    const ath_op *op;
    ath_backend backend;
    ath_device *device; /* that kernels run on, over copies of the arrays; NULL: the host */
    ath_dtype dtype;    /* of activations: F32 or BF16 */
    uint32_t drop;      /* bit i: leave optional operand i out */
    uint64_t seed;
    int threads;
} ath_setup;

enum { ATH_ATTR_WORDS = 16 };

typedef struct ath_trial {
    ath_setup setup;
    ath_dtype dtype; /* of activations here: the setup's, or F64 where the backend is ref64 */
    int32_t attr[ATH_ATTR_WORDS];
    ath_site site; /* operands, outputs, saved; pass and gradients are set by ath_ready_init */
    ath_dtype data_out[ATH_MAX_OUT]; /* the outputs' in the setup's dtype */
    uint32_t wanted;                 /* gradients that can be asked for */
    ath_guarded in[ATH_MAX_IN], out[ATH_MAX_OUT], saved[ATH_MAX_SAVED], dout[ATH_MAX_OUT],
        din[ATH_MAX_IN];
} ath_trial;

/* The attributes and operands of a case, for a run of activations in `dtype`. */
void ath_case_describe(const ath_setup *s, ath_dtype dtype, int32_t attr[ATH_ATTR_WORDS],
                       ath_desc in[ATH_MAX_IN]);
/* Whether the case differs between F32 and BF16 runs. */
bool ath_case_has_dtype(const ath_case *c, const ath_op *op);

/* Infers, allocates, fills. On ref64 the numbers are those of the setup's dtype. */
ATH_MUST ath_err ath_trial_init(ath_trial *t, const ath_setup *s);
void ath_trial_release(ath_trial *t);
bool ath_trial_has_bwd(const ath_trial *t);

/* The gradient of operand i; dtype NONE where it cannot be asked for. */
ath_desc ath_trial_din(const ath_trial *t, int i);
/* The contents that din[i] is given before a call that adds. */
void ath_trial_fill_din(const ath_trial *t, int i, void *p, ath_dtype dtype);

typedef struct ath_how {
    int threads;
    int fill; /* byte put into scratch, and into all that is to be written, before the call */
    uint32_t wanted, add; /* BWD */
    uint32_t frozen;
} ath_how;

/* A bound call over the trial's arrays. */
typedef struct ath_ready {
    ath_trial *trial;
    ath_site site;
    ath_bound bound;
    ath_call call;
    const ath_kernel *kernel;
    ath_guarded scratch, packed[ATH_MAX_IN];
    int fill;
} ath_ready;

/* Binds and packs. What backward must not read is NULL. */
ATH_MUST ath_err ath_ready_init(ath_ready *r, ath_trial *t, ath_pass pass, const ath_how *how);
/* Fills what is to be written, as `how` said. */
void ath_ready_fill(const ath_ready *r);
/* Runs once and looks at all guards. */
ATH_MUST ath_err ath_ready_run(const ath_ready *r);
void ath_ready_release(ath_ready *r);

/* The four together. */
ATH_MUST ath_err ath_trial_run(ath_trial *t, ath_pass pass, const ath_how *how);

#endif
