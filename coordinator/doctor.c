#include "coordinator/doctor.h"

#include "coordinator/alike.h"
#include "core/mem.h"
#include "core/text/tokenizer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const ath_finding_text texts[ATH_N_FINDINGS] = {
#define TEXT(name, severity, found, mend) {#name, ATH_SEVERITY_##severity, found, mend},
    ATH_FINDING_MAP(TEXT)
#undef TEXT
};

/* Formats that people have and no trainer of ours reads; texts that other tools write. */
static const char *const foreign_pictures[] = {".bmp", ".gif",  ".tif",  ".tiff", ".avif",
                                               ".jxl", ".heic", ".heif", NULL};
static const char *const foreign_captions[] = {".text", ".tags", ".tag",      ".cap",
                                               ".md",   ".json", ".captions", NULL};

const ath_finding_text *ath_finding_describe(ath_finding_kind kind)
{
    ATH_ASSERT((unsigned)kind < ATH_N_FINDINGS);
    return &texts[kind];
}

/* A picture by the bytes of folder and stem. */
typedef struct by_stem {
    int64_t folder;
    const char *name;
    size_t n_stem;
    int64_t image;
} by_stem;

typedef struct doctor {
    const ath_scan *scan;
    const ath_doctor_rule *rule;
    ath_diagnosis *to;
    by_stem *stem; /* sorted */
} doctor;

/* The detail is printed; what is longer than a line of text is cut. */
static ATH_PRINTF(4, 5) ath_err
    find(doctor *d, ath_finding_kind kind, const char *path, const char *fmt, ...)
{
    ath_diagnosis *to = d->to;
    char detail[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    ATH_TRY(ath_mem_grow(&to->finding, to->n_findings, &to->room_findings, sizeof *to->finding,
                         "findings"));
    ath_finding *f = &to->finding[to->n_findings];
    *f = (ath_finding){.kind = kind};
    ATH_TRY(ath_arena_print(&to->arena, &f->path, "%s", path));
    ATH_TRY(ath_arena_print(&to->arena, &f->detail, "%s", detail));
    to->n_findings++;
    to->n_of[texts[kind].severity]++;
    return ATH_OK;
}

static bool ends_with_one(const char *name, const char *const *ends)
{
    const char *end = name + ath_scan_stem(name);

    for (; *ends; ends++)
        if (strcasecmp(end, *ends) == 0) return true;
    return false;
}

static int compare_stems(const void *a, const void *b)
{
    const by_stem *x = a, *y = b;
    size_t n = x->n_stem < y->n_stem ? x->n_stem : y->n_stem;

    if (x->folder != y->folder) return x->folder < y->folder ? -1 : 1;
    int order = memcmp(x->name, y->name, n);
    if (order) return order;
    return (x->n_stem > y->n_stem) - (x->n_stem < y->n_stem);
}

static int compare_stems_then_images(const void *a, const void *b)
{
    int order = compare_stems(a, b);

    return order ? order : (((const by_stem *)a)->image > ((const by_stem *)b)->image) * 2 - 1;
}

static ath_err check_stems(doctor *d)
{
    const ath_scan *scan = d->scan;

    ATH_TRY(ATH_NEW(scan->n_images, "stems", &d->stem));
    for (int64_t i = 0; i < scan->n_images; i++) {
        const ath_scan_image *image = &scan->image[i];
        d->stem[i] = (by_stem){image->folder, image->name, ath_scan_stem(image->name), i};
    }
    if (scan->n_images)
        qsort(d->stem, (size_t)scan->n_images, sizeof *d->stem, compare_stems_then_images);
    for (int64_t i = 1; i < scan->n_images; i++)
        if (compare_stems(&d->stem[i - 1], &d->stem[i]) == 0)
            ATH_TRY(find(d, ATH_FINDING_STEM_TWICE, scan->image[d->stem[i].image].path,
                         "the other is %s", d->stem[i - 1].name));
    return ATH_OK;
}

/* The picture of that folder whose stem is the first n bytes of `name`; NULL where there is none. */
static const ath_scan_image *find_picture(const doctor *d, int64_t folder, const char *name,
                                          size_t n)
{
    const by_stem key = {.folder = folder, .name = name, .n_stem = n};
    const by_stem *at = NULL;

    if (d->scan->n_images)
        at = bsearch(&key, d->stem, (size_t)d->scan->n_images, sizeof key, compare_stems);
    return at ? &d->scan->image[at->image] : NULL;
}

/* A file that is named like a caption, but is the caption of no picture. */
static ath_err check_stray_caption(doctor *d, const ath_scan_rest *rest, bool is_ours)
{
    const size_t n = ath_scan_stem(rest->name);
    const ath_scan_image *image = find_picture(d, rest->folder, rest->name, n);
    char name[512];

    /* x.jpg.txt for x.jpg */
    snprintf(name, sizeof name, "%.*s", (int)n, rest->name);
    if (!image && ath_scan_is_picture(name))
        image = find_picture(d, rest->folder, name, ath_scan_stem(name));
    if (image && image->caption_path && is_ours)
        return find(d, ATH_FINDING_CAPTION_TWICE, rest->path, "%s is", image->caption_path);
    if (image && !image->caption_path)
        ATH_TRY(find(d, ATH_FINDING_CAPTION_NAME, rest->path, "rename it to %.*s%s",
                     (int)ath_scan_stem(image->name), image->name, d->scan->caption_end));
    if (!image && is_ours) return find(d, ATH_FINDING_CAPTION_ORPHAN, rest->path, "%s", "");
    return ATH_OK;
}

static ath_err check_rest(doctor *d, const ath_scan_rest *rest)
{
    const char *const ours[] = {".txt", ".caption", d->scan->caption_end, NULL};

    if (rest->is_folder) return find(d, ATH_FINDING_FOLDER_NESTED, rest->path, "%s", "");
    if (ends_with_one(rest->name, foreign_pictures))
        return find(d, ATH_FINDING_FORMAT, rest->path, "%s", "");
    if (ends_with_one(rest->name, ours)) return check_stray_caption(d, rest, true);
    if (ends_with_one(rest->name, foreign_captions)) return check_stray_caption(d, rest, false);
    return ATH_OK;
}

static int64_t count_loose(const ath_scan *scan, int64_t folder, const char *root)
{
    int64_t n = 0;
    size_t n_root = strlen(root);

    for (int64_t i = 0; i < scan->n_rest; i++) {
        const ath_scan_rest *rest = &scan->rest[i];
        bool is_here = rest->folder == folder && strncmp(rest->path, root, n_root) == 0 &&
                       rest->path[n_root] == '/' && strchr(rest->path + n_root + 1, '/') == NULL;
        n += is_here && !rest->is_folder && ath_scan_is_picture(rest->name);
    }
    return n;
}

static ath_err check_root(doctor *d, const char *root, bool is_reg)
{
    const ath_scan *scan = d->scan;
    int64_t n_images = 0, n_loose = count_loose(scan, -1, root);

    for (int64_t i = 0; i < scan->n_folders; i++)
        if (scan->folder[i].is_reg == is_reg) n_images += scan->folder[i].n;
    if (n_images == 0)
        ATH_TRY(find(d, is_reg ? ATH_FINDING_REG_EMPTY : ATH_FINDING_NO_DATA, root, "%s", ""));
    if (n_loose) ATH_TRY(find(d, ATH_FINDING_LOOSE, root, "%" PRId64 " of them", n_loose));
    return ATH_OK;
}

static ath_err check_folders(doctor *d)
{
    const ath_scan *scan = d->scan;

    ATH_TRY(check_root(d, scan->root, false));
    if (*scan->reg_root) ATH_TRY(check_root(d, scan->reg_root, true));
    for (int64_t i = 0; i < scan->n_folders; i++) {
        const ath_scan_folder *f = &scan->folder[i];
        if (f->repeats == 0)
            ATH_TRY(find(d, ATH_FINDING_FOLDER_NAME, f->path, "%" PRId64 " pictures in it",
                         count_loose(scan, i, f->path)));
        else if (f->n == 0)
            ATH_TRY(find(d, ATH_FINDING_FOLDER_EMPTY, f->path, "%s", ""));
    }
    for (int64_t i = 0; i < scan->n_rest; i++)
        if (scan->rest[i].folder >= 0 && scan->folder[scan->rest[i].folder].repeats)
            ATH_TRY(check_rest(d, &scan->rest[i]));
    return ATH_OK;
}

static ath_err check_reg(doctor *d)
{
    const ath_scan *scan = d->scan;
    int64_t n_images[2] = {0}, n_samples[2] = {0};

    for (int64_t i = 0; i < scan->n_folders; i++) {
        n_images[scan->folder[i].is_reg] += scan->folder[i].n;
        n_samples[scan->folder[i].is_reg] += scan->folder[i].n * scan->folder[i].repeats;
    }
    if (n_images[1] == 0) return ATH_OK;
    if (n_images[1] < n_images[0])
        ATH_TRY(find(d, ATH_FINDING_REG_SMALL, scan->reg_root,
                     "%" PRId64 " for %" PRId64 " pictures shown %" PRId64 " times an epoch",
                     n_images[1], n_images[0], n_samples[0]));
    else if (n_images[1] < n_samples[0])
        ATH_TRY(find(d, ATH_FINDING_REG_FEW, scan->reg_root, "%" PRId64 ", an epoch wants %" PRId64,
                     n_images[1], n_samples[0]));
    return ATH_OK;
}

static ath_err check_size(doctor *d, const ath_scan_image *image)
{
    const int32_t w = image->width, h = image->height;
    const double aspect = w > h ? (double)w / h : (double)h / w;

    if (w < d->rule->side || h < d->rule->side)
        ATH_TRY(find(d, ATH_FINDING_PICTURE_SMALL, image->path,
                     "%dx%d, the shorter side should be %d", w, h, d->rule->side));
    if (aspect > 3)
        ATH_TRY(find(d, ATH_FINDING_ASPECT, image->path, "%dx%d, %.1f to 1", w, h, aspect));
    return ATH_OK;
}

static ath_err check_length(doctor *d, const ath_tokenizer *tokenizer, const ath_scan_image *image)
{
    ath_ids ids = {0};
    ath_err err = ath_tokenize(tokenizer, image->caption, strcspn(image->caption, "\n"), &ids);
    const int64_t n = ids.n;

    ath_ids_release(&ids);
    if (err) return err;
    if (n > d->rule->n_tokens)
        ATH_TRY(find(d, ATH_FINDING_CAPTION_LONG, image->path,
                     "%" PRId64 " tokens, %" PRId64 " are used", n, d->rule->n_tokens));
    return ATH_OK;
}

static ath_err check_text(doctor *d, const ath_tokenizer *tokenizer, const ath_scan_image *image)
{
    const ath_scan_folder *folder = &d->scan->folder[image->folder];
    const char *trigger = d->rule->trigger;

    if (image->caption_kind == ATH_CAPTION_BROKEN)
        return find(d, ATH_FINDING_CAPTION_BROKEN, image->caption_path, "%s",
                    image->caption_problem);
    if (image->caption_kind == ATH_CAPTION_FILE && !*image->caption)
        return find(d, ATH_FINDING_CAPTION_EMPTY, image->caption_path, "%s", "");
    if (strchr(image->caption, '\n'))
        ATH_TRY(find(d, ATH_FINDING_CAPTION_LINES, image->caption_path, "%s", ""));
    ATH_TRY(check_length(d, tokenizer, image));
    size_t n_line = strcspn(image->caption, "\n");
    const char *at = *trigger ? strstr(image->caption, trigger) : image->caption;
    if (!folder->is_reg && (!at || at > image->caption + n_line))
        ATH_TRY(find(d, ATH_FINDING_TRIGGER_ABSENT, image->path, "\"%s\" is not in \"%.*s\"",
                     trigger, (int)(n_line < 60 ? n_line : 60), image->caption));
    return ATH_OK;
}

static ath_err check_missing(doctor *d)
{
    const ath_scan *scan = d->scan;

    for (int64_t i = 0; i < scan->n_folders; i++) {
        const ath_scan_folder *f = &scan->folder[i];
        int64_t n_with = 0;
        for (int64_t k = f->first; k < f->first + f->n; k++)
            n_with += scan->image[k].caption_path != NULL;
        if (n_with == 0) continue;
        for (int64_t k = f->first; k < f->first + f->n; k++)
            if (!scan->image[k].caption_path)
                ATH_TRY(find(d, ATH_FINDING_CAPTION_MISSING, scan->image[k].path, "\"%s\" is used",
                             f->concept));
    }
    return ATH_OK;
}

static ath_err check_images(doctor *d)
{
    ath_tokenizer *tokenizer = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_tokenizer_create(49408, &tokenizer));
    for (int64_t i = 0; i < d->scan->n_images; i++) {
        const ath_scan_image *image = &d->scan->image[i];
        if (image->problem)
            ATH_TRY_OUT(find(d, ATH_FINDING_PICTURE_BROKEN, image->path, "%s", image->problem));
        else
            ATH_TRY_OUT(check_size(d, image));
        ATH_TRY_OUT(check_text(d, tokenizer, image));
    }
    ATH_TRY_OUT(check_missing(d));
out:
    ath_tokenizer_destroy(&tokenizer);
    return err;
}

/* Decodes picture i; `is_good` is left as it is where it cannot be read. */
static ath_err look(doctor *d, int64_t i, uint64_t *hash, bool *is_good)
{
    ath_image pixels = {0};
    const char *path = d->scan->image[i].path;
    ath_err err = ath_image_read(path, 0, &pixels);

    if (err == ATH_ENOMEM || err == ATH_EFROZEN) return err;
    if (err) {
        const char *cause = NULL;
        size_t n = ath_scan_cause(path, &cause);
        ATH_TRY(find(d, ATH_FINDING_PICTURE_BROKEN, path, "%.*s", (int)n, cause));
        ath_err_clear();
        return ATH_OK;
    }
    *hash = ath_alike_hash(&pixels);
    *is_good = true;
    ath_image_release(&pixels);
    return ATH_OK;
}

/* Every picture against those before it; one finding each, for the nearest. */
static ath_err compare(doctor *d, int64_t i, const uint64_t *hash, const bool *is_good)
{
    int least = ATH_ALIKE_BITS + 1;
    int64_t nearest = -1;

    for (int64_t k = 0; k < i && is_good[i]; k++) {
        int distance = ath_alike_distance(hash[i], hash[k]);
        if (!is_good[k] || distance >= least) continue;
        least = distance;
        nearest = k;
    }
    if (nearest >= 0)
        ATH_TRY(find(d, ATH_FINDING_ALIKE, d->scan->image[i].path, "%s, %d of 64 bits differ",
                     d->scan->image[nearest].path, least));
    return ATH_OK;
}

static ath_err check_deep(doctor *d)
{
    const int64_t n = d->scan->n_images;
    uint64_t *hash = NULL;
    bool *is_good = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(n, "picture hashes", &hash));
    ATH_TRY_OUT(ATH_NEW(n, "pictures read", &is_good));
    for (int64_t i = 0; i < n; i++)
        if (!d->scan->image[i].problem && !d->scan->image[i].is_missing)
            ATH_TRY_OUT(look(d, i, &hash[i], &is_good[i]));
    for (int64_t i = 0; i < n; i++) ATH_TRY_OUT(compare(d, i, hash, is_good));
out:
    ath_mem_free(&hash);
    ath_mem_free(&is_good);
    return err;
}

static ath_err put_tag(ath_diagnosis *to, const char *text, size_t n)
{
    for (; n && strchr(" \t\r", *text); n--) text++;
    while (n && strchr(" \t\r", text[n - 1])) n--;
    if (n == 0) return ATH_OK;
    ATH_TRY(ath_mem_grow(&to->tag, to->n_tags, &to->room_tags, sizeof *to->tag, "tags"));
    ATH_TRY(ath_arena_print(&to->arena, &to->tag[to->n_tags].text, "%.*s", (int)n, text));
    to->tag[to->n_tags++].n = 1;
    return ATH_OK;
}

static ath_err put_tags(doctor *d, const char *caption)
{
    const size_t n_line = strcspn(caption, "\n"), n_separator = strlen(d->rule->separator);
    const char *at = caption, *end = caption + n_line;

    while (at < end) {
        const char *next = n_separator ? strstr(at, d->rule->separator) : NULL;
        if (!next || next > end) next = end;
        ATH_TRY(put_tag(d->to, at, (size_t)(next - at)));
        at = next < end ? next + n_separator : end;
    }
    return ATH_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const ath_tag *)a)->text, ((const ath_tag *)b)->text);
}

static int by_count(const void *a, const void *b)
{
    const ath_tag *x = a, *y = b;

    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return strcmp(x->text, y->text);
}

static ath_err count_tags(doctor *d)
{
    ath_diagnosis *to = d->to;
    int64_t n = 0;

    for (int64_t i = 0; i < d->scan->n_images; i++) {
        const ath_scan_image *image = &d->scan->image[i];
        if (image->caption_kind == ATH_CAPTION_FILE && !d->scan->folder[image->folder].is_reg)
            ATH_TRY(put_tags(d, image->caption));
    }
    if (to->n_tags == 0) return ATH_OK;
    qsort(to->tag, (size_t)to->n_tags, sizeof *to->tag, by_text);
    for (int64_t i = 0; i < to->n_tags; i++) {
        if (n && strcmp(to->tag[n - 1].text, to->tag[i].text) == 0)
            to->tag[n - 1].n++;
        else
            to->tag[n++] = to->tag[i];
    }
    to->n_tags = n;
    qsort(to->tag, (size_t)n, sizeof *to->tag, by_count);
    return ATH_OK;
}

/* Kinds are listed errors first. */
static int by_kind(const void *a, const void *b)
{
    const ath_finding *x = a, *y = b;

    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return strcmp(x->path, y->path);
}

ath_err ath_doctor_examine(const ath_scan *scan, const ath_doctor_rule *rule, ath_diagnosis *out)
{
    ath_err err = ATH_OK;
    ath_diagnosis to = {0};
    doctor d = {.scan = scan, .rule = rule, .to = &to};

    ATH_TRY_OUT(check_stems(&d));
    ATH_TRY_OUT(check_folders(&d));
    ATH_TRY_OUT(check_reg(&d));
    ATH_TRY_OUT(check_images(&d));
    if (rule->is_deep) ATH_TRY_OUT(check_deep(&d));
    ATH_TRY_OUT(count_tags(&d));
    if (to.n_findings) qsort(to.finding, (size_t)to.n_findings, sizeof *to.finding, by_kind);
    *out = to;
    to = (ath_diagnosis){0};
out:
    ath_diagnosis_release(&to);
    ath_mem_free(&d.stem);
    return err;
}

void ath_diagnosis_release(ath_diagnosis *diagnosis)
{
    ath_mem_free(&diagnosis->finding);
    ath_mem_free(&diagnosis->tag);
    ath_arena_release(&diagnosis->arena);
    *diagnosis = (ath_diagnosis){0};
}
