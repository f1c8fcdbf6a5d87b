/* The face that an adapter shows to the layers: the one hook, in ath_linear and ath_conv2d. */
#ifndef ATH_GRAPH_ADAPTER_SITE_H
#define ATH_GRAPH_ADAPTER_SITE_H

#include "worker/graph/net.h"

/* A layer that an adapter may work at. The open path of the net is its key, without ".weight". */
typedef struct ath_adapter_site {
    int64_t n_in, n_out;    /* channels */
    int32_t kernel, stride; /* 1, 1 for a linear */
    int32_t pad[4];         /* top, left, bottom, right */
    bool is_conv;
} ath_adapter_site;

struct ath_adapter {
    const char *name;    /* unique among the attached: its parameters are "layer's key.name.part" */
    int64_t row, n_rows; /* its part of the batch axis; n_rows 0: all of it */
    /* Records what is to be added to the layer's output for the rows `x`, or gives {0} where the
     * adapter does not work at this site. */
    ath_val (*delta)(ath_net *net, const ath_adapter *adapter, const ath_adapter_site *site,
                     ath_val x);
    const void *state; /* the kind's own description */
};

#endif
