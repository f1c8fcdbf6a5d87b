/*
 * What is there to train on: folders named N_concept, the pictures in them and their captions.
 *
 * Of a data folder only the folders within it count, and of those only the files in them. Everything
 * is ordered by the bytes of the names, so every machine sees the same list. Sizes come from the
 * pictures' headers. What is wrong with the data is kept in the index for the doctor to name; scanning
 * fails only where a folder cannot be read.
 */
#ifndef ATH_COORDINATOR_SCAN_H
#define ATH_COORDINATOR_SCAN_H

#include "core/arena.h"

enum { ATH_REPEATS_MAX = 1000000 };

typedef enum ath_caption_kind {
    ATH_CAPTION_CLASS, /* no file: the folder's concept */
    ATH_CAPTION_FILE,
    ATH_CAPTION_BROKEN, /* a file that cannot be read or is not UTF-8: the text is "" */
    ATH_N_CAPTION_KINDS
} ath_caption_kind;

/* A folder N_concept; one whose name does not parse has repeats 0 and no pictures. */
typedef struct ath_scan_folder {
    const char *path, *name;
    const char *concept; /* what follows the first underscore, may be "" */
    int32_t repeats;
    bool is_reg;
    int64_t first, n; /* its pictures */
} ath_scan_folder;

typedef struct ath_scan_image {
    const char *path;
    const char *name;      /* of the file, without the folder */
    int64_t folder;        /* which */
    int32_t width, height; /* as stored, whatever EXIF says; 0: not readable */
    const char *problem;   /* why not; NULL where it is */
    bool is_missing;       /* a run draws it before it trains */
    ath_caption_kind caption_kind;
    const char *caption; /* its lines that are not blank, stripped, joined by \n */
    const char *caption_path, *caption_problem; /* NULL: none */
} ath_scan_image;

/* A name that was found and is neither a picture in use nor the caption of one. */
typedef struct ath_scan_rest {
    const char *path, *name;
    int64_t folder; /* -1: lies in a data folder itself */
    bool is_folder;
} ath_scan_rest;

/* The index: training folders first, then regularization. {0} is an empty one. */
typedef struct ath_scan {
    const char *root, *reg_root; /* reg_root "": none */
    const char *caption_end;
    ath_scan_folder *folder;
    ath_scan_image *image;
    ath_scan_rest *rest;
    int64_t n_folders, n_images, n_rest;
    int64_t room_folders, room_images, room_rest;
    int64_t n_missing, first_missing; /* images that are, and the number in the first one's name */
    ath_arena arena;                  /* the texts */
} ath_scan;

/* `reg` NULL or "": no regularization. A picture's caption is the file of its stem that ends in
 * `caption_end` (NULL: ".txt"), else in .txt, else in .caption. EMISSING where a folder is not there, EIO where it cannot be
 * read. */
ATH_MUST ath_err ath_scan_folders(const char *train, const char *reg, const char *caption_end,
                                  ath_scan *out);
void ath_scan_release(ath_scan *scan);

/* Adds the pictures that lack of `count` regularization pictures as they will be once a run has drawn
 * them: <root>/<folder>/00012.png, numbered on from the highest there, captioned by the folder's concept.
 * What was scanned had this root as its regularization, or none. Sides in pixels; the wish is copied.
 * ENOMEM leaves a scan that is only fit for release. */
typedef struct ath_scan_wish {
    const char *root, *folder;
    int64_t count;
    int32_t width, height;
} ath_scan_wish;
ATH_MUST ath_err ath_scan_add_missing(ath_scan *scan, const ath_scan_wish *wish);

/* Whether the name ends like a picture that is read: .png .jpg .jpeg .webp, in any case. */
bool ath_scan_is_picture(const char *name);

/* Bytes of a name before its last dot; all of them where it has none. */
size_t ath_scan_stem(const char *name);

/* What this thread's last error says of the file at `path`: the sentence alone, without kind, path and
 * place. Gives its length; valid as long as ath_err_text(). */
size_t ath_scan_cause(const char *path, const char **cause);

#endif
