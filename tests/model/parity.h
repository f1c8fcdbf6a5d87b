/*
 * One case of a fixture of make_models.py (it says there what is in one): the network recorded,
 * compiled, run, and its numbers measured against PyTorch's.
 */
#ifndef ATH_TESTS_MODEL_PARITY_H
#define ATH_TESTS_MODEL_PARITY_H

#include "core/io/safetensors.h"
#include "kernels/device.h"
#include "kernels/op.h"
#include "worker/model/spec.h"

enum { PARITY_NAME = 128 };

typedef struct parity_opts {
    const ath_st *st;
    const char *name; /* of the case: "unet.even" */
    const ath_model_spec *spec;
    ath_backend backend;
    ath_device *device; /* NULL: the host */
    ath_dtype compute;
    int32_t n_threads;
    bool trains; /* else every parameter is frozen */
    bool recompute;
} parity_opts;

/* Relative errors: L2 norm of the difference / L2 norm of what torch has. Some gradients are 0 but
 * for rounding (a key's bias moves all scores of a query alike), and have no relative error: where
 * torch's root mean square is below PARITY_FLOOR of that over all parameters, the error is taken
 * relative to the latter and stands apart, in `zero`. */
#define PARITY_FLOOR 1e-3
typedef struct parity_result {
    double out, loss, din, dw, zero; /* din, dw, zero: the worst of all */
    double dw_mean;                  /* root mean square of the parameters' */
    double norm;                     /* of the L2 norm of a whole gradient */
    int32_t n_dw, n_zero;            /* parameters with a gradient; of these, below the floor */
    char din_name[PARITY_NAME], dw_name[PARITY_NAME]; /* of the worst */
    double
        mark; /* a number that differs where any bit of the inputs' gradients does, most likely */
} parity_result;

/* True where the case has gradients. */
bool parity_has_gradient(const parity_opts *opts);
ATH_MUST ath_err parity_measure(const parity_opts *opts, parity_result *out);

#endif
