/* One-shot: compress2 and uncompress of 8 MB, uncompress of damaged and truncated data, and a small output buffer. Prints
 * nothing when all is as zlib.h says. */
#include "work.h"

#define EXPECT(condition)                                                 \
    do {                                                                  \
        if (!(condition)) {                                               \
            fprintf(stderr, "line %d: not " #condition "\n", __LINE__);   \
            return 1;                                                     \
        }                                                                 \
    } while (0)

int main(void)
{
    uLong len = 8000000, bound = compressBound(len);
    unsigned char *plain = malloc(len), *packed = malloc(bound), *back = malloc(len);
    EXPECT(plain && packed && back);
    fill(plain, len, 42);

    for (int level = 1; level <= 9; level += 4) {
        uLongf packed_len = bound, back_len = len;
        EXPECT(compress2(packed, &packed_len, plain, len, level) == Z_OK && packed_len < len / 2);
        memset(back, 0, len);
        EXPECT(uncompress(back, &back_len, packed, packed_len) == Z_OK);
        EXPECT(back_len == len && memcmp(back, plain, len) == 0);

        uLong used = packed_len;
        back_len = len;
        EXPECT(uncompress2(back, &back_len, packed, &used) == Z_OK && used == packed_len && back_len == len);

        back_len = len - 1;
        EXPECT(uncompress(back, &back_len, packed, packed_len) == Z_BUF_ERROR);
        back_len = len;
        EXPECT(uncompress(back, &back_len, packed, packed_len / 2) == Z_DATA_ERROR);
        /* All output is there, only the trailer is short: zlib then says that the buffer is the matter. */
        back_len = len;
        EXPECT(uncompress(back, &back_len, packed, packed_len - 1) == Z_BUF_ERROR);
        packed[packed_len - 1] ^= 1;
        back_len = len;
        EXPECT(uncompress(back, &back_len, packed, packed_len) == Z_DATA_ERROR);
    }
    uLongf small = 10;
    EXPECT(compress2(packed, &small, plain, len, 6) == Z_BUF_ERROR);
    free(plain);
    free(packed);
    free(back);
    return 0;
}
