/*
 * athanor sample: prompts in, PNG files out. The options and the way through; what is drawn is planned
 * in sample_jobs.h, how far it is shown in progress.h.
 */
#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/sample_jobs.h"
#include "cli/sample_loras.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "worker/dist/dist.h"
#include "worker/graph/unit.h"
#include "worker/model/base.h"
#include "worker/sample/parameters.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct values {
    ath_sample_values jobs;
    const char *model, *vae, *lora, *out;
    int64_t clip_skip, dtype, device, threads, ranks;
    bool no_hash;
} values;

#define AT(field) offsetof(values, field)

static const ath_opt opts[] = {
    {"model", ATH_OPT_TEXT, AT(model), "FILE", NULL, "the model: a file or a diffusers folder"},
    {"vae", ATH_OPT_TEXT, AT(vae), "FILE", "", "another autoencoder than the model's own"},
    {"lora", ATH_OPT_TEXT, AT(lora), "FILE", NULL,
     "beside the model: FILE[:WEIGHT][,FILE...]; the weight is 1 where it is not given"},
    {"prompt", ATH_OPT_TEXT, AT(jobs.prompt), "TEXT", NULL, "what to draw"},
    {"prompts", ATH_OPT_TEXT, AT(jobs.prompts), "FILE", NULL,
     "a prompt a line, with --n --w --h --d --s --l --ss as sd-scripts reads them"},
    {"negative", ATH_OPT_TEXT, AT(jobs.negative), "TEXT", "", "what not to draw"},
    {"cfg", ATH_OPT_REAL, AT(jobs.cfg), "0..100", "7", "guidance; 1 leaves out the negative"},
    {"seed", ATH_OPT_INT, AT(jobs.seed), "0..9223372036854775807", "0",
     "of a prompt's first picture; the next has the next"},
    {"size", ATH_OPT_TEXT, AT(jobs.size), "WxH", "512x512", "in pixels, multiples of 8"},
    {"count", ATH_OPT_INT, AT(jobs.count), "1..99999", "1", "pictures a prompt"},
    {"batch", ATH_OPT_INT, AT(jobs.batch), "1..64", "1",
     "pictures drawn at once; like --threads it can change the last bits"},
    {"steps", ATH_OPT_INT, AT(jobs.steps), "1..1000", "20", "steps of the sampler"},
    {"sampler", ATH_OPT_WORD, AT(jobs.sampler), "ddim|euler|euler_a|dpmpp_2m", "euler_a",
     "the sampler"},
    {"schedule", ATH_OPT_WORD, AT(jobs.schedule),
     "auto|uniform|karras|exponential|sgm_uniform|leading|linspace|trailing|ddim", "auto",
     "where its steps lie"},
    {"eta", ATH_OPT_REAL, AT(jobs.eta), "-1..1", "-1",
     "noise that is added anew; -1: 0 for ddim, 1 for euler_a"},
    {"predicts", ATH_OPT_WORD, AT(jobs.predicts), "noise|velocity", "noise",
     "what the model was trained to answer"},
    {"noise", ATH_OPT_WORD, AT(jobs.noise), "own|torch-cpu|nv", "own",
     "start noise: our own, or that of other programs"},
    {"clip-skip", ATH_OPT_INT, AT(clip_skip), "1..24", "1", "text layer from the end"},
    {"dtype", ATH_OPT_WORD, AT(dtype), "f32|bf16", "f32",
     "of activations; the autoencoder computes in f32 always"},
    {"device", ATH_OPT_WORD, AT(device), "auto|cpu|cuda", "auto", "auto: a GPU where there is one"},
    {"threads", ATH_OPT_INT, AT(threads), "1..1024", "1", "of a rank; can change the last bits"},
    {"ranks", ATH_OPT_INT, AT(ranks), "0..4096", "0",
     "processes, started by mpirun; 0: as launched; never changes a bit"},
    {"out", ATH_OPT_TEXT, AT(out), "DIR", "samples", "where 00000-SEED.png goes; made if missing"},
    {"no-hash", ATH_OPT_SWITCH, AT(no_hash), .help = "do not read the whole model for its hash"},
    {0},
};

enum { HASH_TEXT = 11 };

/* What rank 0 finds out for all. */
typedef struct hash {
    ath_err err;
    char text[HASH_TEXT]; /* "": none */
} hash;

typedef struct session {
    const values *v;
    const ath_sample_jobs *jobs;
    ath_unit unit;
    ath_base *base;
    ath_sample_loras loras;
    ath_pipeline *pipeline;
    ath_progress progress;
    ath_str model;
    hash hash;
} session;

/* ---- set up ---- */

static ath_err make_folder(const char *path)
{
    struct stat s;

    if (mkdir(path, 0777) == 0) return ATH_OK;
    ATH_NEED(errno == EEXIST, ATH_EIO, "--out %s: the folder cannot be made: %s", path,
             errno == ENOENT ? "the one above it is missing" : "no right, or no room");
    ATH_NEED(stat(path, &s) == 0 && S_ISDIR(s.st_mode), ATH_EIO, "--out %s: is not a folder", path);
    return ATH_OK;
}

/* The WebUI's short hash of a single file; a folder has none. */
static ath_err take_hash(const char *path, hash *out)
{
    char text[ATH_SHA256_TEXT];
    struct stat s;

    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) return ATH_OK;
    ATH_TRY(ath_sha256_of_file(path, text));
    snprintf(out->text, sizeof out->text, "%.10s", text);
    return ATH_OK;
}

static ath_err share_hash(session *s)
{
    if (s->v->no_hash) return ATH_OK;
    if (ath_dist_rank() == 0) {
        ath_progress_note(&s->progress, "reading the model for its hash");
        s->hash.err = take_hash(s->v->model, &s->hash);
    }
    ATH_TRY(ath_dist_share(&s->hash, sizeof s->hash));
    if (ath_dist_rank() == 0) return s->hash.err;
    ATH_NEED(!s->hash.err, s->hash.err, "rank 0 failed to read the model");
    return ATH_OK;
}

static ath_err load(void *context, const ath_plan *plan, ath_weights *weights)
{
    const session *s = context;

    ATH_TRY(ath_sample_loras_load(&s->loras, plan, weights));
    return ath_base_load(s->base, plan, weights, NULL);
}

static ath_err open_pipeline(session *s)
{
    const values *v = s->v;

    ath_progress_note(&s->progress, "opening the model");
    ATH_TRY(ath_unit_open((ath_unit_wish)v->device, ath_dist_local_rank(), ath_dist_local_size(),
                          &s->unit));
    ATH_TRY(ath_base_open_with(v->model, v->vae, &s->base));
    ATH_TRY(ath_sample_loras_open(&s->loras, v->lora, ath_base_spec(s->base)));
    const ath_pipeline_opts o = {.networks = {.spec = *ath_base_spec(s->base),
                                              .backend = s->unit.backend,
                                              .device = s->unit.device,
                                              .dtype = v->dtype ? ATH_BF16 : ATH_F32,
                                              .n_threads = (int32_t)v->threads,
                                              .clip_skip = (int32_t)v->clip_skip,
                                              .load = load,
                                              .load_context = s,
                                              .adapters = s->loras.adapters,
                                              .n_adapters = s->loras.n},
                                 .progress = ath_progress_step,
                                 .progress_context = &s->progress};
    return ath_pipeline_create(&o, &s->pipeline);
}

/* ---- pictures ---- */

static ath_err write_picture(session *s, const ath_sample_batch *b, int32_t i,
                             const ath_image *image)
{
    const ath_parameters p = {.recipe = &b->recipe,
                              .seed = b->seeds[i],
                              .model_hash = s->hash.text[0] ? s->hash.text : NULL,
                              .model = ath_str_text(&s->model),
                              .loras = s->loras.n ? ath_str_text(&s->loras.hashes) : NULL,
                              .clip_skip = (int32_t)s->v->clip_skip,
                              .batch = b->n,
                              .place = i};
    ath_str path = {0}, text = {0};
    ath_err err = ATH_OK;

    ath_str_print(&path, "%s/%05" PRId64 "-%" PRIu64 ".png", s->v->out, b->first + i, b->seeds[i]);
    ath_parameters_print(&p, &text);
    ATH_TRY_OUT(ath_str_check(&path));
    ATH_TRY_OUT(ath_str_check(&text));
    ATH_TRY_OUT(ath_png_write(ath_str_text(&path), image, "parameters", ath_str_text(&text)));
    ath_progress_done(&s->progress, ath_str_text(&path));
out:
    ath_str_release(&path);
    ath_str_release(&text);
    return err;
}

static ath_err draw_batch(session *s, const ath_sample_batch *b)
{
    ath_image images[ATH_PICTURES_MAX] = {0};
    ath_err err = ath_pipeline_draw(s->pipeline, &b->recipe, b->n, b->seeds, images);

    for (int32_t i = 0; !err && i < b->n; i++) err = write_picture(s, b, i, &images[i]);
    for (int32_t i = 0; i < b->n; i++) ath_image_release(&images[i]);
    return err;
}

/* Whole batches are dealt to the ranks in turn, so that a picture's batch does not change with their
 * number, and neither do its bits. */
static ath_err draw(session *s)
{
    const int32_t rank = ath_dist_rank(), size = ath_dist_size();

    ATH_TRY(share_hash(s));
    ATH_TRY(make_folder(s->v->out));
    ath_model_name_print(s->v->model, &s->model);
    ATH_TRY(ath_str_check(&s->model));
    if (rank < s->jobs->n) ATH_TRY(open_pipeline(s));
    for (int64_t i = rank; i < s->jobs->n; i += size) ATH_TRY(draw_batch(s, &s->jobs->batches[i]));
    return ATH_OK;
}

/* Steps that this rank will take. */
static int64_t count_steps(const ath_sample_jobs *jobs)
{
    int64_t n = 0;

    for (int64_t i = ath_dist_rank(); i < jobs->n; i += ath_dist_size())
        n += jobs->batches[i].recipe.n_steps;
    return n;
}

static ath_err draw_all(const values *v, const ath_sample_jobs *jobs)
{
    session s = {.v = v, .jobs = jobs};

    ath_progress_begin(&s.progress, count_steps(jobs), ath_dist_rank() == 0);
    ath_err err = draw(&s);
    ath_progress_end(&s.progress);
    ath_pipeline_destroy(&s.pipeline);
    ath_sample_loras_close(&s.loras);
    ath_base_close(&s.base);
    ath_unit_close(&s.unit);
    ath_str_release(&s.model);
    return err;
}

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    ath_sample_jobs jobs = {0};
    ath_err err = ATH_OK;

    (void)n_args;
    (void)args;
    ATH_NEED(v->model, ATH_EINVAL, "sample: no model; name one with --model FILE");
    ATH_TRY_OUT(ath_sample_jobs_init(&jobs, &v->jobs));
    ATH_TRY_OUT(ath_dist_init((int32_t)v->ranks));
    ATH_TRY_OUT(ath_dist_agree(draw_all(v, &jobs)));
out:
    ath_dist_finalize();
    ath_sample_jobs_release(&jobs);
    return err;
}

const ath_cmd ath_cmd_sample = {
    .name = "sample",
    .help = "draws pictures from prompts",
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
