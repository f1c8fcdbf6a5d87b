/*
 * HDF5's file driver over the seam: reads and writes of the library go through ath_io, to a descriptor
 * that stays the caller's. For h5_hdf5.c alone.
 *
 * The library falls over a file that it cannot close. So the first write that fails is kept, and to the
 * library it and all later ones seem well: whoever publishes the file asks for it before.
 */
#ifndef ATH_CORE_IO_H5_SEAM_HDF5_H
#define ATH_CORE_IO_H5_SEAM_HDF5_H

#include "core/io/file.h"

#include <hdf5.h>

typedef struct ath_h5_seam {
    int fd;
    const char *path; /* for errors */
    int64_t n;        /* bytes that the file has */
    ath_err err;      /* the first failure, with its text */
    char says[512];
} ath_h5_seam;

/* Files that are opened with `access` are read and written through `seam`, which must outlive them.
 * Negative where HDF5 fails. */
herr_t ath_h5_seam_use(hid_t access, ath_h5_seam *seam);

#endif
