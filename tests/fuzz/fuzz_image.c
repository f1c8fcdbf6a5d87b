/* Any bytes as a picture: refused, or read with the size that the headers told. */
#include "core/io/image.h"
#include "tests/fuzz/fuzz.h"

enum { PIXELS_MAX = 1 << 20 }; /* a few bytes can ask for a gigabyte, and get it */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const unsigned how = (unsigned)n & (ATH_IMAGE_UPRIGHT | ATH_IMAGE_ALPHA);
    int32_t width = 0, height = 0;
    ath_image m = {0};

    if (ath_image_size_bytes("input", bytes, n, how, &width, &height)) return 0;
    ATH_ASSERT(width > 0 && width <= ATH_IMAGE_SIDE_MAX);
    ATH_ASSERT(height > 0 && height <= ATH_IMAGE_SIDE_MAX);
    if ((int64_t)width * height > PIXELS_MAX) return 0;
    if (ath_image_read_bytes("input", bytes, n, how, &m)) return 0;
    ATH_ASSERT(m.width == width && m.height == height && m.rgb);
    ATH_ASSERT(!m.alpha == !(how & ATH_IMAGE_ALPHA));
    ath_image_release(&m);
    return 0;
}
