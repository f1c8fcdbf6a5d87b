/*
 * One convolution through cuDNN's graph interface, with an engine that was pinned when it was made.
 *
 * The heuristic is asked for the GPU that is current, or for a described one that is not there. Of the
 * configurations it lists, the first is taken that the library can execute and whose numerical notes are
 * those of a sum in f32, in one order: deterministic, not in the Fourier or Winograd domain, inputs not
 * rounded, and for F32 without tensor cores. Nothing is timed.
 *
 * Images are [N,H,W,C], filters [O,I,J,C]. F32 and BF16, sums in f32.
 */
#ifndef ATH_KERNELS_CONV_CUDNN_H
#define ATH_KERNELS_CONV_CUDNN_H

#include "kernels/conv2d.h"

typedef enum ath_conv_kind {
    ATH_CONV_Y,       /* y = x * filter + bias */
    ATH_CONV_DX,      /* dx (=|+=) from dy and the filter */
    ATH_CONV_DFILTER, /* of the operands' type: each number was rounded once */
    ATH_N_CONV_KINDS
} ath_conv_kind;

typedef struct ath_conv ath_conv;

/* What conv2d's site asks for; `add` for DX alone, the site's bias for Y alone, of x's type. ENOTSUP where
 * no configuration is as it must be. */
ATH_MUST ath_err ath_conv_create(const ath_site *site, ath_conv_kind kind, bool add,
                                 ath_conv **out);
/* Accepts NULL, clears. */
void ath_conv_destroy(ath_conv **conv);

size_t ath_conv_get_workspace_bytes(const ath_conv *conv);
const char *ath_conv_get_name(const ath_conv *conv); /* engine and knobs */

/* x or dx, filter or dfilter, y or dy; a NULL bias where there is none. */
typedef struct ath_conv_arrays {
    const void *x, *filter, *y, *bias;
} ath_conv_arrays;
/* Puts it into the call's stream. */
ATH_MUST ath_err ath_conv_run(const ath_conv *conv, const ath_call *call,
                              const ath_conv_arrays *arrays, void *workspace);

/* From now on convolutions are made for the device that the text describes, as cuDNN writes it
 * (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION), with no GPU needed; they cannot run. Not while others are
 * made. */
ATH_MUST ath_err ath_conv_plan_for(const char *json);

#endif
