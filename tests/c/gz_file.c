/* gz_file PLAIN PACKED BACK: packs with gzwrite, reads with gzread, in pieces of many sizes. Prints nothing when all is
 * as zlib.h says. */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

static unsigned char piece[200000];

#define EXPECT(condition)                                                 \
    do {                                                                  \
        if (!(condition)) {                                               \
            fprintf(stderr, "line %d: not " #condition "\n", __LINE__);   \
            return 1;                                                     \
        }                                                                 \
    } while (0)

int main(int argc, char **argv)
{
    EXPECT(argc == 4);
    FILE *plain = fopen(argv[1], "rb"), *back = fopen(argv[3], "wb");
    gzFile packed = gzopen(argv[2], "wb6");
    EXPECT(plain && back && packed);
    size_t len;
    for (unsigned round = 0; (len = fread(piece, 1, 1 + round * 7919 % sizeof piece, plain)) > 0; round++)
        EXPECT(gzwrite(packed, piece, (unsigned)len) == (int)len);
    EXPECT(gzclose(packed) == Z_OK);

    packed = gzopen(argv[2], "rb");
    EXPECT(packed);
    int got;
    for (unsigned round = 0; (got = gzread(packed, piece, 1 + round * 7919 % sizeof piece)) > 0; round++)
        EXPECT(fwrite(piece, 1, (size_t)got, back) == (size_t)got);
    EXPECT(got == 0 && gzeof(packed) && gzclose(packed) == Z_OK);
    EXPECT(fclose(plain) == 0 && fclose(back) == 0);
    return 0;
}
