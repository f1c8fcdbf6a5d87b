#include "coordinator/scan.h"

#include "core/io/file.h"
#include "core/io/image.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { CAPTION_MAX = 1 << 20 }; /* bytes of a caption file */

static const char *const picture_ends[] = {".png", ".jpg", ".jpeg", ".webp"};
enum { N_PICTURE_ENDS = sizeof picture_ends / sizeof *picture_ends, N_CAPTION_ENDS = 3 };

size_t ath_scan_stem(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

bool ath_scan_is_picture(const char *name)
{
    for (int i = 0; i < N_PICTURE_ENDS; i++)
        if (strcasecmp(name + ath_scan_stem(name), picture_ends[i]) == 0) return true;
    return false;
}

/* One folder's names, sorted by their bytes, and which of them are pictures or captions in use. */
typedef struct listing {
    const char **name;
    bool *is_used;
    int64_t n, room;
} listing;

static void listing_release(listing *names)
{
    ath_mem_free(&names->name);
    ath_mem_free(&names->is_used);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ath_err list_names(ath_scan *scan, const char *path, DIR *dir, listing *out)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) return errno ? ath_sys(-1, path) : ATH_OK;
        if (entry->d_name[0] == '.') continue; /* also . and .. */
        ATH_TRY(ath_mem_grow(&out->name, out->n, &out->room, sizeof *out->name, "names"));
        ATH_TRY(ath_arena_print(&scan->arena, &out->name[out->n], "%s", entry->d_name));
        out->n++;
    }
}

static ath_err list(ath_scan *scan, const char *path, listing *out)
{
    DIR *dir = opendir(path);

    ATH_NEED(dir || (errno != ENOENT && errno != ENOTDIR), ATH_EMISSING,
             "%s: there is no such folder; give the folder that holds folders named N_concept",
             path);
    if (!dir) return ath_sys(-1, path);
    ath_err err = list_names(scan, path, dir, out);
    closedir(dir);
    if (err) return ath_pass_at(err, __FILE__, __LINE__, path);
    if (out->n) qsort(out->name, (size_t)out->n, sizeof *out->name, by_bytes);
    return ATH_NEW(out->n, "names", &out->is_used);
}

/* Its place in the list; -1 where it is not there. */
static int64_t find(const listing *names, const char *name)
{
    if (!names->n) return -1;
    const char *const *at =
        bsearch(&name, names->name, (size_t)names->n, sizeof *names->name, by_bytes);
    return at ? at - (const char *const *)names->name : -1;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static ath_err put_rest(ath_scan *scan, const char *path, const char *name, int64_t folder)
{
    ATH_TRY(ath_mem_grow(&scan->rest, scan->n_rest, &scan->room_rest, sizeof *scan->rest, "files"));
    scan->rest[scan->n_rest++] = (ath_scan_rest){path, name, folder, is_folder(path)};
    return ATH_OK;
}

/* "12_a dog" gives 12 and "a dog"; false where the name does not begin so. */
static bool parse_name(const char *name, int32_t *repeats, const char **concept)
{
    int64_t n = 0;
    const char *at = name;

    for (; *at >= '0' && *at <= '9' && n <= ATH_REPEATS_MAX; at++) n = 10 * n + (*at - '0');
    if (at == name || n < 1 || n > ATH_REPEATS_MAX || (*at && *at != '_')) return false;
    *repeats = (int32_t)n;
    *concept = *at ? at + 1 : at;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Lines that are not blank, stripped, joined by \n. */
static void put_lines(ath_str *to, const char *text, size_t n)
{
    for (size_t at = 0, end; at < n; at = end + 1) {
        end = at;
        while (end < n && text[end] != '\n') end++;
        size_t first = at, last = end;
        while (first < last && is_blank(text[first])) first++;
        while (last > first && is_blank(text[last - 1])) last--;
        if (last > first && to->n) ath_str_put(to, "\n", 1);
        ath_str_put(to, text + first, last - first);
    }
}

static ath_err keep_caption(ath_scan *scan, ath_scan_image *image, const char *text, size_t n)
{
    ath_str lines = {0};
    size_t n_good = ath_utf8_check(text, n);

    if (n_good < n || memchr(text, 0, n)) {
        image->caption_kind = ATH_CAPTION_BROKEN;
        size_t n_bad = n_good < n ? n_good : strlen(text);
        return ath_arena_print(&scan->arena, &image->caption_problem, "byte %zu is 0x%02x",
                               n_bad + 1, (unsigned)(unsigned char)text[n_bad]);
    }
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    put_lines(&lines, text, n);
    ath_err err = ath_str_check(&lines);
    if (!err) err = ath_arena_print(&scan->arena, &image->caption, "%s", ath_str_text(&lines));
    ath_str_release(&lines);
    image->caption_kind = ATH_CAPTION_FILE;
    return err;
}

size_t ath_scan_cause(const char *path, const char **cause)
{
    const char *text = ath_err_text(), *sentence = strstr(text, ": ");
    const size_t n_path = strlen(path);

    if (sentence) text = sentence + 2;
    if (strncmp(text, path, n_path) == 0 && text[n_path] == ':') text += n_path + 1;
    text += *text == ' ';
    size_t n = strcspn(text, "\n");
    for (size_t i = n; i > 0; i--) {
        if (text[i - 1] != '(') continue;
        n = i > 1 ? i - 2 : 0;
        break;
    }
    *cause = text;
    return n;
}

/* Kept in the arena. */
static ath_err keep_cause(ath_scan *scan, const char *path, const char **out)
{
    const char *cause = NULL;
    size_t n = ath_scan_cause(path, &cause);

    return ath_arena_print(&scan->arena, out, "%.*s", (int)n, cause);
}

static ath_err read_caption(ath_scan *scan, ath_scan_image *image)
{
    char *text = NULL;
    size_t n = 0;
    ath_err err = ath_file_read(image->caption_path, CAPTION_MAX, &text, &n);

    if (err == ATH_ENOMEM || err == ATH_EFROZEN) return err;
    if (err) {
        image->caption_kind = ATH_CAPTION_BROKEN;
        ATH_TRY(keep_cause(scan, image->caption_path, &image->caption_problem));
        ath_err_clear();
        return ATH_OK;
    }
    err = keep_caption(scan, image, text, n);
    ath_mem_free(&text);
    return err;
}

static ath_err find_caption(ath_scan *scan, const ath_scan_folder *folder, listing *names,
                            ath_scan_image *image)
{
    const char *const ends[N_CAPTION_ENDS] = {scan->caption_end, ".txt", ".caption"};

    for (int i = 0; i < N_CAPTION_ENDS; i++) {
        const char *name = NULL;
        ATH_TRY(ath_arena_print(&scan->arena, &name, "%.*s%s", (int)ath_scan_stem(image->name),
                                image->name, ends[i]));
        int64_t at = find(names, name);
        if (at < 0) continue;
        names->is_used[at] = true;
        ATH_TRY(ath_arena_print(&scan->arena, &image->caption_path, "%s/%s", folder->path, name));
        return read_caption(scan, image);
    }
    image->caption = folder->concept;
    return ATH_OK;
}

static ath_err put_image(ath_scan *scan, int64_t i_folder, listing *names, const char *name,
                         const char *path)
{
    ATH_TRY(ath_mem_grow(&scan->image, scan->n_images, &scan->room_images, sizeof *scan->image,
                         "pictures"));
    ath_scan_image *image = &scan->image[scan->n_images];
    *image = (ath_scan_image){.path = path, .name = name, .folder = i_folder, .caption = ""};
    ath_err err = ath_image_size(path, 0, &image->width, &image->height);
    if (err == ATH_ENOMEM || err == ATH_EFROZEN) return err;
    if (err) {
        image->width = image->height = 0;
        ATH_TRY(keep_cause(scan, path, &image->problem));
        ath_err_clear();
    }
    ATH_TRY(find_caption(scan, &scan->folder[i_folder], names, image));
    scan->n_images++;
    scan->folder[i_folder].n++;
    return ATH_OK;
}

/* Pictures first: which files are captions is known after them. */
static ath_err read_folder(ath_scan *scan, int64_t i_folder, listing *names)
{
    const ath_scan_folder folder = scan->folder[i_folder];
    const char *path = NULL;

    for (int64_t i = 0; i < names->n && folder.repeats; i++) {
        if (!ath_scan_is_picture(names->name[i])) continue;
        ATH_TRY(ath_arena_print(&scan->arena, &path, "%s/%s", folder.path, names->name[i]));
        if (is_folder(path)) continue;
        names->is_used[i] = true;
        ATH_TRY(put_image(scan, i_folder, names, names->name[i], path));
    }
    for (int64_t i = 0; i < names->n; i++) {
        if (names->is_used[i]) continue;
        ATH_TRY(ath_arena_print(&scan->arena, &path, "%s/%s", folder.path, names->name[i]));
        ATH_TRY(put_rest(scan, path, names->name[i], i_folder));
    }
    return ATH_OK;
}

static ath_err put_folder(ath_scan *scan, const char *path, const char *name, bool is_reg)
{
    listing names = {0};

    ATH_TRY(ath_mem_grow(&scan->folder, scan->n_folders, &scan->room_folders, sizeof *scan->folder,
                         "folders"));
    ath_scan_folder *folder = &scan->folder[scan->n_folders];
    *folder = (ath_scan_folder){
        .path = path, .name = name, .concept = "", .is_reg = is_reg, .first = scan->n_images};
    if (!parse_name(name, &folder->repeats, &folder->concept)) folder->repeats = 0;
    ath_err err = list(scan, path, &names);
    if (!err) err = read_folder(scan, scan->n_folders++, &names);
    listing_release(&names);
    return err;
}

static ath_err read_root(ath_scan *scan, const char *root, bool is_reg)
{
    ath_err err = ATH_OK;
    listing names = {0};
    const char *path = NULL;

    ATH_TRY_OUT(list(scan, root, &names));
    for (int64_t i = 0; i < names.n; i++) {
        ATH_TRY_OUT(ath_arena_print(&scan->arena, &path, "%s/%s", root, names.name[i]));
        if (is_folder(path))
            ATH_TRY_OUT(put_folder(scan, path, names.name[i], is_reg));
        else
            ATH_TRY_OUT(put_rest(scan, path, names.name[i], -1));
    }
out:
    listing_release(&names);
    return err;
}

/* Without the slashes at its end, so that paths read well. */
static ath_err keep_root(ath_scan *scan, const char *path, const char **out)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/') n--;
    return ath_arena_print(&scan->arena, out, "%.*s", (int)n, path);
}

ath_err ath_scan_folders(const char *train, const char *reg, const char *caption_end, ath_scan *out)
{
    ath_err err = ATH_OK;
    ath_scan scan = {0};

    ATH_TRY_OUT(keep_root(&scan, train, &scan.root));
    ATH_TRY_OUT(keep_root(&scan, reg ? reg : "", &scan.reg_root));
    ATH_TRY_OUT(
        ath_arena_print(&scan.arena, &scan.caption_end, "%s", caption_end ? caption_end : ".txt"));
    ATH_TRY_OUT(read_root(&scan, scan.root, false));
    if (*scan.reg_root) ATH_TRY_OUT(read_root(&scan, scan.reg_root, true));
    *out = scan;
    return ATH_OK;
out:
    ath_scan_release(&scan);
    return err;
}

/* ---- what a run will draw ---- */

/* The folder of the wish, made in its place among the names where there is none. */
static ath_err need_folder(ath_scan *scan, const ath_scan_wish *wish, int64_t *out)
{
    int64_t at = 0, first = 0;

    for (; at < scan->n_folders; at++) {
        const ath_scan_folder *f = &scan->folder[at];
        const int order = f->is_reg ? strcmp(f->name, wish->folder) : -1;
        *out = at;
        if (order == 0) return ATH_OK;
        if (order > 0) break;
        first = f->first + f->n;
    }
    ATH_TRY(ath_mem_grow(&scan->folder, scan->n_folders, &scan->room_folders, sizeof *scan->folder,
                         "folders"));
    ath_scan_folder *folder = &scan->folder[at];
    memmove(folder + 1, folder, (size_t)(scan->n_folders++ - at) * sizeof *folder);
    for (int64_t i = 0; i < scan->n_images; i++)
        scan->image[i].folder += scan->image[i].folder >= at;
    for (int64_t i = 0; i < scan->n_rest; i++) scan->rest[i].folder += scan->rest[i].folder >= at;
    *folder = (ath_scan_folder){.concept = "", .is_reg = true, .first = first};
    ATH_TRY(ath_arena_print(&scan->arena, &folder->path, "%s/%s", scan->reg_root, wish->folder));
    folder->name = folder->path + strlen(scan->reg_root) + 1;
    if (!parse_name(folder->name, &folder->repeats, &folder->concept)) folder->repeats = 0;
    *out = at;
    return ATH_OK;
}

/* Room for `n` images behind those of a folder, for the caller to fill. */
static ath_err make_room(ath_scan *scan, int64_t i_folder, int64_t n, ath_scan_image **out)
{
    ath_scan_folder *folder = &scan->folder[i_folder];
    const int64_t at = folder->first + folder->n;

    for (int64_t i = 0; i < n; i++) {
        ATH_TRY(ath_mem_grow(&scan->image, scan->n_images + i, &scan->room_images,
                             sizeof *scan->image, "pictures"));
        scan->image[scan->n_images + i] = (ath_scan_image){0};
    }
    *out = scan->image + at;
    memmove(*out + n, *out, (size_t)(scan->n_images - at) * sizeof **out);
    scan->n_images += n;
    folder->n += n;
    for (int64_t i = i_folder + 1; i < scan->n_folders; i++) scan->folder[i].first += n;
    return ATH_OK;
}

static int64_t number_after(const ath_scan *scan, const ath_scan_folder *folder)
{
    int64_t after = 0;

    for (int64_t i = folder->first; i < folder->first + folder->n; i++) {
        const int64_t number = strtoll(scan->image[i].name, NULL, 10);
        if (number >= after) after = number + 1;
    }
    return after;
}

ath_err ath_scan_add_missing(ath_scan *scan, const ath_scan_wish *wish)
{
    ath_scan_image *image = NULL;
    int64_t n = wish->count, i_folder = 0;

    if (!*scan->reg_root) ATH_TRY(keep_root(scan, wish->root, &scan->reg_root));
    for (int64_t i = 0; i < scan->n_folders; i++)
        if (scan->folder[i].is_reg) n -= scan->folder[i].n;
    if (n <= 0) return ATH_OK;
    ATH_TRY(need_folder(scan, wish, &i_folder));
    scan->first_missing = number_after(scan, &scan->folder[i_folder]);
    ATH_TRY(make_room(scan, i_folder, n, &image));
    const ath_scan_folder *folder = &scan->folder[i_folder];
    for (int64_t i = 0; i < n; i++) {
        image[i] = (ath_scan_image){.folder = i_folder,
                                    .width = wish->width,
                                    .height = wish->height,
                                    .is_missing = true,
                                    .caption = folder->concept};
        ATH_TRY(ath_arena_print(&scan->arena, &image[i].path, "%s/%05" PRId64 ".png", folder->path,
                                scan->first_missing + i));
        image[i].name = image[i].path + strlen(folder->path) + 1;
    }
    scan->n_missing = n;
    return ATH_OK;
}

void ath_scan_release(ath_scan *scan)
{
    ath_mem_free(&scan->folder);
    ath_mem_free(&scan->image);
    ath_mem_free(&scan->rest);
    ath_arena_release(&scan->arena);
    *scan = (ath_scan){0};
}
