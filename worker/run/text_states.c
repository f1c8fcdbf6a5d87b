#include "worker/run/text_states.h"

#include "core/mem.h"
#include <string.h>

struct ath_text_states {
    ath_text_states_opts opts;
    ath_plan *plan;
    ath_exec *exec;
    float *wide;  /* [positions, width]: a chunk's states */
    void *narrow; /* the same in the network's dtype */
};

static ath_err record(const ath_text_states_opts *o, ath_net **net)
{
    const ath_desc ids = {ATH_I32, 2, {1, o->spec.positions}};

    ATH_TRY(ath_net_create(o->dtype, net));
    ath_net_keep(*net, "out",
                 ath_text_encoder(*net, &o->spec, ath_net_input(*net, "ids", ids), o->clip_skip));
    return ATH_OK;
}

static ath_err make(ath_text_states *s)
{
    const ath_text_states_opts *o = &s->opts;
    const ath_plan_opts plan = {.backend = o->backend, .n_threads = o->n_threads};
    const int64_t n = (int64_t)o->spec.positions * o->spec.width;
    ath_net *net = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(record(o, &net));
    ATH_TRY_OUT(ath_plan_create(net, &plan, &s->plan));
    ATH_TRY_OUT(o->load(o->load_context, s->plan, o->weights));
    const ath_exec_opts exec = {.weights = o->weights};
    ATH_TRY_OUT(ath_exec_create(s->plan, ath_weights_device(o->weights), &exec, &s->exec));
    ATH_TRY_OUT(ATH_NEW(n, "text states", &s->wide));
    ATH_TRY_OUT(ath_mem_new((size_t)n, ath_dtype_bytes(o->dtype), "text states", &s->narrow));
out:
    ath_net_destroy(&net);
    return err;
}

ath_err ath_text_states_create(const ath_text_states_opts *opts, ath_text_states **out)
{
    ath_text_states *s = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "text encoder", &s));
    s->opts = *opts;
    ATH_TRY_OUT(make(s));
    *out = s;
    s = NULL;
out:
    ath_text_states_destroy(&s);
    return err;
}

void ath_text_states_destroy(ath_text_states **states)
{
    ath_text_states *s = *states;

    if (!s) return;
    ath_exec_destroy(&s->exec);
    ath_plan_destroy(&s->plan);
    ath_mem_free(&s->wide);
    ath_mem_free(&s->narrow);
    ath_mem_free(states);
}

static ath_err encode(ath_text_states *s, const int32_t *ids)
{
    const ath_text_spec *spec = &s->opts.spec;
    const int64_t n = (int64_t)spec->positions * spec->width;

    ATH_TRY(ath_exec_write(s->exec, "ids", ids, (size_t)spec->positions * sizeof *ids));
    ATH_TRY(ath_exec_run(s->exec, ATH_PHASE_GRAD));
    ATH_TRY(ath_exec_read(s->exec, "out", s->narrow, (size_t)n * ath_dtype_bytes(s->opts.dtype)));
    ath_dtype_convert(s->wide, ATH_F32, s->narrow, s->opts.dtype, n);
    return ATH_OK;
}

ath_err ath_text_states_make(void *states, const int32_t *ids, float *out)
{
    ath_text_states *s = states;
    const int32_t n_chunks = s->opts.n_chunks, positions = s->opts.spec.positions;
    const int64_t width = s->opts.spec.width;

    for (int32_t c = 0; c < n_chunks; c++) {
        const int32_t first = c > 0, end = positions - (c < n_chunks - 1);
        const int64_t n = (end - first) * width;
        ATH_TRY(encode(s, ids + (int64_t)c * positions));
        memcpy(out, s->wide + first * width, (size_t)n * sizeof *out);
        out += n;
    }
    return ATH_OK;
}
