#include "worker/graph/net.h"

#include "core/mem.h"
#include "worker/graph/net_private.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ath_err ath_net_create(ath_dtype compute, ath_net **out)
{
    ath_net *net = NULL;

    ATH_NEED(compute == ATH_F32 || compute == ATH_BF16 || compute == ATH_F64, ATH_EDTYPE,
             "net: computes in %s, wanted f32, bf16 or f64", ath_dtype_name(compute));
    ATH_TRY(ATH_NEW(1, "net", &net));
    net->compute = compute;
    net->file = "";
    ath_err err = ath_mem_grow(&net->vals, 0, &net->vals_room, sizeof *net->vals, "values");
    if (err) {
        ath_net_destroy(&net);
        return err;
    }
    net->n_vals = 1; /* value 0 is none */
    *out = net;
    return ATH_OK;
}

void ath_net_destroy(ath_net **net)
{
    ath_net *n = *net;

    if (!n) return;
    ath_str_release(&n->path);
    ath_mem_free(&n->vals);
    ath_mem_free(&n->nodes);
    ath_arena_release(&n->arena);
    ath_mem_free(net);
}

ath_dtype ath_net_compute(const ath_net *net)
{
    return net->compute;
}

ath_err ath_net_check(const ath_net *net)
{
    return net->err ? ath_err_restore(net->err, net->err_text) : ATH_OK;
}

/* Sticks to the first error: the text of this thread and where it was recorded. */
static void latch(ath_net *net, ath_err err)
{
    if (net->err || err == ATH_OK) return;
    net->err = err;
    snprintf(net->err_text, sizeof net->err_text, "%s\n  at %s (recorded at %s:%d)", ath_err_text(),
             net->n_scopes ? ath_net_path(net) : "top", net->file, net->line);
}

void ath_net_fail(ath_net *net, ath_err err, const char *fmt, ...)
{
    char cause[ERR_TEXT_BYTES / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(cause, sizeof cause, fmt, args);
    va_end(args);
    latch(net, ath_raise(err, "%s", cause));
}

ath_net *ath_net_here(ath_net *net, const char *file, int line)
{
    const char *slash = strrchr(file, '/');

    net->file = slash ? slash + 1 : file;
    net->line = line;
    return net;
}

void ath_enter(ath_net *net, const char *name)
{
    if (net->n_scopes == SCOPES_MAX)
        ath_net_fail(net, ATH_ELIMIT, "scope %s: more than %d open scopes", name, SCOPES_MAX);
    if (net->err) return;
    net->scope[net->n_scopes++] = net->path.n;
    ath_str_print(&net->path, "%s%s", net->path.n ? "." : "", name);
    latch(net, ath_str_check(&net->path));
}

void ath_enter_at(ath_net *net, const char *name, int i)
{
    char indexed[64];

    snprintf(indexed, sizeof indexed, "%s.%d", name, i);
    ath_enter(net, indexed);
}

void ath_leave(ath_net *net)
{
    if (net->err) return;
    ATH_ASSERT(net->n_scopes > 0);
    net->path.n = net->scope[--net->n_scopes];
    if (net->path.text) net->path.text[net->path.n] = 0;
}

const char *ath_net_path(const ath_net *net)
{
    return ath_str_text(&net->path);
}

void ath_region_begin(ath_net *net)
{
    ATH_ASSERT(net->region == 0);
    net->region = ++net->n_regions;
}

void ath_region_end(ath_net *net)
{
    ATH_ASSERT(net->region != 0);
    net->region = 0;
}

static ath_val add_val(ath_net *net, val v)
{
    if (!net->err)
        latch(net, ath_mem_grow(&net->vals, net->n_vals, &net->vals_room, sizeof *net->vals,
                                "recorded values"));
    if (net->err) return (ath_val){0};
    v.root = v.kind == VAL_VIEW ? v.root : net->n_vals;
    net->vals[net->n_vals] = v;
    return (ath_val){net->n_vals++};
}

/* "path.name" in the arena; NULL with the error latched. */
static const char *full_name(ath_net *net, const char *name)
{
    const char *text = NULL;
    bool top = net->path.n == 0, bare = name[0] == 0;

    if (net->err) return NULL;
    latch(net, ath_arena_print(&net->arena, &text, "%s%s%s", ath_str_text(&net->path),
                               top || bare ? "" : ".", name));
    return text;
}

static int32_t find_extern(const ath_net *net, const char *name)
{
    for (int32_t i = 1; i < net->n_vals; i++) {
        const val *v = &net->vals[i];
        if (v->kind != VAL_NODE && v->kind != VAL_VIEW && strcmp(v->name, name) == 0) return i;
    }
    return 0;
}

ath_val ath_net_input(ath_net *net, const char *name, ath_desc desc)
{
    const char *copy = NULL;

    if (net->err) return (ath_val){0};
    if (find_extern(net, name)) {
        ath_net_fail(net, ATH_EINVAL, "input %s: the name is taken", name);
        return (ath_val){0};
    }
    latch(net, ath_arena_print(&net->arena, &copy, "%s", name));
    return add_val(net, (val){.kind = VAL_INPUT, .desc = desc, .name = copy});
}

ath_val ath_net_param(ath_net *net, const char *name, ath_dtype dtype, int n_dim,
                      const int64_t *dim)
{
    const char *full = full_name(net, name);
    ath_desc desc = {.dtype = dtype, .n_dim = n_dim};
    char found[ATH_DESC_TEXT], wanted[ATH_DESC_TEXT];

    if (!full) return (ath_val){0};
    ATH_ASSERT(n_dim <= ATH_MAX_DIMS);
    for (int i = 0; i < n_dim; i++) desc.dim[i] = dim[i];
    if (net->compute == ATH_F64)
        desc.dtype = ATH_F64;
    else if (net->training)
        desc.dtype = ATH_F32;
    int32_t known = find_extern(net, full);
    if (!known)
        return add_val(
            net, (val){.kind = net->training ? VAL_TRAIN : VAL_FROZEN, .desc = desc, .name = full});
    if (!ath_desc_is_equal(&net->vals[known].desc, &desc)) {
        ath_net_fail(net, ATH_ESHAPE, "parameter %s was recorded as %s, wanted now as %s", full,
                     ath_desc_print(&net->vals[known].desc, found), ath_desc_print(&desc, wanted));
        return (ath_val){0};
    }
    return (ath_val){known};
}

ath_val ath_net_next_param(const ath_net *net, ath_val after, const char **name)
{
    for (int32_t i = after.i + 1; i < net->n_vals; i++) {
        if (net->vals[i].kind != VAL_FROZEN && net->vals[i].kind != VAL_TRAIN) continue;
        *name = net->vals[i].name;
        return (ath_val){i};
    }
    return (ath_val){0};
}

void ath_net_train(ath_net *net, bool on)
{
    net->training = on;
}

bool ath_net_is_training(const ath_net *net)
{
    return net->training;
}

/* Copies the attribute, so that callers may keep theirs on the stack. */
static ath_err copy_attr(ath_net *net, const ath_op *op, const void *attr, const void **out)
{
    void *copy = NULL;

    if (!attr) return ATH_OK;
    ATH_TRY(ath_arena_new(&net->arena, 1, op->attr_bytes, &copy));
    memcpy(copy, attr, op->attr_bytes);
    *out = copy;
    return ATH_OK;
}

static ath_err record(ath_net *net, const ath_op *op, const void *attr, const ath_val *in, node *n,
                      ath_desc *out)
{
    ath_desc desc[ATH_MAX_IN] = {{0}};

    ATH_ASSERT(op->n_out == 1 && !op->updates);
    *n = (node){.op = op, .file = net->file, .line = net->line, .region = net->region};
    for (int i = 0; i < op->n_in; i++) {
        ATH_ASSERT(in[i].i >= 0 && in[i].i < net->n_vals);
        n->in[i] = in[i].i;
        desc[i] = net->vals[in[i].i].desc;
    }
    ATH_TRY(ath_op_infer(op, attr, desc, out, n->saved));
    ATH_TRY(copy_attr(net, op, attr, &n->attr));
    ATH_TRY(
        ath_arena_print(&net->arena, &n->path, "%s", net->n_scopes ? ath_net_path(net) : "top"));
    return ath_mem_grow(&net->nodes, net->n_nodes, &net->nodes_room, sizeof *net->nodes,
                        "recorded nodes");
}

ath_val ath_net_apply(ath_net *net, const ath_op *op, const void *attr, const ath_val *in)
{
    ath_desc out[ATH_MAX_OUT];
    node n;

    if (net->err) return (ath_val){0};
    latch(net, record(net, op, attr, in, &n, out));
    if (net->err) return (ath_val){0};
    ath_val y =
        add_val(net, (val){.kind = VAL_NODE, .desc = out[0], .name = n.path, .node = net->n_nodes});
    if (net->err) return (ath_val){0};
    n.out = y.i;
    net->nodes[net->n_nodes++] = n;
    return y;
}

ath_val ath_net_view(ath_net *net, ath_val x, int n_dim, const int64_t *dim)
{
    char found[ATH_DESC_TEXT], wanted[ATH_DESC_TEXT];

    if (net->err || !x.i) return (ath_val){0};
    const val *from = &net->vals[x.i];
    ath_desc desc = {.dtype = from->desc.dtype, .n_dim = n_dim};
    for (int i = 0; i < n_dim; i++) desc.dim[i] = dim[i];
    if (ath_desc_count(&desc) != ath_desc_count(&from->desc)) {
        ath_net_fail(net, ATH_ESHAPE, "view: %s has not as many elements as %s",
                     ath_desc_print(&desc, wanted), ath_desc_print(&from->desc, found));
        return (ath_val){0};
    }
    return add_val(net,
                   (val){.kind = VAL_VIEW, .desc = desc, .name = from->name, .root = from->root});
}

void ath_net_loss(ath_net *net, ath_val loss)
{
    if (net->err) return;
    const ath_desc *d = &net->vals[loss.i].desc;
    if (!loss.i || d->n_dim != 0) {
        ath_net_fail(net, ATH_ESHAPE, "loss: wanted a scalar");
        return;
    }
    net->loss = loss.i;
    ath_net_keep(net, "loss", loss);
}

void ath_net_keep(ath_net *net, const char *name, ath_val x)
{
    if (net->err || !x.i) return;
    latch(net, ath_arena_print(&net->arena, &net->vals[x.i].keep, "%s", name));
}

void ath_net_want(ath_net *net, ath_val input)
{
    if (net->err || !input.i) return;
    ATH_ASSERT(net->vals[input.i].kind == VAL_INPUT);
    net->vals[input.i].is_wanted = true;
}

ath_desc ath_net_desc(const ath_net *net, ath_val x)
{
    return net->vals[x.i].desc;
}

int64_t ath_dim(const ath_net *net, ath_val x, int axis)
{
    const ath_desc *d = &net->vals[x.i].desc;
    return axis < d->n_dim ? d->dim[axis] : 0;
}

void ath_net_attach(ath_net *net, const ath_adapter *adapters, int n_adapters)
{
    net->adapters = adapters;
    net->n_adapters = n_adapters;
}

int ath_net_adapters(const ath_net *net, const ath_adapter **out)
{
    *out = net->adapters;
    return net->n_adapters;
}
