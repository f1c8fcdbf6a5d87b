/* Apart from the kernels, and fast in every build: most of what they do on the host is done here. */
#include "tests/cuda/shim_tensor.h"

namespace
{

enum { WARP = 32 };

struct fragments {
    uint32_t a[4], b[2];
};

float half_of(uint32_t pair, int i)
{
    return __uint_as_float(i ? pair & 0xffff0000u : pair << 16);
}

/* Row `row` of A and column `column` of B: a quad of lanes holds either. */
void gather_a(float x[16], int row, int inner)
{
    for (int k = 0; k < inner; k++) {
        const fragments *f =
            static_cast<const fragments *>(shim_slot_of((unsigned)(row % 8 * 4 + k % 8 / 2)));
        x[k] = half_of(f->a[row / 8 + k / 8 * 2], k % 2);
    }
}

void gather_b(float x[16], int column, int inner)
{
    for (int k = 0; k < inner; k++) {
        const fragments *f =
            static_cast<const fragments *>(shim_slot_of((unsigned)(column * 4 + k % 8 / 2)));
        x[k] = half_of(f->b[k / 8], k % 2);
    }
}

} // namespace

void shim_mma(float c[4], const uint32_t *a, const uint32_t *b, int inner)
{
    const int lane = (int)threadIdx.x % WARP;
    float rows[2][16], columns[2][16];
    fragments mine = {};

    memcpy(mine.a, a, (size_t)inner);
    memcpy(mine.b, b, (size_t)inner / 2);
    memcpy(shim_slot(), &mine, sizeof mine);
    shim_sync_warp(~0u);
    for (int i = 0; i < 2; i++) {
        gather_a(rows[i], lane / 4 + 8 * i, inner);
        gather_b(columns[i], lane % 4 * 2 + i, inner);
    }
    for (int i = 0; i < 4; i++) {
        double sum = 0;
        for (int k = 0; k < inner; k++) sum += (double)rows[i / 2][k] * (double)columns[i % 2][k];
        c[i] = (float)((double)c[i] + sum);
    }
}

void shim_deal(uint32_t *r, int n, bool is_flipped)
{
    const unsigned lane = threadIdx.x % WARP, part = lane / 4, pair = lane % 4 * 2;

    shim_sync_warp(~0u);
    for (unsigned i = 0; i < (unsigned)n; i++) {
        uint16_t x[2];
        for (unsigned j = 0; j < 2; j++) {
            const unsigned row = is_flipped ? pair + j : part,
                           column = is_flipped ? part : pair + j;
            x[j] = static_cast<const uint16_t *>(shim_slot_of(i * 8 + row))[column];
        }
        memcpy(&r[i], x, sizeof x);
    }
}
