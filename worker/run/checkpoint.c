#include "worker/run/checkpoint.h"

#include "core/io/h5.h"
#include "core/log.h"
#include "core/mem.h"
#include "worker/run/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format[] = "athanor checkpoint", manifest_ending[] = ".manifest";
/* Of an h5 file: another state of a step that has one is written under the name that is free. */
static const char *const h5_ending[] = {".h5", ".other.h5"};

struct ath_checkpoint_file {
    char path[ATH_PATH_BYTES]; /* of the h5 file */
    ath_h5 *h5;
    ath_manifest *manifest;
    ath_checkpoint_facts facts;
    uint8_t *job;
    size_t job_bytes;
};

static ath_err name_file(const char *folder, int64_t step, const char *ending,
                         char out[ATH_PATH_BYTES])
{
    return ath_path_print(out, "%s/step-%08" PRId64 "%s", folder, step, ending);
}

/* ---- facts ---- */

/* attribute, field */
#define FACTS_MAP(X)                 \
    X("steps_done", n_done)          \
    X("updates", n_updates)          \
    X("skipped_in_a_row", n_skipped) \
    X("losses", n_losses)            \
    X("is_pinned", is_pinned)

static ath_err put_facts(ath_h5 *h5, const ath_checkpoint_facts *f)
{
    char text[ATH_HASH_TEXT];

    ATH_TRY(ath_h5_note_text(h5, "", "format", format));
    ATH_TRY(ath_h5_note_int(h5, "", "version", ATH_CHECKPOINT_VERSION));
#define PUT(key, field) ATH_TRY(ath_h5_note_int(h5, "", key, f->field));
    FACTS_MAP(PUT)
#undef PUT
    ATH_TRY(ath_h5_note_real(h5, "", "loss_sum", f->loss_sum));
    ATH_TRY(ath_h5_note_real(h5, "", "rate_factor", f->rate_factor));
    ATH_TRY(ath_h5_note_text(h5, "", "plan", ath_hash_print(f->plan, text)));
    return ath_h5_note_text(h5, "", "digest", ath_hash_print(f->digest, text));
}

static ath_err get_hash(ath_h5 *h5, const char *path, const char *key, ath_hash *out)
{
    char *text = NULL;

    ATH_TRY(ath_h5_get_text(h5, "", key, &text));
    const bool is_hash = ath_hash_parse(text, out);
    ath_mem_free(&text);
    ATH_NEED(is_hash, ATH_EFORMAT, "%s: \"%s\" is no digest", path, key);
    return ATH_OK;
}

/* What came later than version 1 of the format; EMISSING is no error. */
static ath_err get_rate_factor(ath_h5 *h5, double *out)
{
    const ath_err err = ath_h5_get_real(h5, "", "rate_factor", out);

    if (err != ATH_EMISSING) return err;
    ath_err_clear();
    *out = 1;
    return ATH_OK;
}

static ath_err get_facts(ath_h5 *h5, const char *path, ath_checkpoint_facts *f)
{
    int64_t version = 0;
    char *text = NULL;

    ATH_TRY(ath_h5_get_text(h5, "", "format", &text));
    const bool is_ours = strcmp(text, format) == 0;
    ath_mem_free(&text);
    ATH_NEED(is_ours, ATH_EFORMAT, "%s: this is HDF5, but no checkpoint of athanor", path);
    ATH_TRY(ath_h5_get_int(h5, "", "version", &version));
    ATH_TRY(ath_manifest_check_version(path, version));
#define GET(key, field) ATH_TRY(ath_h5_get_int(h5, "", key, &f->field));
    FACTS_MAP(GET)
#undef GET
    ATH_TRY(ath_h5_get_real(h5, "", "loss_sum", &f->loss_sum));
    ATH_TRY(get_rate_factor(h5, &f->rate_factor));
    ATH_TRY(get_hash(h5, path, "plan", &f->plan));
    return get_hash(h5, path, "digest", &f->digest);
}

/* ---- writing ---- */

static ath_h5_array array_of(const ath_checkpoint_tensor *t)
{
    ath_h5_array a = {.type = ATH_H5_F32, .n_dim = t->n_dim};

    memcpy(a.dim, t->dim, sizeof t->dim);
    return a;
}

static int64_t bytes_of(const ath_checkpoint_tensor *t)
{
    int64_t n = (int64_t)sizeof(float);

    for (int32_t i = 0; i < t->n_dim; i++) n *= t->dim[i];
    return n;
}

static ath_err write_h5(const char *path, const ath_checkpoint *c)
{
    const ath_h5_array job = {.type = ATH_H5_U8, .n_dim = 1, .dim = {(int64_t)c->job_bytes}};
    ath_h5 *h5 = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_h5_create(path, &h5));
    ATH_TRY_OUT(put_facts(h5, &c->facts));
    ATH_TRY_OUT(ath_h5_write(h5, "job", &job, c->job));
    for (int32_t i = 0; i < c->n_tensors; i++) {
        const ath_h5_array a = array_of(&c->tensor[i]);
        ATH_TRY_OUT(ath_h5_write(h5, c->tensor[i].name, &a, c->tensor[i].data));
    }
    ATH_TRY_OUT(ath_h5_commit(&h5));
out:
    ath_h5_close(&h5);
    return err;
}

static ath_err describe_one(ath_h5 *h5, const char *name, const void *data, size_t n,
                            ath_manifest *m)
{
    ath_manifest_tensor *t = NULL;

    ATH_TRY(ath_manifest_add(m, name, &t));
    ATH_TRY(ath_h5_place(h5, name, &t->offset, &t->bytes));
    t->digest = ath_hash_of(data, n);
    return ATH_OK;
}

/* Where the tensors came to lie, and the digests of what is in memory: what the disk holds is compared
 * with these. */
static ath_err describe(const char *path, const ath_checkpoint *c, ath_manifest *m)
{
    ath_checkpoint_facts read = {0};
    ath_h5 *h5 = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_h5_open(path, &h5));
    ATH_TRY_OUT(get_facts(h5, path, &read));
    if (memcmp(&read, &c->facts, sizeof read) != 0) {
        err = ath_raise(ATH_EIO, "%s: the facts read otherwise than they were written", path);
        goto out;
    }
    ATH_TRY_OUT(describe_one(h5, "job", c->job, c->job_bytes, m));
    for (int32_t i = 0; i < c->n_tensors; i++) {
        const ath_checkpoint_tensor *t = &c->tensor[i];
        ATH_TRY_OUT(describe_one(h5, t->name, t->data, (size_t)bytes_of(t), m));
    }
    ATH_TRY_OUT(ath_manifest_measure(m, path));
    ATH_TRY_OUT(ath_manifest_check_tensors(m, path));
out:
    ath_h5_close(&h5);
    return err;
}

static void remove_old(const char *folder, int64_t step, int64_t keep);

/* Whether this very state is there already, of an earlier process: then it stays. Where it is to be
 * pinned and was not, its manifest is replaced. */
static ath_err is_there(const char *folder, const ath_checkpoint *c, const char *manifest,
                        bool *out)
{
    ath_checkpoint_file *f = NULL;
    ath_err err = ath_checkpoint_open(folder, c->facts.n_done, &f);

    if (err == ATH_EFORMAT || err == ATH_EMISSING) {
        ath_err_clear();
        err = ATH_OK;
    }
    if (f) {
        ath_checkpoint_facts have = f->facts;
        have.is_pinned = c->facts.is_pinned; /* only the manifest's is looked at */
        *out = memcmp(&have, &c->facts, sizeof have) == 0;
    }
    if (*out && f->manifest->is_pinned < c->facts.is_pinned) {
        f->manifest->is_pinned = c->facts.is_pinned;
        err = ath_manifest_publish(f->manifest, manifest);
    }
    ath_checkpoint_close(&f);
    return err;
}

/* Whether the other name is free: not that of a file that counts until the manifest is replaced. */
static ath_err find_free(const char *manifest, bool *is_other)
{
    ath_manifest *m = NULL;
    const ath_err err = ath_manifest_read(manifest, &m);

    if (err && err != ATH_EFORMAT && err != ATH_EMISSING) return err;
    if (err) ath_err_clear();
    *is_other = m && !m->is_other;
    ath_manifest_destroy(&m);
    return ATH_OK;
}

static ath_err write_both(const char *folder, const ath_checkpoint *c, const char *manifest)
{
    char h5[ATH_PATH_BYTES];
    ath_manifest *m = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_manifest_create(&m));
    ATH_TRY_OUT(find_free(manifest, &m->is_other));
    ATH_TRY_OUT(name_file(folder, c->facts.n_done, h5_ending[m->is_other], h5));
    ATH_TRY_OUT(write_h5(h5, c));
    ATH_TRY_OUT(describe(h5, c, m));
    m->is_pinned = c->facts.is_pinned;
    ATH_TRY_OUT(ath_manifest_publish(m, manifest));
out:
    ath_manifest_destroy(&m);
    return err;
}

ath_err ath_checkpoint_write(const char *folder, const ath_checkpoint *c, int64_t keep)
{
    char manifest[ATH_PATH_BYTES];
    bool is_written = false;

    ATH_TRY(name_file(folder, c->facts.n_done, manifest_ending, manifest));
    ATH_TRY(ath_folder_make(folder));
    ATH_TRY(is_there(folder, c, manifest, &is_written));
    if (!is_written) ATH_TRY(write_both(folder, c, manifest));
    remove_old(folder, c->facts.n_done, keep);
    return ATH_OK;
}

/* ---- what there is ---- */

/* The step of "step-00000120.manifest"; -1: any other name, even one that says the same number. */
static int64_t step_of(const char *name, const char *ending)
{
    char again[64];

    if (strncmp(name, "step-", 5) != 0) return -1;
    const long long step = strtoll(name + 5, NULL, 10);
    snprintf(again, sizeof again, "step-%08lld%s", step, ending);
    return step >= 0 && strcmp(again, name) == 0 ? step : -1;
}

/* What a file is published under: ".step-00000120.h5.<process>.<number>.tmp". */
static bool is_unpublished(const char *name, const char *ending)
{
    const char *at = strstr(name, ending);
    char own[64];

    if (name[0] != '.' || !at) return false;
    at += strlen(ending);
    snprintf(own, sizeof own, "%.*s", (int)(at - name - 1), name + 1);
    const size_t n = strlen(at);
    return step_of(own, ending) >= 0 && n > 4 && strcmp(at + n - 4, ".tmp") == 0 &&
           strspn(at, ".0123456789") == n - 3;
}

static int newer(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x < y) - (x > y);
}

typedef struct found {
    int64_t *steps, n, room;
} found;

static ath_err add_found(void *context, const char *name)
{
    const int64_t step = step_of(name, manifest_ending);
    found *f = context;

    if (step < 0) return ATH_OK;
    ATH_TRY(ath_mem_grow(&f->steps, f->n, &f->room, sizeof *f->steps, "checkpoints"));
    f->steps[f->n++] = step;
    return ATH_OK;
}

ath_err ath_checkpoint_list(const char *folder, int64_t **steps, int64_t *n)
{
    found f = {0};
    ath_err err = ath_folder_each(folder, add_found, &f);

    if (err == ATH_EMISSING) {
        ath_err_clear();
        err = ATH_OK;
    }
    if (f.n > 0) qsort(f.steps, (size_t)f.n, sizeof *f.steps, newer);
    if (err) ath_mem_free(&f.steps);
    *steps = f.steps;
    *n = err ? 0 : f.n;
    return err;
}

/* ---- removing ---- */

static ath_err remove_one(const char *folder, int64_t step)
{
    char path[ATH_PATH_BYTES];

    /* first what says that it is whole */
    ATH_TRY(name_file(folder, step, manifest_ending, path));
    ATH_TRY(ath_file_remove(path));
    for (int i = 0; i < 2; i++) {
        ATH_TRY(name_file(folder, step, h5_ending[i], path));
        ATH_TRY(ath_file_remove(path));
    }
    return ATH_OK;
}

/* Whether it is for ever. A manifest that is damaged is none to keep; one that cannot be read today may
 * be whole tomorrow. */
static bool is_pinned(const char *folder, int64_t step)
{
    char path[ATH_PATH_BYTES];
    ath_manifest *m = NULL;

    ath_err err = name_file(folder, step, manifest_ending, path);
    if (!err) err = ath_manifest_read(path, &m);
    const bool is = err ? err != ATH_EFORMAT : m->is_pinned != 0;
    if (err) ath_err_clear();
    ath_manifest_destroy(&m);
    return is;
}

/* Of a step's h5 files one counts. */
static ath_err remove_uncounted(const char *folder, int64_t step, bool is_other)
{
    char path[ATH_PATH_BYTES];
    ath_manifest *m = NULL;

    ATH_TRY(name_file(folder, step, manifest_ending, path));
    const ath_err err = ath_manifest_read(path, &m);
    const bool counts = err ? err != ATH_EMISSING : m->is_other == is_other;
    ath_manifest_destroy(&m);
    if (err) ath_err_clear();
    if (counts) return ATH_OK;
    ATH_TRY(name_file(folder, step, h5_ending[is_other], path));
    return ath_file_remove(path);
}

/* An h5 file that no manifest names, or what was being published. */
static ath_err remove_leftover(void *folder, const char *name)
{
    bool is_left = is_unpublished(name, manifest_ending);
    char path[ATH_PATH_BYTES];

    for (int i = 0; i < 2; i++) {
        const int64_t step = step_of(name, h5_ending[i]);
        if (step >= 0) return remove_uncounted(folder, step, i == 1);
        is_left = is_left || is_unpublished(name, h5_ending[i]);
    }
    if (!is_left) return ATH_OK;
    ATH_TRY(ath_path_print(path, "%s/%s", (const char *)folder, name));
    return ath_file_remove(path);
}

/* Later steps than the one just written are of a past that a resume has given up. What cannot be removed
 * now is tried again after the next: it takes room, and nothing else. */
static void remove_old(const char *folder, int64_t step, int64_t keep)
{
    int64_t *steps = NULL, n = 0, n_kept = 0;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_checkpoint_list(folder, &steps, &n));
    for (int64_t i = 0; i < n; i++) {
        if (is_pinned(folder, steps[i])) continue;
        if (steps[i] <= step && n_kept++ < keep) continue;
        ATH_TRY_OUT(remove_one(folder, steps[i]));
    }
    ATH_TRY_OUT(ath_folder_each(folder, remove_leftover, (void *)(uintptr_t)folder));
out:
    if (err) ath_log(ATH_LOG_WARN, "run", ATH_KV("old_checkpoints_not_removed", ath_err_text()));
    if (err) ath_err_clear();
    ath_mem_free(&steps);
}

ath_err ath_checkpoint_drop_later(const char *folder, int64_t step)
{
    int64_t *steps = NULL, n = 0;
    ath_err err = ath_checkpoint_list(folder, &steps, &n);

    for (int64_t i = 0; !err && i < n && steps[i] > step; i++) err = remove_one(folder, steps[i]);
    ath_mem_free(&steps);
    return err;
}

/* ---- reading ---- */

static ath_err open_verified(ath_checkpoint_file *f)
{
    ath_h5_array job = {0};

    ATH_TRY(ath_manifest_check(f->manifest, f->path));
    ATH_TRY(ath_h5_open(f->path, &f->h5));
    ATH_TRY(get_facts(f->h5, f->path, &f->facts));
    ATH_TRY(ath_h5_shape(f->h5, "job", &job));
    ATH_NEED(job.type == ATH_H5_U8 && job.n_dim == 1 && job.dim[0] > 0, ATH_EFORMAT,
             "%s: \"job\" is no list of bytes", f->path);
    f->job_bytes = (size_t)job.dim[0];
    ATH_TRY(ATH_NEW(job.dim[0], "job of a checkpoint", &f->job));
    return ath_h5_read(f->h5, "job", ATH_H5_U8, f->job, f->job_bytes);
}

ath_err ath_checkpoint_open(const char *folder, int64_t step, ath_checkpoint_file **out)
{
    char manifest[ATH_PATH_BYTES];
    ath_checkpoint_file *f = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "checkpoint", &f));
    ATH_TRY_OUT(name_file(folder, step, manifest_ending, manifest));
    ATH_TRY_OUT(ath_manifest_read(manifest, &f->manifest));
    ATH_TRY_OUT(name_file(folder, step, h5_ending[f->manifest->is_other], f->path));
    ATH_TRY_OUT(open_verified(f));
    *out = f;
    f = NULL;
out:
    ath_checkpoint_close(&f);
    return err;
}

void ath_checkpoint_close(ath_checkpoint_file **file)
{
    ath_checkpoint_file *f = *file;

    if (!f) return;
    ath_h5_close(&f->h5);
    ath_manifest_destroy(&f->manifest);
    ath_mem_free(&f->job);
    ath_mem_free(file);
}

const ath_checkpoint_facts *ath_checkpoint_get_facts(const ath_checkpoint_file *file)
{
    return &file->facts;
}

const uint8_t *ath_checkpoint_job(const ath_checkpoint_file *file, size_t *n)
{
    *n = file->job_bytes;
    return file->job;
}

ath_err ath_checkpoint_read(ath_checkpoint_file *f, const ath_checkpoint_tensor *t)
{
    const ath_manifest_tensor *entry = ath_manifest_find(f->manifest, t->name);
    ath_h5_array have = {0};
    const ath_h5_array want = array_of(t);

    ATH_NEED(entry, ATH_EMISSING, "%s: there is no tensor %s", f->path, t->name);
    ATH_TRY(ath_h5_shape(f->h5, t->name, &have));
    bool is_same = have.type == want.type && have.n_dim == want.n_dim;
    for (int32_t i = 0; is_same && i < want.n_dim; i++) is_same = have.dim[i] == want.dim[i];
    ATH_NEED(
        is_same, ATH_ESHAPE,
        "%s: tensor %s has another shape than the job's network; was it written by another job?",
        f->path, t->name);
    ATH_TRY(ath_h5_read(f->h5, t->name, ATH_H5_F32, t->data, (size_t)bytes_of(t)));
    ATH_NEED(ath_hash_is_equal(ath_hash_of(t->data, (size_t)bytes_of(t)), entry->digest),
             ATH_EFORMAT, "%s: tensor %s reads otherwise than it was written", f->path, t->name);
    return ATH_OK;
}
