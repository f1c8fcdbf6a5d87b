#define H5_USE_110_API 1 /* the same functions under every version since */

#include "core/io/file.h"
#include "core/io/h5.h"
#include "core/io/h5_seam_hdf5.h"
#include "core/mem.h"
#include "core/thread.h"

#include <fcntl.h>
#include <hdf5.h>
#include <string.h>

enum { NAME_BYTES = 1024, ALIGN = 64, SAYS_BYTES = 256 };

struct ath_h5 {
    hid_t file; /* negative: closed */
    bool is_new;
    char path[ATH_PATH_BYTES];
    ath_publish publish; /* where it is new */
    ath_h5_seam seam;    /* its descriptor is ours while reading */
};

/* ---- HDF5's errors and identifiers ---- */

/* The innermost entry of its stack is the cause. */
static herr_t take_cause(unsigned n, const H5E_error2_t *e, void *says)
{
    if (n == 0) snprintf(says, SAYS_BYTES, "%s", e->desc ? e->desc : "no reason given");
    return 0;
}

static ath_err fail_at(const ath_h5 *h, ath_err kind, const char *name, const char *what, int line)
{
    char says[SAYS_BYTES] = "no reason given";

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_cause, says);
    H5Eclear2(H5E_DEFAULT);
    if (h->seam.err) return ath_err_restore(h->seam.err, h->seam.says);
    return ath_raise_at(kind, __FILE__, line, "%s: %s%s%s %s: HDF5 says \"%s\"", h->path,
                        *name ? "\"" : "", *name ? name : "the file", *name ? "\"" : "", what,
                        says);
}
#define fail(h, kind, name, what) fail_at((h), (kind), (name), (what), __LINE__)

/* What cannot be read looks missing or broken: the reason is the read that failed. */
static ath_err cause(const ath_h5 *h, ath_err err)
{
    return err && h->seam.err ? ath_err_restore(h->seam.err, h->seam.says) : err;
}

/* Leaves with HDF5's own reason where a call gave a negative result. Needs `err` and `out`. */
#define H5_TRY_OUT(result, h, kind, name, what)    \
    do {                                           \
        if ((result) < 0) {                        \
            err = fail((h), (kind), (name), what); \
            goto out;                              \
        }                                          \
    } while (0)

static void drop(hid_t id)
{
    if (id >= 0) H5Idec_ref(id);
}

static hid_t stored_type(ath_h5_type type)
{
    const hid_t of[ATH_N_H5_TYPES] = {
        [ATH_H5_F32] = H5T_IEEE_F32LE, [ATH_H5_F64] = H5T_IEEE_F64LE, [ATH_H5_I32] = H5T_STD_I32LE,
        [ATH_H5_I64] = H5T_STD_I64LE,  [ATH_H5_U8] = H5T_STD_U8LE,    [ATH_H5_U16] = H5T_STD_U16LE,
        [ATH_H5_U32] = H5T_STD_U32LE,  [ATH_H5_U64] = H5T_STD_U64LE};

    return of[type];
}

static hid_t memory_type(ath_h5_type type)
{
    const hid_t of[ATH_N_H5_TYPES] = {
        [ATH_H5_F32] = H5T_NATIVE_FLOAT,  [ATH_H5_F64] = H5T_NATIVE_DOUBLE,
        [ATH_H5_I32] = H5T_NATIVE_INT32,  [ATH_H5_I64] = H5T_NATIVE_INT64,
        [ATH_H5_U8] = H5T_NATIVE_UINT8,   [ATH_H5_U16] = H5T_NATIVE_UINT16,
        [ATH_H5_U32] = H5T_NATIVE_UINT32, [ATH_H5_U64] = H5T_NATIVE_UINT64};

    return of[type];
}

static size_t bytes_of(ath_h5_type type)
{
    static const size_t of[ATH_N_H5_TYPES] = {
#define BYTES(name, bytes, text) [ATH_H5_##name] = (bytes),
        ATH_H5_TYPE_MAP(BYTES)
#undef BYTES
    };
    return of[type];
}

/* Negative where HDF5 fails. */
static hid_t text_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    if (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        drop(type);
        return -1;
    }
    return type;
}

/* How files are opened: nothing of them stays open behind a close, what is not tiny begins at a
 * multiple of 64, formats do not follow the library's version, and no locks, which some file systems
 * of clusters do not have. */
static hid_t access_list(ath_h5_seam *seam)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);

    if (H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0 ||
        H5Pset_alignment(list, ALIGN, ALIGN) < 0 ||
        H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
        H5Pset_file_locking(list, false, true) < 0 || ath_h5_seam_use(list, seam) < 0) {
        drop(list);
        return -1;
    }
    return list;
}

/* Files, groups and datasets without the time of day: equal content gives equal bytes. */
static hid_t timeless(hid_t class)
{
    hid_t list = H5Pcreate(class);

    if (H5Pset_obj_track_times(list, false) < 0) {
        drop(list);
        return -1;
    }
    return list;
}

/* ---- life ---- */

static ath_err begin(const char *path, ath_h5 **out)
{
    ath_h5 *h = NULL;

    /* At exit it would close once more, and fall over, a file that could not be closed. */
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL,
                 NULL); /* of this thread, where the library tells threads apart */
    ATH_NEED(strlen(path) < ATH_PATH_BYTES, ATH_ELIMIT, "%s: the path is too long", path);
    ATH_TRY(ATH_NEW(1, path, &h));
    h->file = h->seam.fd = -1;
    memcpy(h->path, path, strlen(path) + 1);
    *out = h;
    return ATH_OK;
}

static void close_file(ath_h5 **h5)
{
    ath_h5 *h = *h5;

    if (!h) return;
    if (h->file >= 0) H5Fclose(h->file);
    if (h->is_new)
        ath_publish_discard(&h->publish);
    else if (h->seam.fd >= 0)
        ath_io_close(h->seam.fd);
    ath_mem_free(h5);
}

static ath_err create_file(const char *path, ath_h5 **out)
{
    hid_t how = -1, create = -1;
    ath_h5 *h = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(begin(path, &h));
    ATH_TRY_OUT(ath_publish_begin(&h->publish, path));
    h->is_new = true;
    h->seam.fd = h->publish.fd;
    h->seam.path = h->publish.temp;
    H5_TRY_OUT(how = access_list(&h->seam), h, ATH_EHDF5, "", "cannot be made");
    H5_TRY_OUT(create = timeless(H5P_FILE_CREATE), h, ATH_EHDF5, "", "cannot be made");
    h->file = H5Fcreate(h->publish.temp, H5F_ACC_TRUNC, create, how);
    H5_TRY_OUT(h->file, h, ATH_EHDF5, "", "cannot be made");
    *out = h;
    h = NULL;
out:
    drop(create);
    drop(how);
    close_file(&h);
    return err;
}

static ath_err flush_file(ath_h5 *h)
{
    const herr_t closed = H5Fclose(h->file);

    h->file = -1;
    return closed < 0 || h->seam.err ? fail(h, ATH_EHDF5, "", "cannot be written") : ATH_OK;
}

static ath_err open_file(const char *path, ath_h5 **out)
{
    hid_t how = -1;
    ath_h5 *h = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(begin(path, &h));
    ATH_TRY_OUT(ath_file_size(path, &h->seam.n));
    h->seam.path = h->path;
    h->seam.fd = ath_io_open(path, O_RDONLY);
    ATH_TRY_OUT(ath_sys(h->seam.fd, path));
    H5_TRY_OUT(how = access_list(&h->seam), h, ATH_EHDF5, "", "cannot be read");
    h->file = H5Fopen(path, H5F_ACC_RDONLY, how);
    H5_TRY_OUT(h->file, h, ATH_EFORMAT, "", "is no good HDF5 file");
    *out = h;
    h = NULL;
out:
    drop(how);
    close_file(&h);
    return err;
}

/* ---- names ---- */

/* The part of a name before its i-th slash, all of it where there are fewer; false behind the last. */
static bool get_prefix(const char *name, int i, char out[NAME_BYTES])
{
    const char *end = name;

    for (; i > 0; i--) {
        end = strchr(end, '/');
        if (!end) return false;
        end++;
    }
    end = strchr(end, '/');
    const size_t n = end ? (size_t)(end - name) : strlen(name);
    memcpy(out, name, n);
    out[n] = 0;
    return true;
}

static ath_err check_name(const ath_h5 *h, const char *name)
{
    ATH_NEED(strlen(name) < NAME_BYTES && name[0] != '/', ATH_EINVAL,
             "%s: \"%.40s\": a name of at most %d bytes is wanted, not from the root", h->path,
             name, NAME_BYTES - 1);
    return ATH_OK;
}

/* That a name leads to something of this file: links to other files and names are not followed. */
static ath_err find(const ath_h5 *h, const char *name)
{
    char part[NAME_BYTES];
    H5L_info_t link;

    ATH_TRY(check_name(h, name));
    for (int i = 0; *name && get_prefix(name, i, part); i++) {
        ATH_NEED(H5Lexists(h->file, part, H5P_DEFAULT) > 0, ATH_EMISSING,
                 "%s: there is no \"%s\" in it", h->path, part);
        ATH_NEED(H5Lget_info(h->file, part, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD,
                 ATH_EFORMAT, "%s: \"%s\" is a link to elsewhere, wanted the thing itself", h->path,
                 part);
    }
    return ATH_OK;
}

/* Makes the groups above a name; with `is_group` the name itself too, where it is not there. */
static ath_err make_groups(const ath_h5 *h, const char *name, bool is_group)
{
    const hid_t list = timeless(H5P_GROUP_CREATE);
    hid_t group = -1;
    char part[NAME_BYTES];
    ath_err err = ATH_OK;

    H5_TRY_OUT(list, h, ATH_EHDF5, name, "cannot be written");
    ATH_TRY_OUT(check_name(h, name));
    for (int i = 0; *name && get_prefix(name, i, part); i++) {
        if (!is_group && strcmp(part, name) == 0) break;
        if (H5Lexists(h->file, part, H5P_DEFAULT) > 0) continue;
        group = H5Gcreate2(h->file, part, H5P_DEFAULT, list, H5P_DEFAULT);
        H5_TRY_OUT(group, h, ATH_EHDF5, part, "cannot be written");
        drop(group);
    }
out:
    drop(list);
    return err;
}

/* ---- writing ---- */

typedef struct piece {
    hid_t type, memory, space; /* borrowed */
    const void *data;
} piece;

static ath_err write_dataset(ath_h5 *h, const char *name, const piece *p)
{
    hid_t list = -1, set = -1;
    ath_err err = ATH_OK;

    ATH_ASSERT(h->is_new);
    ATH_TRY_OUT(make_groups(h, name, false));
    H5_TRY_OUT(list = timeless(H5P_DATASET_CREATE), h, ATH_EHDF5, name, "cannot be written");
    set = H5Dcreate2(h->file, name, p->type, p->space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5_TRY_OUT(set, h, ATH_EHDF5, name, "cannot be written");
    H5_TRY_OUT(H5Dwrite(set, p->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->data), h, ATH_EHDF5, name,
               "cannot be written");
    H5_TRY_OUT(h->seam.err ? -1 : 0, h, ATH_EHDF5, name, "cannot be written");
out:
    drop(set);
    drop(list);
    return err;
}

static ath_err write_array(ath_h5 *h5, const char *name, const ath_h5_array *array,
                           const void *data)
{
    hsize_t dim[ATH_H5_DIMS_MAX];
    hid_t space = -1;
    ath_err err = ATH_OK;

    ATH_ASSERT(array->n_dim >= 0 && array->n_dim <= ATH_H5_DIMS_MAX);
    for (int32_t i = 0; i < array->n_dim; i++) dim[i] = (hsize_t)array->dim[i];
    space = array->n_dim ? H5Screate_simple(array->n_dim, dim, NULL) : H5Screate(H5S_SCALAR);
    H5_TRY_OUT(space, h5, ATH_EHDF5, name, "cannot be written");
    const piece p = {stored_type(array->type), memory_type(array->type), space, data};
    ATH_TRY_OUT(write_dataset(h5, name, &p));
out:
    drop(space);
    return err;
}

static ath_err write_texts(ath_h5 *h5, const char *name, int64_t n, const char *const *texts)
{
    const hsize_t dim = (hsize_t)n;
    hid_t type = -1, space = -1;
    ath_err err = ATH_OK;

    H5_TRY_OUT(type = text_type(), h5, ATH_EHDF5, name, "cannot be written");
    H5_TRY_OUT(space = H5Screate_simple(1, &dim, NULL), h5, ATH_EHDF5, name, "cannot be written");
    ATH_TRY_OUT(write_dataset(h5, name, &(piece){type, type, space, texts}));
out:
    drop(space);
    drop(type);
    return err;
}

static ath_err note(ath_h5 *h, const char *name, const char *key, const piece *p)
{
    hid_t space = -1, object = -1, attribute = -1;
    ath_err err = ATH_OK;

    ATH_ASSERT(h->is_new);
    ATH_TRY_OUT(make_groups(h, name, true));
    H5_TRY_OUT(space = H5Screate(H5S_SCALAR), h, ATH_EHDF5, key, "cannot be written");
    object = H5Oopen(h->file, *name ? name : "/", H5P_DEFAULT);
    H5_TRY_OUT(object, h, ATH_EHDF5, name, "cannot be written");
    attribute = H5Acreate2(object, key, p->type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5_TRY_OUT(attribute, h, ATH_EHDF5, key, "cannot be written");
    H5_TRY_OUT(H5Awrite(attribute, p->memory, p->data), h, ATH_EHDF5, key, "cannot be written");
out:
    drop(attribute);
    drop(object);
    drop(space);
    return err;
}

static ath_err note_text(ath_h5 *h5, const char *name, const char *key, const char *value)
{
    const hid_t type = text_type();
    ath_err err = ATH_OK;

    H5_TRY_OUT(type, h5, ATH_EHDF5, key, "cannot be written");
    ATH_TRY_OUT(note(h5, name, key, &(piece){.type = type, .memory = type, .data = &value}));
out:
    drop(type);
    return err;
}

static ath_err note_int(ath_h5 *h5, const char *name, const char *key, int64_t value)
{
    const piece p = {.type = H5T_STD_I64LE, .memory = H5T_NATIVE_INT64, .data = &value};

    return note(h5, name, key, &p);
}

static ath_err note_real(ath_h5 *h5, const char *name, const char *key, double value)
{
    const piece p = {.type = H5T_IEEE_F64LE, .memory = H5T_NATIVE_DOUBLE, .data = &value};

    return note(h5, name, key, &p);
}

/* ---- reading ---- */

/* A dataset that is open, with its type and shape; {-1, -1} is none. */
typedef struct opened {
    hid_t set, type;
    ath_h5_array array;
    size_t bytes;   /* as stored */
    bool is_known;  /* array.type is one of ours */
    bool is_number; /* of any type */
} opened;

static void close_set(opened *o)
{
    drop(o->type);
    drop(o->set);
}

static ath_err read_type(const ath_h5 *h, const char *name, opened *o)
{
    const H5T_class_t class = H5Tget_class(o->type);

    ATH_NEED(class != H5T_NO_CLASS, ATH_EFORMAT, "%s: \"%s\" has a broken type", h->path, name);
    o->is_number = class == H5T_INTEGER || class == H5T_FLOAT;
    for (int i = 0; i < ATH_N_H5_TYPES; i++) {
        if (H5Tequal(o->type, stored_type((ath_h5_type)i)) <= 0) continue;
        o->array.type = (ath_h5_type)i;
        o->is_known = true;
    }
    return ATH_OK;
}

static ath_err read_shape(const ath_h5 *h, const char *name, opened *o)
{
    hsize_t dim[ATH_H5_DIMS_MAX] = {0};
    const hid_t space = H5Dget_space(o->set);
    const int n_dim = H5Sget_simple_extent_ndims(space);
    size_t bytes = H5Tget_size(o->type);
    ath_err err = ATH_OK;

    if (n_dim < 0 || n_dim > ATH_H5_DIMS_MAX || H5Sget_simple_extent_dims(space, dim, NULL) < 0) {
        err = ath_raise(ATH_EFORMAT, "%s: \"%s\" has %d dimensions, wanted at most %d", h->path,
                        name, n_dim, ATH_H5_DIMS_MAX);
        goto out;
    }
    o->array.n_dim = n_dim;
    for (int i = 0; i < n_dim; i++) {
        if (dim[i] > INT64_MAX || __builtin_mul_overflow(bytes, dim[i], &bytes)) {
            err = ath_raise(ATH_ELIMIT, "%s: \"%s\" is too large", h->path, name);
            goto out;
        }
        o->array.dim[i] = (int64_t)dim[i];
    }
    o->bytes = bytes;
out:
    drop(space);
    return err;
}

/* The layout; data in other files is not read. */
static ath_err read_layout(const ath_h5 *h, const char *name, hid_t set, H5D_layout_t *out)
{
    const hid_t list = H5Dget_create_plist(set);
    const H5D_layout_t layout = H5Pget_layout(list);
    const int n_files = layout == H5D_CONTIGUOUS ? H5Pget_external_count(list) : 0;

    drop(list);
    ATH_NEED(layout >= 0 && layout != H5D_VIRTUAL && n_files == 0, ATH_EFORMAT,
             "%s: \"%s\" does not lie in this file", h->path, name);
    *out = layout;
    return ATH_OK;
}

static ath_err open_set(const ath_h5 *h, const char *name, opened *o)
{
    H5D_layout_t layout;
    ath_err err = ATH_OK;

    *o = (opened){.set = -1, .type = -1};
    ATH_TRY_OUT(find(h, name));
    o->set = H5Dopen2(h->file, *name ? name : "/", H5P_DEFAULT);
    H5_TRY_OUT(o->set, h, ATH_EFORMAT, name, "is no dataset");
    ATH_TRY_OUT(read_layout(h, name, o->set, &layout));
    H5_TRY_OUT(o->type = H5Dget_type(o->set), h, ATH_EFORMAT, name, "has no type");
    ATH_TRY_OUT(read_type(h, name, o));
    ATH_TRY_OUT(read_shape(h, name, o));
    return ATH_OK;
out:
    close_set(o);
    return cause(h, err);
}

static ath_err get_shape(ath_h5 *h5, const char *name, ath_h5_array *out)
{
    opened o;

    ATH_TRY(open_set(h5, name, &o));
    close_set(&o);
    ATH_NEED(o.is_known, ATH_EFORMAT,
             "%s: \"%s\" does not hold little-endian numbers of 8 to 64 bits", h5->path, name);
    *out = o.array;
    return ATH_OK;
}

static ath_err read_array(ath_h5 *h5, const char *name, ath_h5_type type, void *to, size_t bytes)
{
    size_t n = bytes_of(type);
    opened o;
    ath_err err = ATH_OK;

    ATH_TRY(open_set(h5, name, &o));
    bool fits = true;
    for (int32_t i = 0; i < o.array.n_dim; i++)
        fits = fits && !__builtin_mul_overflow(n, (size_t)o.array.dim[i], &n);
    if (!o.is_number || !fits || n != bytes) {
        err = ath_raise(ATH_EFORMAT, "%s: \"%s\" %s: %zu bytes, wanted %zu", h5->path, name,
                        o.is_number ? "has another size" : "does not hold numbers", n, bytes);
        goto out;
    }
    H5_TRY_OUT(H5Dread(o.set, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, to), h5,
               ATH_EFORMAT, name, "cannot be read");
out:
    close_set(&o);
    return err;
}

static ath_err get_place(ath_h5 *h5, const char *name, int64_t *offset, int64_t *bytes)
{
    H5D_layout_t layout = H5D_LAYOUT_ERROR;
    hsize_t file_bytes = 0;
    opened o;

    ATH_TRY(open_set(h5, name, &o));
    const haddr_t at = o.bytes ? H5Dget_offset(o.set) : 0;
    const ath_err err = read_layout(h5, name, o.set, &layout);
    close_set(&o);
    ATH_TRY(err);
    ATH_NEED(layout == H5D_CONTIGUOUS && at != HADDR_UNDEF, ATH_EFORMAT,
             "%s: \"%s\" does not lie in one piece", h5->path, name);
    ATH_NEED(H5Fget_filesize(h5->file, &file_bytes) >= 0 && at <= file_bytes &&
                 o.bytes <= file_bytes - at,
             ATH_EFORMAT, "%s: \"%s\" ends behind the file's end; the file was cut", h5->path,
             name);
    *offset = (int64_t)at;
    *bytes = (int64_t)o.bytes;
    return ATH_OK;
}

/* ---- attributes ---- */

/* An attribute of one value that is open; {-1, -1} is none. */
typedef struct noted {
    hid_t object, attribute, type;
} noted;

static void close_note(noted *a)
{
    drop(a->type);
    drop(a->attribute);
    drop(a->object);
}

static ath_err open_note(const ath_h5 *h, const char *name, const char *key, H5T_class_t class,
                         noted *a)
{
    hid_t space = -1;
    ath_err err = ATH_OK;

    *a = (noted){-1, -1, -1};
    ATH_TRY_OUT(find(h, name));
    a->object = H5Oopen(h->file, *name ? name : "/", H5P_DEFAULT);
    H5_TRY_OUT(a->object, h, ATH_EFORMAT, name, "cannot be read");
    if (H5Aexists(a->object, key) <= 0) {
        err = ath_raise(ATH_EMISSING, "%s: \"%s\" has no attribute \"%s\"", h->path, name, key);
        goto out;
    }
    a->attribute = H5Aopen(a->object, key, H5P_DEFAULT);
    H5_TRY_OUT(a->attribute, h, ATH_EFORMAT, key, "cannot be read");
    H5_TRY_OUT(a->type = H5Aget_type(a->attribute), h, ATH_EFORMAT, key, "cannot be read");
    H5_TRY_OUT(space = H5Aget_space(a->attribute), h, ATH_EFORMAT, key, "cannot be read");
    if (H5Tget_class(a->type) != class || H5Sget_simple_extent_npoints(space) != 1)
        err = ath_raise(ATH_EFORMAT, "%s: attribute \"%s\" of \"%s\" is of another type", h->path,
                        key, name);
out:
    drop(space);
    if (err) close_note(a);
    return cause(h, err);
}

/* Texts of a length that stands in the type, as other programs write them. */
static ath_err read_fixed(const ath_h5 *h, const char *key, const noted *a, char **out)
{
    const size_t n = H5Tget_size(a->type);
    char *text = NULL;

    ATH_TRY(ATH_NEW(n + 1, key, &text));
    if (H5Aread(a->attribute, a->type, text) < 0) {
        ath_mem_free(&text);
        return fail(h, ATH_EFORMAT, key, "cannot be read");
    }
    *out = text;
    return ATH_OK;
}

static ath_err read_variable(const ath_h5 *h, const char *key, const noted *a, char **out)
{
    char *theirs = NULL, *text = NULL;

    if (H5Aread(a->attribute, a->type, &theirs) < 0)
        return fail(h, ATH_EFORMAT, key, "cannot be read");
    const size_t n = theirs ? strlen(theirs) : 0;
    const ath_err err = ATH_NEW(n + 1, key, &text);
    if (!err && n) memcpy(text, theirs, n);
    H5free_memory(theirs);
    ATH_TRY(err);
    *out = text;
    return ATH_OK;
}

static ath_err get_text(ath_h5 *h5, const char *name, const char *key, char **out)
{
    noted a;

    ATH_TRY(open_note(h5, name, key, H5T_STRING, &a));
    const ath_err err = H5Tis_variable_str(a.type) > 0 ? read_variable(h5, key, &a, out)
                                                       : read_fixed(h5, key, &a, out);
    close_note(&a);
    return err;
}

static ath_err get_number(const ath_h5 *h, const char *name, const char *key, H5T_class_t class,
                          hid_t memory, void *out)
{
    uint64_t value = 0; /* of the size of any that is asked for */
    noted a;

    ATH_TRY(open_note(h, name, key, class, &a));
    const herr_t got = H5Aread(a.attribute, memory, &value);
    close_note(&a);
    if (got < 0) return fail(h, ATH_EFORMAT, key, "cannot be read");
    memcpy(out, &value, sizeof value);
    return ATH_OK;
}

static ath_err get_int(ath_h5 *h5, const char *name, const char *key, int64_t *out)
{
    return get_number(h5, name, key, H5T_INTEGER, H5T_NATIVE_INT64, out);
}

static ath_err get_real(ath_h5 *h5, const char *name, const char *key, double *out)
{
    return get_number(h5, name, key, H5T_FLOAT, H5T_NATIVE_DOUBLE, out);
}

/* ---- groups ---- */

typedef struct walk {
    ath_h5_each_fn *each;
    void *context;
    ath_err err;
} walk;

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    walk *w = data;

    (void)group;
    (void)info;
    w->err = w->each(w->context, name);
    return w->err != ATH_OK;
}

static ath_err visit_each(ath_h5 *h5, const char *group, ath_h5_each_fn *each, void *context)
{
    walk w = {.each = each, .context = context};
    hid_t id = -1;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(find(h5, group));
    id = H5Gopen2(h5->file, *group ? group : "/", H5P_DEFAULT);
    H5_TRY_OUT(id, h5, ATH_EFORMAT, group, "is no group");
    H5_TRY_OUT(H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &w), h5, ATH_EFORMAT, group,
               "cannot be read");
    ATH_TRY_OUT(w.err);
out:
    drop(id);
    return cause(h5, err);
}

/* ---- one thread at a time: not every build of the library sees to it ---- */

static ath_turns turns = ATH_TURNS_INIT;

static ath_err end_turn(ath_err err)
{
    ath_turns_end(&turns);
    return err;
}

ath_err ath_h5_create(const char *path, ath_h5 **out)
{
    ath_turns_begin(&turns);
    return end_turn(create_file(path, out));
}

ath_err ath_h5_commit(ath_h5 **h5)
{
    ath_h5 *h = *h5;
    ath_err err = ATH_OK;

    ATH_ASSERT(h->is_new);
    ath_turns_begin(&turns);
    ATH_TRY_OUT(end_turn(flush_file(h)));
    ATH_TRY_OUT(ath_publish_commit(&h->publish)); /* syncing takes long: not within a turn */
out:
    ath_h5_close(h5);
    return err;
}

void ath_h5_close(ath_h5 **h5)
{
    ath_turns_begin(&turns);
    close_file(h5);
    ath_turns_end(&turns);
}

ath_err ath_h5_open(const char *path, ath_h5 **out)
{
    ath_turns_begin(&turns);
    return end_turn(open_file(path, out));
}

ath_err ath_h5_write(ath_h5 *h5, const char *name, const ath_h5_array *array, const void *data)
{
    ath_turns_begin(&turns);
    return end_turn(write_array(h5, name, array, data));
}

ath_err ath_h5_write_texts(ath_h5 *h5, const char *name, int64_t n, const char *const *texts)
{
    ath_turns_begin(&turns);
    return end_turn(write_texts(h5, name, n, texts));
}

ath_err ath_h5_note_text(ath_h5 *h5, const char *name, const char *key, const char *value)
{
    ath_turns_begin(&turns);
    return end_turn(note_text(h5, name, key, value));
}

ath_err ath_h5_note_int(ath_h5 *h5, const char *name, const char *key, int64_t value)
{
    ath_turns_begin(&turns);
    return end_turn(note_int(h5, name, key, value));
}

ath_err ath_h5_note_real(ath_h5 *h5, const char *name, const char *key, double value)
{
    ath_turns_begin(&turns);
    return end_turn(note_real(h5, name, key, value));
}

ath_err ath_h5_shape(ath_h5 *h5, const char *name, ath_h5_array *out)
{
    ath_turns_begin(&turns);
    return end_turn(get_shape(h5, name, out));
}

ath_err ath_h5_read(ath_h5 *h5, const char *name, ath_h5_type type, void *to, size_t bytes)
{
    ath_turns_begin(&turns);
    return end_turn(read_array(h5, name, type, to, bytes));
}

ath_err ath_h5_place(ath_h5 *h5, const char *name, int64_t *offset, int64_t *bytes)
{
    ath_turns_begin(&turns);
    return end_turn(get_place(h5, name, offset, bytes));
}

ath_err ath_h5_get_text(ath_h5 *h5, const char *name, const char *key, char **out)
{
    ath_turns_begin(&turns);
    return end_turn(get_text(h5, name, key, out));
}

ath_err ath_h5_get_int(ath_h5 *h5, const char *name, const char *key, int64_t *out)
{
    ath_turns_begin(&turns);
    return end_turn(get_int(h5, name, key, out));
}

ath_err ath_h5_get_real(ath_h5 *h5, const char *name, const char *key, double *out)
{
    ath_turns_begin(&turns);
    return end_turn(get_real(h5, name, key, out));
}

ath_err ath_h5_each(ath_h5 *h5, const char *group, ath_h5_each_fn *each, void *context)
{
    ath_turns_begin(&turns);
    return end_turn(visit_each(h5, group, each, context));
}
