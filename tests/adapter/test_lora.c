/*
 * Where LoRA works: at Stable Diffusion 1.5 exactly 192 layers of the U-Net and 72 of the text
 * encoder, with ranks for convolutions 278 and 72, none of them outside the blocks; the number of
 * trained values is that of the published files; frozen ones are recorded as frozen.
 */
#include "tests/harness.h"
#include "worker/adapter/lora.h"
#include "worker/graph/plan.h"
#include "worker/model/spec.h"

typedef struct count {
    int64_t n_unet, n_text, n_wide, n_frozen, values;
} count;

static void add(const ath_net *n, ath_val v, const char *name, count *c)
{
    const ath_desc d = ath_net_desc(n, v);
    const bool is_text = strncmp(name, "text_model.", 11) == 0;

    if (!strstr(name, ".own.")) {
        c->n_frozen++;
        return;
    }
    c->values += ath_desc_count(&d);
    CHECK(!strstr(name, "time_embedding") && !strstr(name, "conv_in") && !strstr(name, "conv_out"));
    if (!strstr(name, ".own.lora_down.weight")) return;
    c->n_unet += !is_text;
    c->n_text += is_text;
    c->n_wide += d.n_dim == 4 && d.dim[2] == 3;
}

static void record(const ath_lora *lora, ath_net **net)
{
    const ath_model_spec *s = &ath_model_sd15;
    const ath_adapter adapter = ath_lora_adapter("own", lora, 0, 0);

    CHECK_OK(ath_net_create(ATH_BF16, net));
    ath_net *n = *net;
    ath_val ids = ath_net_input(n, "ids", (ath_desc){ATH_I32, 2, {1, 77}});
    ath_val x = ath_net_input(n, "x", (ath_desc){ATH_BF16, 4, {1, 8, 8, 4}});
    ath_val t = ath_net_input(n, "t", (ath_desc){ATH_F32, 1, {1}});
    ath_net_attach(n, &adapter, 1);
    ath_unet(n, &s->unet, x, t, ath_text_encoder(n, &s->text, ids, 1));
    CHECK_OK(ath_net_check(n));
}

static count count_layers(const ath_lora *lora)
{
    ath_net *net = NULL;
    const char *name = NULL;
    count c = {0};

    record(lora, &net);
    for (ath_val v = {0}; (v = ath_net_next_param(net, v, &name)).i;) add(net, v, name, &c);
    ath_net_destroy(&net);
    return c;
}

static void check_plain(void)
{
    const ath_lora lora = {.rank = 128, .alpha = 64};
    const count c = count_layers(&lora);

    ath_test_begin("plain");
    CHECK_EQ(c.n_unet, 192);
    CHECK_EQ(c.n_text, 72);
    CHECK_EQ(c.n_wide, 0);
    CHECK_EQ(c.values, 75497472); /* 144.0 MiB in two bytes each */
    CHECK_EQ(c.n_frozen, 686 + 196);
}

static void check_convolutions(void)
{
    const ath_lora lora = {.rank = 4, .alpha = 1, .conv_rank = 2, .conv_alpha = 1};
    const count c = count_layers(&lora);

    ath_test_begin("with convolutions");
    CHECK_EQ(c.n_unet, 278);
    CHECK_EQ(c.n_text, 72);
    CHECK_EQ(c.n_wide, 50);
}

/* A frozen adapter leaves the rest as it is and has nothing to train. */
static void check_frozen(void)
{
    const ath_lora lora = {.rank = 4, .alpha = 1, .conv_rank = 4, .is_frozen = true};
    ath_net *net = NULL;
    ath_plan *plan = NULL;
    const ath_plan_opts opts = {.backend = ATH_CPU};
    const ath_plan_param *p = NULL;

    ath_test_begin("frozen");
    record(&lora, &net);
    CHECK_OK(ath_plan_create(net, &opts, &plan));
    CHECK_EQ(ath_plan_trainables(plan, &p), 0);
    ath_plan_destroy(&plan);
    ath_net_destroy(&net);
}

int main(void)
{
    check_plain();
    check_convolutions();
    check_frozen();
    return ath_test_end();
}
