/* A ready call (case.h) on a device of its own memory: operands there, results and guards back. */
#ifndef ATH_TESTS_OPS_ON_DEVICE_H
#define ATH_TESTS_OPS_ON_DEVICE_H

#include "tests/ops/case.h"

/* Runs the call's kernel `n` times on the setup's device over copies of all its arrays, guards included,
 * which take the place of the host's arrays afterwards. `seconds`, where not NULL, is the time of one
 * run: all n launched, then awaited. */
ATH_MUST ath_err ath_ready_run_on_device(const ath_ready *r, int n, double *seconds);

/* Likewise the kernel's packing of operand i into r->packed[i]. */
ATH_MUST ath_err ath_ready_pack_on_device(const ath_ready *r, int i);

#endif
