/* CRC-32C gives the values of RFC 3720, B.4, in one piece and in two. */
#include "core/crc32c.h"
#include "tests/harness.h"

int main(void)
{
    uint8_t bytes[4][32];
    static const uint32_t wanted[4] = {0x8a9136aa, 0x62a8ab43, 0x46dd794e, 0x113fdb5c};

    for (int i = 0; i < 32; i++) {
        bytes[0][i] = 0;
        bytes[1][i] = 0xff;
        bytes[2][i] = (uint8_t)i;
        bytes[3][i] = (uint8_t)(31 - i);
    }
    ath_test_begin("RFC 3720");
    for (int k = 0; k < 4; k++) {
        CHECK_EQ(ath_crc32c(0, bytes[k], 32), wanted[k]);
        for (size_t cut = 0; cut <= 32; cut++)
            CHECK_EQ(ath_crc32c(ath_crc32c(0, bytes[k], cut), bytes[k] + cut, 32 - cut), wanted[k]);
    }
    CHECK_EQ(ath_crc32c(0, "123456789", 9), 0xe3069283);
    return ath_test_end();
}
