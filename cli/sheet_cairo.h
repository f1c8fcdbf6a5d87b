/* A contact sheet: pictures in rows, each with a label under it. */
#ifndef ATH_CLI_SHEET_CAIRO_H
#define ATH_CLI_SHEET_CAIRO_H

#include "core/io/image.h"

enum { ATH_SHEET_COLUMNS_MAX = 32 };

typedef struct ath_sheet {
    const char *title;
    int64_t n;
    int32_t columns;           /* 1 to ATH_SHEET_COLUMNS_MAX */
    const ath_image *images;   /* [n], by rows; {0}: an empty place */
    const char *const *labels; /* [n]; NULL: none; longer than their picture, they are cut */
} ath_sheet;

/* Publishes it as PNG. ELIMIT where it would be larger than a picture may be. */
ATH_MUST ath_err ath_sheet_write(const ath_sheet *sheet, const char *path);

#endif
