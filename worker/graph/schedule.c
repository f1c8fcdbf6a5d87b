/*
 * The passes "wanted", "schedule" and "prune": from recorded nodes to a list of kernel steps over
 * buffers. Every decision follows recorded order and numbers, never addresses.
 */
#include "core/mem.h"
#include "kernels/ops.h"
#include "worker/graph/plan_private.h"
#include <string.h>

/* Scratch of the pass: arrays by value (root) or by node. Buffers are NONE until made. */
typedef struct sched {
    ath_plan *plan;
    const ath_net *net;
    ath_arena arena;
    bool *wants;     /* value: some parameter or input that wants a gradient feeds it */
    bool *reached;   /* value: the loss depends on it */
    bool *is_weight; /* value: a weight operand somewhere, so its gradient is F32 */
    int32_t *fwd;    /* value: its buffer as first computed */
    int32_t *again;  /* value: its buffer as computed again */
    int32_t *grad;   /* value: the buffer of its gradient */
    bool *grad_set;  /* value: the gradient has been written once, now add */
    int32_t *saved, *saved_again; /* node x ATH_MAX_SAVED */
    bool *is_entered;             /* region: its second computation stands in the steps */
} sched;

static int32_t root_of(const sched *s, int32_t v)
{
    return s->net->vals[v].root;
}

static bool has_backward(const ath_op *op)
{
    return op->bwd[ATH_REF].run != NULL;
}

/* May operand i of the node take a gradient? */
static bool is_open(const sched *s, const node *n, int i)
{
    return n->in[i] && has_backward(n->op) && !(n->op->no_grad >> i & 1) &&
           s->wants[root_of(s, n->in[i])];
}

static ath_dtype grad_dtype(const sched *s, int32_t v)
{
    const val *root = &s->net->vals[root_of(s, v)];

    if (root->desc.dtype == ATH_F64) return ATH_F64;
    return s->is_weight[root_of(s, v)] ? ATH_F32 : root->desc.dtype;
}

/* A cast between values whose gradients have one dtype: they are one gradient, in one buffer. */
static bool is_same_grad(const sched *s, const node *n)
{
    return n->op == &ath_op_cast && is_open(s, n, 0) &&
           grad_dtype(s, n->out) == grad_dtype(s, n->in[0]);
}

static ath_err make_scratch(sched *s)
{
    const size_t n_vals = (size_t)s->net->n_vals, n_nodes = (size_t)s->net->n_nodes;
    const size_t n_regions = (size_t)s->net->n_regions + 1;
    int32_t **by_val[] = {&s->fwd, &s->again, &s->grad};
    bool **flags[] = {&s->wants, &s->reached, &s->is_weight, &s->grad_set};
    int32_t **by_saved[] = {&s->saved, &s->saved_again};

    for (int i = 0; i < 4; i++) ATH_TRY(ATH_ARENA_NEW(&s->arena, n_vals, flags[i]));
    for (int i = 0; i < 3; i++) {
        ATH_TRY(ATH_ARENA_NEW(&s->arena, n_vals, by_val[i]));
        memset(*by_val[i], 0xff, n_vals * sizeof **by_val[i]); /* NONE */
    }
    for (int i = 0; i < 2; i++) {
        ATH_TRY(ATH_ARENA_NEW(&s->arena, n_nodes * ATH_MAX_SAVED, by_saved[i]));
        memset(*by_saved[i], 0xff, n_nodes * ATH_MAX_SAVED * sizeof **by_saved[i]);
    }
    return ATH_ARENA_NEW(&s->arena, n_regions, &s->is_entered);
}

/* Pass "wanted": down the recording, then up from the loss. */
static ath_err mark_wanted(sched *s)
{
    const ath_net *net = s->net;

    for (int32_t v = 1; v < net->n_vals; v++)
        s->wants[v] = net->vals[v].kind == VAL_TRAIN || net->vals[v].is_wanted;
    for (int32_t k = 0; k < net->n_nodes; k++) {
        const node *n = &net->nodes[k];
        for (int i = 0; i < n->op->n_in; i++) {
            if (!n->in[i]) continue;
            if (n->op->weights >> i & 1) s->is_weight[root_of(s, n->in[i])] = true;
            if (is_open(s, n, i)) s->wants[n->out] = true;
        }
    }
    if (!net->loss || !s->wants[root_of(s, net->loss)]) return ATH_OK;
    s->reached[root_of(s, net->loss)] = true;
    for (int32_t k = net->n_nodes - 1; k >= 0; k--) {
        const node *n = &net->nodes[k];
        if (!s->reached[n->out]) continue;
        ATH_NEED(!s->wants[n->out] || is_same_grad(s, n) ||
                     grad_dtype(s, n->out) == net->vals[n->out].desc.dtype,
                 ATH_ENOTSUP,
                 "%s: %s makes a bf16 value that is used as a weight: record the cast "
                 "to bf16 last (recorded at %s:%d)",
                 n->path, n->op->name, n->file, n->line);
        for (int i = 0; i < n->op->n_in; i++)
            if (is_open(s, n, i)) s->reached[root_of(s, n->in[i])] = true;
    }
    return ATH_OK;
}

static ath_err copy_name(ath_plan *plan, const char *name, const char **out)
{
    return ath_arena_print(&plan->arena, out, "%s", name);
}

/* Buffers of step data and parameters. Trainables' places in the slab come with the buckets. */
static ath_err add_externs(sched *s)
{
    static const home kinds[] = {
        [VAL_INPUT] = IN_INPUT, [VAL_FROZEN] = IN_FROZEN, [VAL_TRAIN] = IN_VALUE};

    for (int32_t v = 1; v < s->net->n_vals; v++) {
        const val *x = &s->net->vals[v];
        if (x->kind == VAL_NODE || x->kind == VAL_VIEW) continue;
        buf b = {.home = kinds[x->kind], .desc = x->desc};
        ATH_TRY(copy_name(s->plan, x->name, &b.name));
        ATH_TRY(ath_plan_add_buf(s->plan, b, &s->fwd[v]));
        if (x->kind != VAL_TRAIN) continue;
        b.home = IN_GRAD;
        b.is_grad = true;
        ATH_TRY(ath_plan_add_buf(s->plan, b, &s->grad[v]));
    }
    return ATH_OK;
}

/* The buffer that a step of region `region` (0: not a second computation) reads a value from. */
static int32_t buf_of(const sched *s, int32_t v, int32_t region)
{
    const val *root = &s->net->vals[root_of(s, v)];
    const bool inside =
        region && root->kind == VAL_NODE && s->net->nodes[root->node].region == region;

    return inside ? s->again[root_of(s, v)] : s->fwd[root_of(s, v)];
}

static ath_err add_buf_of(sched *s, const char *path, const ath_desc *desc, bool is_grad,
                          int32_t *out)
{
    buf b = {.home = IN_ARENA, .desc = *desc, .is_grad = is_grad};

    ATH_TRY(copy_name(s->plan, path, &b.name));
    return ath_plan_add_buf(s->plan, b, out);
}

/* The parts of a step that both passes have. */
static ath_err begin_step(sched *s, const node *n, ath_pass pass, step *out)
{
    ath_plan *plan = s->plan;
    void *attr = NULL;

    *out = ath_step_empty(STEP_RUN);
    ATH_TRY(copy_name(plan, n->path, &out->path));
    ATH_TRY(copy_name(plan, n->file, &out->file));
    if (n->attr) {
        ATH_TRY(ath_arena_new(&plan->arena, 1, n->op->attr_bytes, &attr));
        memcpy(attr, n->attr, n->op->attr_bytes);
    }
    out->line = n->line;
    out->site =
        (ath_site){.op = n->op, .attr = attr, .pass = pass, .n_threads = plan->opts.n_threads};
    for (int i = 0; i < n->op->n_in; i++) {
        out->site.in[i] = s->net->vals[n->in[i]].desc;
        if (n->in[i] && s->net->vals[root_of(s, n->in[i])].kind == VAL_FROZEN)
            out->site.frozen |= 1u << i;
    }
    out->site.out[0] = s->net->vals[n->out].desc;
    memcpy(out->site.saved, n->saved, sizeof n->saved);
    return ATH_OK;
}

static ath_err add_forward(sched *s, int32_t k, bool is_again)
{
    const node *n = &s->net->nodes[k];
    const int32_t region = is_again ? n->region : 0;
    int32_t *saved = (is_again ? s->saved_again : s->saved) + k * ATH_MAX_SAVED;
    int32_t *out = (is_again ? s->again : s->fwd) + n->out;
    step st;

    ATH_TRY(begin_step(s, n, ATH_FWD, &st));
    st.is_again = is_again;
    for (int i = 0; i < n->op->n_in; i++)
        if (n->in[i]) st.in[i] = buf_of(s, n->in[i], region);
    ATH_TRY(add_buf_of(s, n->path, &s->net->vals[n->out].desc, false, out));
    st.out[0] = *out;
    for (int i = 0; i < n->op->n_saved; i++) {
        ATH_TRY(add_buf_of(s, n->path, &n->saved[i], false, &saved[i]));
        st.saved[i] = saved[i];
    }
    return ath_plan_add_step(s->plan, st, NULL);
}

/* The value whose gradient buffer a value shares: through views and casts. */
static int32_t grad_root(const sched *s, int32_t v)
{
    for (;;) {
        v = root_of(s, v);
        const val *x = &s->net->vals[v];
        if (x->kind != VAL_NODE || !is_same_grad(s, &s->net->nodes[x->node])) return v;
        v = s->net->nodes[x->node].in[0];
    }
}

static ath_err grad_buf(sched *s, int32_t v, int32_t *out)
{
    const int32_t root = grad_root(s, v);

    if (s->grad[root] == NONE) {
        ath_desc desc = s->net->vals[root].desc;
        desc.dtype = grad_dtype(s, root);
        ATH_TRY(add_buf_of(s, s->net->vals[root].name, &desc, true, &s->grad[root]));
    }
    *out = s->grad[root];
    return ATH_OK;
}

/* Which gradients the step gives, where they go, and whether they add to what is there. */
static ath_err add_grads(sched *s, const node *n, step *st)
{
    for (int i = 0; i < n->op->n_in; i++) {
        if (!is_open(s, n, i)) continue;
        const int32_t root = grad_root(s, n->in[i]);
        ATH_TRY(grad_buf(s, n->in[i], &st->din[i]));
        for (int j = 0; j < i; j++)
            ATH_NEED(st->din[j] != st->din[i], ATH_ENOTSUP,
                     "%s: %s takes one value as operands %d and %d (recorded at %s:%d)", n->path,
                     n->op->name, j, i, n->file, n->line);
        ATH_NEED(s->plan->bufs[st->din[i]].desc.dtype == grad_dtype(s, n->in[i]) ||
                     n->op->weights >> i & 1,
                 ATH_ENOTSUP, "%s: %s uses a bf16 weight as an activation (recorded at %s:%d)",
                 n->path, n->op->name, n->file, n->line);
        st->site.din[i] = s->net->vals[n->in[i]].desc;
        st->site.din[i].dtype = s->plan->bufs[st->din[i]].desc.dtype;
        if (s->grad_set[root]) st->site.add |= 1u << i;
        s->grad_set[root] = true;
    }
    return ATH_OK;
}

/* The buffer that backward reads a value from. A trainable parameter cast for forward is cast again:
 * that costs little, and kept copies would weigh as much as the model. */
static ath_err read_again(sched *s, int32_t v, int32_t region, int32_t *out)
{
    const int32_t root = root_of(s, v), k = s->net->vals[root].node;
    const bool is_node = s->net->vals[root].kind == VAL_NODE;
    const node *n = &s->net->nodes[is_node ? k : 0];

    *out = buf_of(s, v, region);
    if (region || !is_node || n->op != &ath_op_cast ||
        s->net->vals[root_of(s, n->in[0])].kind != VAL_TRAIN)
        return ATH_OK;
    if (s->again[root] == NONE) ATH_TRY(add_forward(s, k, true));
    *out = s->again[root];
    return ATH_OK;
}

static ath_err add_backward(sched *s, int32_t k)
{
    const node *n = &s->net->nodes[k];
    const int32_t region = s->plan->opts.recompute ? n->region : 0;
    const int32_t *saved = (region ? s->saved_again : s->saved) + k * ATH_MAX_SAVED;
    const uint32_t reads = n->op->bwd_reads;
    step st;

    ATH_TRY(begin_step(s, n, ATH_BWD, &st));
    for (int i = 0; i < n->op->n_in; i++)
        if (n->in[i] && reads & ATH_READS_IN(i))
            ATH_TRY(read_again(s, n->in[i], region, &st.in[i]));
    if (reads & ATH_READS_OUT(0)) st.out[0] = buf_of(s, n->out, region);
    for (int i = 0; i < n->op->n_saved; i++)
        if (reads & ATH_READS_SAVED(i)) st.saved[i] = saved[i];
    ATH_TRY(grad_buf(s, n->out, &st.dout[0]));
    ATH_TRY(add_grads(s, n, &st));
    return ath_plan_add_step(s->plan, st, NULL);
}

/* Backward starts from dloss: step data, 1 unless the host writes another scale. */
static ath_err add_loss_seed(sched *s)
{
    const int32_t loss = grad_root(s, s->net->loss);
    buf b = {.home = IN_INPUT, .name = "dloss", .is_grad = true};

    b.desc = s->net->vals[loss].desc;
    ATH_TRY(ath_plan_add_buf(s->plan, b, &s->plan->loss_seed));
    s->grad[loss] = s->plan->loss_seed;
    s->grad_set[loss] = true;
    return ATH_OK;
}

/* Pass "schedule". A region is computed again where backward enters it. */
static ath_err add_steps(sched *s)
{
    const ath_net *net = s->net;

    for (int32_t k = 0; k < net->n_nodes; k++) ATH_TRY(add_forward(s, k, false));
    if (!net->loss || !s->reached[root_of(s, net->loss)]) return ATH_OK;
    ATH_TRY(add_loss_seed(s));
    for (int32_t k = net->n_nodes - 1; k >= 0; k--) {
        const node *n = &net->nodes[k];
        if (!s->reached[n->out] || is_same_grad(s, n)) continue;
        if (s->plan->opts.recompute && n->region && !s->is_entered[n->region]) {
            s->is_entered[n->region] = true;
            int32_t first = k;
            while (first > 0 && net->nodes[first - 1].region == n->region) first--;
            for (int32_t j = first; j <= k; j++) ATH_TRY(add_forward(s, j, true));
        }
        ATH_TRY(add_backward(s, k));
    }
    return ATH_OK;
}

/* Names kept values; kept and wanted buffers live to the end. */
static ath_err mark_kept(sched *s)
{
    for (int32_t v = 1; v < s->net->n_vals; v++) {
        const val *x = &s->net->vals[v];
        if (x->is_wanted && s->grad[v] != NONE)
            ATH_TRY(copy_name(s->plan, x->name, &s->plan->bufs[s->grad[v]].keep));
        if (!x->keep) continue;
        buf *b = &s->plan->bufs[s->fwd[root_of(s, v)]];
        ATH_NEED(!b->keep || strcmp(b->keep, x->keep) == 0, ATH_EINVAL,
                 "%s: kept under two names, %s and %s", x->name, b->keep, x->keep);
        ATH_TRY(copy_name(s->plan, x->keep, &b->keep));
    }
    return ATH_OK;
}

typedef struct need {
    bool *is_needed; /* by buffer */
    bool writes_needed;
} need;

static void note_write(void *context, int32_t b, bool is_write)
{
    need *n = context;
    if (is_write && n->is_needed[b]) n->writes_needed = true;
}

static void note_read(void *context, int32_t b, bool is_write)
{
    need *n = context;
    if (!is_write) n->is_needed[b] = true;
}

/* Pass "prune": backwards, a step stays if something that stays reads what it writes. */
static ath_err prune(sched *s)
{
    ath_plan *plan = s->plan;
    bool *stays = NULL;
    need n = {0};
    int32_t n_left = 0;

    ATH_TRY(ATH_ARENA_NEW(&s->arena, plan->n_bufs + 1, &n.is_needed));
    ATH_TRY(ATH_ARENA_NEW(&s->arena, plan->n_steps + 1, &stays));
    for (int32_t b = 0; b < plan->n_bufs; b++)
        n.is_needed[b] = plan->bufs[b].keep || plan->bufs[b].home == IN_GRAD;
    for (int32_t i = plan->n_steps - 1; i >= 0; i--) {
        n.writes_needed = false;
        ath_step_each_use(&plan->steps[i], note_write, &n);
        stays[i] = n.writes_needed;
        if (stays[i]) ath_step_each_use(&plan->steps[i], note_read, &n);
    }
    for (int32_t i = 0; i < plan->n_steps; i++)
        if (stays[i]) plan->steps[n_left++] = plan->steps[i];
    plan->n_steps = n_left;
    return ATH_OK;
}

ath_err ath_plan_schedule(ath_plan *plan, const ath_net *net)
{
    sched s = {.plan = plan, .net = net};
    ath_err err = ATH_OK;

    plan->loss_seed = NONE;
    ATH_TRY_OUT(make_scratch(&s));
    ATH_TRY_OUT(mark_wanted(&s));
    ATH_TRY_OUT(add_externs(&s));
    ATH_TRY_OUT(add_steps(&s));
    ATH_TRY_OUT(mark_kept(&s));
    ATH_TRY_OUT(prune(&s));
out:
    ath_arena_release(&s.arena);
    return err;
}
