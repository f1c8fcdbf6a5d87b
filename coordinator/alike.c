#include "coordinator/alike.h"

enum { COLUMNS = 9, ROWS = 8 };

/* Brightness of one place: the mean over its part of the picture (a part of none takes one pixel). */
static uint64_t brightness(const ath_image *m, int column, int row)
{
    int64_t x0 = (int64_t)m->width * column / COLUMNS,
            x1 = (int64_t)m->width * (column + 1) / COLUMNS;
    int64_t y0 = (int64_t)m->height * row / ROWS, y1 = (int64_t)m->height * (row + 1) / ROWS;
    uint64_t sum = 0;

    if (x1 == x0) x1 = x0 + 1;
    if (y1 == y0) y1 = y0 + 1;
    for (int64_t y = y0; y < y1; y++) {
        const uint8_t *p = m->rgb + 3 * (y * m->width + x0);
        for (int64_t x = x0; x < x1; x++, p += 3) sum += 299u * p[0] + 587u * p[1] + 114u * p[2];
    }
    return sum / (uint64_t)((x1 - x0) * (y1 - y0));
}

uint64_t ath_alike_hash(const ath_image *image)
{
    uint64_t hash = 0;

    for (int row = 0; row < ROWS; row++) {
        uint64_t left = brightness(image, 0, row);
        for (int column = 1; column < COLUMNS; column++) {
            uint64_t right = brightness(image, column, row);
            hash = hash << 1 | (left < right);
            left = right;
        }
    }
    return hash;
}

int ath_alike_distance(uint64_t a, uint64_t b)
{
    int n = 0;

    for (uint64_t d = a ^ b; d; d &= d - 1) n++;
    return n;
}
