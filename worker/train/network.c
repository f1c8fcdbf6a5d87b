#include "worker/train/network.h"

#include "kernels/ops.h"
#include "kernels/rows.h"
#include "worker/graph/layer.h"
#include <string.h>

ath_train_shape ath_train_shape_least(const ath_model_spec *spec)
{
    const int32_t side = 1 << spec->unet.n_levels;

    return (ath_train_shape){1, side, side};
}

int32_t ath_train_tokens(const ath_trainer_opts *o)
{
    const int32_t positions = o->spec.text.positions;

    return o->n_chunks == 1 ? positions : (positions - 2) * o->n_chunks + 2;
}

bool ath_train_is_text(const char *name)
{
    static const char root[] = "text_model.";

    return strncmp(name, root, sizeof root - 1) == 0;
}

/* From here on layers train, or the adapter works at them, or neither. */
static void set_training(const ath_trainer_opts *o, ath_net *n, const ath_adapter *lora,
                         bool trains)
{
    ath_net_train(n, trains && !o->lora);
    ath_net_attach(n, lora, trains && o->lora ? 1 : 0);
}

/* states [n * chunks, positions, width] -> [n, tokens, width]: of a caption's chunks the first start,
 * the tokens between start and end of each, the last end. */
static ath_val join_chunks(const ath_trainer_opts *o, ath_net *n, ath_train_shape shape, ath_val x)
{
    const int32_t positions = o->spec.text.positions, n_chunks = shape.n * o->n_chunks;
    const int64_t width = o->spec.text.width;
    const int64_t flat[] = {(int64_t)n_chunks * positions, width};
    const int64_t joined[] = {shape.n, ath_train_tokens(o), width};
    ath_val all = {0};

    if (o->n_chunks == 1) return x;
    ath_enter(n, "chunks");
    x = ath_net_view(n, x, 2, flat);
    for (int32_t i = 0; i < n_chunks; i++) {
        const bool is_first = i % o->n_chunks == 0, is_last = i % o->n_chunks == o->n_chunks - 1;
        const ath_rows_attr run = {i * positions + !is_first, positions - !is_first - !is_last};
        const int64_t row[] = {1, run.count * width};
        ath_val part = ath_net_apply(n, &ath_op_rows, &run, (ath_val[ATH_MAX_IN]){x});
        part = ath_net_view(n, part, 2, row);
        all = all.i ? ath_concat(n, all, part) : part;
    }
    ath_leave(n);
    return ath_net_view(n, all, 3, joined);
}

/* -> states [n, tokens, width] */
static ath_val context(const ath_trainer_opts *o, ath_net *n, ath_train_shape shape)
{
    const ath_text_spec *text = &o->spec.text;
    const ath_desc states = {
        o->dtype, 3, {shape.n, ath_train_tokens(o), o->spec.unet.context_width}};
    const ath_desc ids = {ATH_I32, 2, {(int64_t)shape.n * o->n_chunks, text->positions}};

    if (!o->trains_text) return ath_net_input(n, "states", states);
    return join_chunks(o, n, shape,
                       ath_text_encoder(n, text, ath_net_input(n, "ids", ids), o->clip_skip));
}

static void record(const ath_trainer_opts *o, ath_net *n, ath_train_shape shape)
{
    const ath_unet_spec *unet = &o->spec.unet;
    const ath_adapter lora = ath_lora_adapter(ATH_TRAIN_ADAPTER, o->lora, 0, 0);
    const ath_desc x = {o->dtype, 4, {shape.n, shape.height, shape.width, unet->in_channels}};
    const ath_desc target = {ATH_F32, 4, {shape.n, shape.height, shape.width, unet->out_channels}};
    const ath_desc row = {ATH_F32, 1, {shape.n}};

    set_training(o, n, &lora, o->trains_text);
    ath_val states = context(o, n, shape);
    set_training(o, n, &lora, o->trains_unet);
    ath_val in[ATH_MAX_IN] = {
        ath_unet(n, unet, ath_net_input(n, "x", x), ath_net_input(n, "t", row), states),
        ath_net_input(n, "target", target)};
    ath_net_keep(n, "losses", ath_net_apply(n, &ath_op_sample_loss, NULL, in));
    ath_net_loss(n, ath_mse(n, in[0], in[1], ath_net_input(n, "w", row)));
    ath_net_attach(n, NULL, 0);
}

ath_err ath_train_plan(const ath_trainer_opts *opts, ath_train_shape shape, ath_plan **out)
{
    const ath_plan_opts plan = {.backend = opts->backend,
                                .n_threads = opts->n_threads,
                                .recompute = opts->recompute,
                                .bucket_bytes = opts->bucket_bytes};
    ath_net *net = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(ath_net_create(opts->dtype, &net));
    record(opts, net, shape);
    ATH_TRY_OUT(ath_net_check(net));
    ATH_TRY_OUT(ath_plan_create(net, &plan, out));
out:
    ath_net_destroy(&net);
    return err;
}
