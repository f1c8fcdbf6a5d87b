#include "kernels/op.h"

#include "kernels/chain_dnnl.h"
#include "kernels/cuda.h"
#include "kernels/ops.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const ath_op *const ath_ops[ATH_N_OPS] = {
#define OP(name) &ath_op_##name,
#include "kernels/ops.def"
#undef OP
};

const ath_op *ath_op_find(const char *name)
{
    for (int i = 0; i < ATH_N_OPS; i++)
        if (strcmp(ath_ops[i]->name, name) == 0) return ath_ops[i];
    return NULL;
}

int64_t ath_desc_count(const ath_desc *d)
{
    int64_t count = 1;
    for (int i = 0; i < d->n_dim; i++) count *= d->dim[i];
    return count;
}

int64_t ath_desc_last(const ath_desc *d)
{
    return d->n_dim ? d->dim[d->n_dim - 1] : 1;
}

int64_t ath_desc_rows(const ath_desc *d)
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < d->n_dim; i++) rows *= d->dim[i];
    return rows;
}

size_t ath_desc_bytes(const ath_desc *d)
{
    return d->dtype == ATH_NONE ? 0 : (size_t)ath_desc_count(d) * ath_dtype_bytes(d->dtype);
}

bool ath_desc_is_same_shape(const ath_desc *a, const ath_desc *b)
{
    if (a->n_dim != b->n_dim) return false;
    for (int i = 0; i < a->n_dim; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool ath_desc_is_equal(const ath_desc *a, const ath_desc *b)
{
    return a->dtype == b->dtype && ath_desc_is_same_shape(a, b);
}

const char *ath_desc_print(const ath_desc *d, char out[ATH_DESC_TEXT])
{
    int used = snprintf(out, ATH_DESC_TEXT, "%s[", ath_dtype_name(d->dtype));
    for (int i = 0; i < d->n_dim; i++)
        used += snprintf(out + used, ATH_DESC_TEXT - (size_t)used, "%s%" PRId64, i ? "," : "",
                         d->dim[i]);
    snprintf(out + used, ATH_DESC_TEXT - (size_t)used, "]");
    return out;
}

const char *ath_backend_name(ath_backend backend)
{
    static const char *const names[ATH_N_BACKENDS] = {"ref", "ref64", "cpu", "cuda"};
    return (unsigned)backend < ATH_N_BACKENDS ? names[backend] : "unknown";
}

const ath_kernel *ath_op_kernel(const ath_op *op, ath_pass pass, ath_backend backend)
{
    const ath_kernel *column = pass == ATH_FWD ? op->fwd : op->bwd;
    if (backend == ATH_CUDA) return ath_cuda_kernel(op, pass);
    if (column[backend].run) return &column[backend];
    if (backend == ATH_CPU && column[ATH_REF].run) return &column[ATH_REF];
    return NULL;
}

ath_err ath_op_infer(const ath_op *op, const void *attr, const ath_desc *in, ath_desc *out,
                     ath_desc *saved)
{
    char text[ATH_DESC_TEXT];

    ATH_NEED(!op->attr_bytes == !attr, ATH_EINVAL, "%s: attributes %s", op->name,
             attr ? "given, but it has none" : "are missing");
    for (int i = 0; i < op->n_in; i++) {
        ATH_NEED(in[i].dtype != ATH_NONE || op->optional >> i & 1, ATH_EMISSING,
                 "%s: operand %d is missing", op->name, i);
        ATH_NEED(in[i].n_dim >= 0 && in[i].n_dim <= ATH_MAX_DIMS, ATH_ESHAPE,
                 "%s: operand %d has %d axes, wanted at most %d", op->name, i, in[i].n_dim,
                 ATH_MAX_DIMS);
        for (int k = 0; k < in[i].n_dim; k++)
            ATH_NEED(in[i].dim[k] > 0 && in[i].dim[k] <= INT32_MAX, ATH_ESHAPE,
                     "%s: operand %d is %s: axis %d is out of range", op->name, i,
                     ath_desc_print(&in[i], text), k);
    }
    memset(out, 0, sizeof *out * ATH_MAX_OUT);
    memset(saved, 0, sizeof *saved * ATH_MAX_SAVED);
    return op->infer(attr, in, out, saved);
}

double ath_site_bytes(const ath_site *site)
{
    double bytes = 0;
    uint32_t reads = site->pass == ATH_FWD ? 0xffu : site->op->bwd_reads;

    for (int i = 0; i < ATH_MAX_IN; i++) {
        if (reads & ATH_READS_IN(i)) bytes += (double)ath_desc_bytes(&site->in[i]);
        if (site->pass == ATH_BWD)
            bytes += (double)ath_desc_bytes(&site->din[i]) * (site->add >> i & 1 ? 2 : 1);
    }
    for (int i = 0; i < ATH_MAX_OUT; i++) {
        bytes += (double)ath_desc_bytes(&site->out[i]); /* out, or dout */
        if (site->pass == ATH_BWD && reads & ATH_READS_OUT(i))
            bytes += (double)ath_desc_bytes(&site->out[i]);
    }
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        if (site->pass == ATH_FWD || reads & ATH_READS_SAVED(i))
            bytes += (double)ath_desc_bytes(&site->saved[i]);
    return bytes;
}

ath_err ath_site_bind(const ath_site *site, const ath_kernel *kernel, ath_bound *bound)
{
    *bound = (ath_bound){0};
    if (!kernel->bind) return ATH_OK;
    /* A primitive is cut for the threads it finds when it is made, whoever runs it: those of the plan,
     * not of the environment, which a launcher changes when it binds a process to one core. */
    const int before = ath_dnnl_set_threads(site->n_threads);
    ath_err err = kernel->bind(site, bound);
    ath_dnnl_set_threads(before);
    if (err) ath_bound_release(bound);
    return err;
}

void ath_bound_release(ath_bound *bound)
{
    if (bound->handle && bound->destroy) bound->destroy(bound->handle);
    *bound = (ath_bound){0};
}
