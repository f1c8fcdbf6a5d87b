#include "worker/sample/networks.h"

#include "core/mem.h"
#include <string.h>

/* A compiled network with its one output. */
typedef struct network {
    ath_plan *plan;
    ath_exec *exec;
} network;

enum { TEXT, UNET, DECODER, N_NETWORKS };

struct ath_networks {
    ath_networks_opts opts;
    ath_networks_size size;
    ath_device *device, *own_device;
    ath_weights *weights;
    ath_buf arena; /* shared: one network runs at a time */
    network of[N_NETWORKS];
    bool fits;   /* compiled for `size` */
    void *wide;  /* values on their way between float and the networks' dtype */
    float *time; /* [rows] */
};

static ath_dtype dtype_of(const ath_networks *s, int which)
{
    return which == DECODER ? ATH_VAE_DTYPE : s->opts.dtype;
}

/* ---- recording ---- */

static ath_val record_text(ath_net *n, const ath_networks *s)
{
    const ath_text_spec *spec = &s->opts.spec.text;
    const ath_desc ids = {ATH_I32, 2, {1, spec->positions}};

    return ath_text_encoder(n, spec, ath_net_input(n, "ids", ids), s->opts.clip_skip);
}

static ath_val record_unet(ath_net *n, const ath_networks *s)
{
    const ath_unet_spec *spec = &s->opts.spec.unet;
    const ath_networks_size *z = &s->size;
    const ath_dtype dtype = s->opts.dtype;
    const ath_desc x = {dtype, 4, {z->rows, z->height, z->width, spec->in_channels}};
    const ath_desc t = {ATH_F32, 1, {z->rows}};
    const ath_desc text = {dtype, 3, {z->rows, z->n_tokens, spec->context_width}};

    return ath_unet(n, spec, ath_net_input(n, "x", x), ath_net_input(n, "t", t),
                    ath_net_input(n, "text", text));
}

static ath_val record_decoder(ath_net *n, const ath_networks *s)
{
    const ath_vae_spec *spec = &s->opts.spec.vae;
    const ath_desc latent = {ATH_VAE_DTYPE, 4, {1, s->size.height, s->size.width, spec->latents}};

    return ath_vae_decode(n, spec, ath_net_input(n, "latent", latent));
}

static ath_err compile(ath_networks *s, int which)
{
    static ath_val (*const record[N_NETWORKS])(ath_net *, const ath_networks *) = {
        [TEXT] = record_text, [UNET] = record_unet, [DECODER] = record_decoder};
    const ath_plan_opts opts = {.backend = s->opts.backend, .n_threads = s->opts.n_threads};
    ath_net *net = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_net_create(dtype_of(s, which), &net));
    if (which != DECODER) ath_net_attach(net, s->opts.adapters, s->opts.n_adapters);
    ath_net_keep(net, "out", record[which](net, s));
    ATH_TRY_OUT(ath_plan_create(net, &opts, &s->of[which].plan));
    ATH_TRY_OUT(s->opts.load(s->opts.load_context, s->of[which].plan, s->weights));
out:
    ath_net_destroy(&net);
    return err;
}

/* ---- life ---- */

static void drop_size(ath_networks *s)
{
    for (int i = 0; i < N_NETWORKS; i++) ath_exec_destroy(&s->of[i].exec);
    for (int i = 0; i < N_NETWORKS; i++) ath_plan_destroy(&s->of[i].plan);
    ath_buf_release(&s->arena);
    ath_mem_free(&s->wide);
    ath_mem_free(&s->time);
    s->arena = (ath_buf){0};
    s->fits = false;
}

static ath_err begin_weights(ath_networks *s)
{
    if (s->opts.weights) {
        s->weights = s->opts.weights;
        s->device = ath_weights_device(s->weights);
        return ATH_OK;
    }
    s->device = s->opts.device;
    if (!s->device) {
        ATH_TRY(ath_device_create_host(&s->own_device));
        s->device = s->own_device;
    }
    return ath_weights_create(s->device, &s->weights);
}

ath_err ath_networks_create(const ath_networks_opts *opts, ath_networks **out)
{
    ath_networks *s = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(opts->dtype == ATH_F32 || opts->dtype == ATH_BF16, ATH_EDTYPE,
             "sampling in %s, wanted f32 or bf16", ath_dtype_name(opts->dtype));
    ATH_NEED(opts->clip_skip >= 1 && opts->clip_skip <= opts->spec.text.layers, ATH_EINVAL,
             "clip skip %d: the text encoder has %d layers, wanted 1..%d", opts->clip_skip,
             opts->spec.text.layers, opts->spec.text.layers);
    ATH_TRY_OUT(ATH_NEW(1, "networks", &s));
    s->opts = *opts;
    ATH_TRY_OUT(begin_weights(s));
    *out = s;
    s = NULL;
out:
    ath_networks_destroy(&s);
    return err;
}

void ath_networks_destroy(ath_networks **networks)
{
    ath_networks *s = *networks;

    if (!s) return;
    drop_size(s);
    if (!s->opts.weights) {
        ath_weights_destroy(&s->weights);
        ath_device_destroy(&s->own_device);
    }
    ath_mem_free(networks);
}

const ath_model_spec *ath_networks_spec(const ath_networks *networks)
{
    return &networks->opts.spec;
}

int32_t ath_networks_scale(const ath_networks *networks)
{
    return 1 << (networks->opts.spec.vae.n_levels - 1);
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The most values that go in or out of a network at once. */
static size_t most_values(const ath_networks *s)
{
    const ath_model_spec *spec = &s->opts.spec;
    const size_t side = (size_t)ath_networks_scale(s), rows = (size_t)s->size.rows;
    const size_t area = (size_t)s->size.height * (size_t)s->size.width;
    const size_t text = (size_t)s->size.n_tokens * (size_t)spec->text.width;

    return max_size(max_size(rows * text, (size_t)spec->text.positions * (size_t)spec->text.width),
                    max_size(rows * area * (size_t)spec->unet.in_channels,
                             area * side * side * (size_t)spec->vae.channels));
}

static ath_err fit(ath_networks *s)
{
    size_t most = 0;

    for (int i = 0; i < N_NETWORKS; i++) {
        ATH_TRY(compile(s, i));
        most = max_size(most, ath_plan_get_stats(s->of[i].plan).arena_bytes);
    }
    ATH_TRY(ath_buf_create(s->device, most, "arena of sampling", &s->arena));
    const ath_exec_opts opts = {.weights = s->weights, .arena = s->arena};
    for (int i = 0; i < N_NETWORKS; i++)
        ATH_TRY(ath_exec_create(s->of[i].plan, s->device, &opts, &s->of[i].exec));
    ATH_TRY(ath_mem_new(most_values(s), sizeof(float), "values of a network", &s->wide));
    return ATH_NEW(s->size.rows, "times", &s->time);
}

ath_err ath_networks_fit(ath_networks *networks, ath_networks_size size)
{
    if (networks->fits && memcmp(&networks->size, &size, sizeof size) == 0) return ATH_OK;
    ATH_NEED(size.rows > 0 && size.height > 0 && size.width > 0 && size.n_tokens > 0, ATH_EINVAL,
             "sampling: %d rows of %dx%d with %d tokens", size.rows, size.width, size.height,
             size.n_tokens);
    drop_size(networks);
    networks->size = size;
    ath_err err = fit(networks);
    if (err) drop_size(networks);
    networks->fits = !err;
    return err;
}

/* ---- values in and out ---- */

static ath_err put(ath_networks *s, int which, const char *input, const float *x, size_t n)
{
    if (dtype_of(s, which) == ATH_F32)
        return ath_exec_write(s->of[which].exec, input, x, n * sizeof *x);
    uint16_t *narrow = s->wide;
    for (size_t i = 0; i < n; i++) narrow[i] = ath_bf16_from_f32(x[i]);
    return ath_exec_write(s->of[which].exec, input, narrow, n * sizeof *narrow);
}

static ath_err run(ath_networks *s, int which, float *out, size_t n)
{
    ATH_TRY(ath_exec_run(s->of[which].exec, ATH_PHASE_GRAD));
    if (dtype_of(s, which) == ATH_F32)
        return ath_exec_read(s->of[which].exec, "out", out, n * sizeof *out);
    const uint16_t *narrow = s->wide;
    ATH_TRY(ath_exec_read(s->of[which].exec, "out", s->wide, n * sizeof *narrow));
    for (size_t i = 0; i < n; i++) out[i] = ath_f32_from_bf16(narrow[i]);
    return ATH_OK;
}

ath_err ath_networks_encode(ath_networks *networks, const int32_t *ids, float *states)
{
    const ath_text_spec *spec = &networks->opts.spec.text;
    const size_t n = (size_t)spec->positions;

    ATH_ASSERT(networks->fits);
    ATH_TRY(ath_exec_write(networks->of[TEXT].exec, "ids", ids, n * sizeof *ids));
    return run(networks, TEXT, states, n * (size_t)spec->width);
}

ath_err ath_networks_set_states(ath_networks *networks, const float *states)
{
    const ath_networks_size *z = &networks->size;

    ATH_ASSERT(networks->fits);
    return put(networks, UNET, "text", states,
               (size_t)z->rows * (size_t)z->n_tokens *
                   (size_t)networks->opts.spec.unet.context_width);
}

ath_err ath_networks_predict(ath_networks *networks, const float *x, double t, float *out)
{
    const ath_networks_size *z = &networks->size;
    const size_t n = (size_t)z->rows * (size_t)z->height * (size_t)z->width;

    ATH_ASSERT(networks->fits);
    for (int32_t i = 0; i < z->rows; i++) networks->time[i] = (float)t;
    ATH_TRY(put(networks, UNET, "x", x, n * (size_t)networks->opts.spec.unet.in_channels));
    ATH_TRY(ath_exec_write(networks->of[UNET].exec, "t", networks->time,
                           (size_t)z->rows * sizeof *networks->time));
    return run(networks, UNET, out, n * (size_t)networks->opts.spec.unet.out_channels);
}

ath_err ath_networks_decode(ath_networks *networks, const float *latent, float *picture)
{
    const ath_vae_spec *spec = &networks->opts.spec.vae;
    const size_t side = (size_t)ath_networks_scale(networks);
    const size_t area = (size_t)networks->size.height * (size_t)networks->size.width;
    const size_t n = area * (size_t)spec->latents;
    float *scaled = NULL;
    ath_err err = ATH_OK;

    ATH_ASSERT(networks->fits);
    ATH_TRY_OUT(ATH_NEW(n, "latent", &scaled));
    for (size_t i = 0; i < n; i++) scaled[i] = latent[i] / spec->scale;
    ATH_TRY_OUT(put(networks, DECODER, "latent", scaled, n));
    ATH_TRY_OUT(run(networks, DECODER, picture, area * side * side * (size_t)spec->channels));
out:
    ath_mem_free(&scaled);
    return err;
}
