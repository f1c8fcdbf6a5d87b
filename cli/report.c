#include "cli/report.h"

#include <inttypes.h>
#include <string.h>

enum { PATHS_SHOWN = 5, TAGS_SHOWN = 20, LINE = 96 };

static void print_folders(const ath_scan *scan, ath_str *to)
{
    ath_str_print(to, "  %9s %9s %9s  %s\n", "pictures", "repeats", "samples", "concept");
    for (int64_t i = 0; i < scan->n_folders; i++) {
        const ath_scan_folder *f = &scan->folder[i];
        if (f->repeats == 0) continue;
        ath_str_print(to, "  %9" PRId64 " %9" PRId32 " %9" PRId64 "  %s%s\n", f->n, f->repeats,
                      f->n * f->repeats, *f->concept ? f->concept : "(none)",
                      f->is_reg ? " (regularization)" : "");
    }
    if (scan->n_missing)
        ath_str_print(to, "  %9" PRId64 " of these are class images that the run draws first\n",
                      scan->n_missing);
}

/* Without the training folder in front, which the first line names. */
static const char *below(const ath_scan *scan, const char *path)
{
    size_t n = strlen(scan->root);

    return strncmp(path, scan->root, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

/* All findings of one kind: `n` of them. */
static void print_kind(const ath_scan *scan, const ath_finding *f, int64_t n, ath_str *to)
{
    const ath_finding_text *text = ath_finding_describe(f->kind);

    ath_str_print(to, "\n%s: %s", text->severity == ATH_SEVERITY_ERROR ? "error" : "warning",
                  text->found);
    if (n > 1) ath_str_print(to, " (%" PRId64 " times)", n);
    ath_str_print(to, "\n  mend: %s\n", text->mend);
    for (int64_t i = 0; i < n && i < PATHS_SHOWN; i++)
        ath_str_print(to, "    %s%s%s\n", below(scan, f[i].path), *f[i].detail ? ": " : "",
                      below(scan, f[i].detail));
    if (n > PATHS_SHOWN) ath_str_print(to, "    and %" PRId64 " more\n", n - PATHS_SHOWN);
}

static void print_tags(const ath_diagnosis *d, ath_str *to)
{
    size_t column = 0;

    if (d->n_tags == 0) return;
    ath_str_print(to, "\n%" PRId64 " tags, the most frequent:", d->n_tags);
    column = LINE;
    for (int64_t i = 0; i < d->n_tags && i < TAGS_SHOWN; i++) {
        size_t n = strlen(d->tag[i].text) + 8;
        if (column + n > LINE) {
            ath_str_print(to, "\n ");
            column = 1;
        }
        size_t before = to->n;
        ath_str_print(to, " %s %" PRId64 "%s", d->tag[i].text, d->tag[i].n,
                      i + 1 < d->n_tags && i + 1 < TAGS_SHOWN ? "," : "");
        column += to->n - before;
    }
    ath_str_print(to, "\n");
}

void ath_report_diagnosis(const ath_scan *scan, const ath_diagnosis *d, ath_str *to)
{
    ath_str_print(to, "%s%s%s: %" PRId64 " pictures\n", scan->root, *scan->reg_root ? " and " : "",
                  scan->reg_root, scan->n_images);
    if (scan->n_images) print_folders(scan, to);
    for (int64_t i = 0, n = 1; i < d->n_findings; i += n) {
        for (n = 1; i + n < d->n_findings && d->finding[i + n].kind == d->finding[i].kind; n++) {
        }
        print_kind(scan, &d->finding[i], n, to);
    }
    print_tags(d, to);
    const int64_t n_errors = d->n_of[ATH_SEVERITY_ERROR],
                  n_warnings = d->n_of[ATH_SEVERITY_WARNING];
    ath_str_print(to, "\n%" PRId64 " error%s, %" PRId64 " warning%s\n", n_errors,
                  n_errors == 1 ? "" : "s", n_warnings, n_warnings == 1 ? "" : "s");
}
