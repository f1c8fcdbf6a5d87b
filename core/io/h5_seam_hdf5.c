#define H5_USE_110_API 1

#include "core/io/h5_seam_hdf5.h"

#include "core/mem.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

typedef struct opened {
    H5FD_t base; /* the library's part, first */
    ath_h5_seam *seam;
    haddr_t end; /* of what it has handed out */
} opened;

/* What H5Pset_driver copies. */
typedef struct chosen {
    ath_h5_seam *seam;
} chosen;

static opened *of(H5FD_t *file)
{
    return (opened *)(void *)file;
}

static const opened *of_const(const H5FD_t *file)
{
    return (const opened *)(const void *)file;
}

static herr_t keep(ath_h5_seam *s, ath_err err)
{
    if (err && !s->err) {
        snprintf(s->says, sizeof s->says, "%s", ath_err_text());
        s->err = err;
    }
    return 0;
}

static H5FD_t *open_it(const char *name, unsigned flags, hid_t access, haddr_t address_max)
{
    const chosen *c = H5Pget_driver_info(access);
    opened *o = NULL;

    (void)name;
    (void)flags;
    (void)address_max;
    if (!c) return NULL;
    const ath_err err = ATH_NEW(1, c->seam->path, &o);
    keep(c->seam, err);
    if (err) return NULL;
    o->seam = c->seam;
    return &o->base;
}

/* The descriptor is the caller's. */
static herr_t close_it(H5FD_t *file)
{
    ath_mem_free(&file);
    return 0;
}

/* As the library's own driver for files: so the same bytes come to lie at the same places. */
static herr_t tell_features(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t get_end(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return of_const(file)->end;
}

static herr_t set_end(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    of(file)->end = end;
    return 0;
}

static haddr_t get_bytes(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return (haddr_t)of_const(file)->seam->n;
}

/* Behind the end of the file there are zeros. */
static ath_err read_all(const ath_h5_seam *s, int64_t at, char *to, size_t n)
{
    while (n > 0) {
        const int64_t got = ath_io_read_at(s->fd, to, n, at);
        ATH_TRY(ath_sys(got, s->path));
        if (got == 0) break;
        to += got;
        at += got;
        n -= (size_t)got;
    }
    memset(to, 0, n);
    return ATH_OK;
}

static herr_t read_it(H5FD_t *file, H5FD_mem_t type, hid_t how, haddr_t at, size_t n, void *to)
{
    ath_h5_seam *s = of(file)->seam;

    (void)type;
    (void)how;
    const ath_err err = read_all(s, (int64_t)at, to, n);
    keep(s, err);
    return err ? -1 : 0;
}

static ath_err write_all(ath_h5_seam *s, int64_t at, const char *from, size_t n)
{
    while (n > 0) {
        const int64_t put = ath_io_write_at(s->fd, from, n, at);
        ATH_TRY(ath_sys(put, s->path));
        ATH_NEED(put > 0, ATH_EIO, "%s: nothing was written", s->path);
        from += put;
        at += put;
        n -= (size_t)put;
    }
    if (at > s->n) s->n = at;
    return ATH_OK;
}

static herr_t write_it(H5FD_t *file, H5FD_mem_t type, hid_t how, haddr_t at, size_t n,
                       const void *from)
{
    ath_h5_seam *s = of(file)->seam;

    (void)type;
    (void)how;
    return s->err ? 0 : keep(s, write_all(s, (int64_t)at, from, n));
}

/* The file gets the length of what was handed out. */
static herr_t truncate_it(H5FD_t *file, hid_t how, hbool_t is_closing)
{
    ath_h5_seam *s = of(file)->seam;
    const int64_t end = (int64_t)of(file)->end;

    (void)how;
    (void)is_closing;
    if (s->err || s->n == end) return 0;
    s->n = end;
    return keep(s, ath_sys(ath_io_truncate(s->fd, end), s->path));
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)(H5_VFD_RESERVED + 79),
#endif
    .name = "athanor",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(chosen),
    .open = open_it,
    .close = close_it,
    .query = tell_features,
    .get_eoa = get_end,
    .set_eoa = set_end,
    .get_eof = get_bytes,
    .read = read_it,
    .write = write_it,
    .truncate = truncate_it,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

herr_t ath_h5_seam_use(hid_t access, ath_h5_seam *seam)
{
    static hid_t id = -1; /* as long as the process */
    const chosen c = {seam};

    if (id < 0) id = H5FDregister(&driver);
    return id < 0 ? -1 : H5Pset_driver(access, id, &c);
}
