/* What stock zlib does not survive, or does not promise: NULL lengths, streams of another library, use after the end,
 * errno. Run on ours only; prints nothing but "done". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define EXPECT(condition)                                               \
    do {                                                                \
        if (!(condition)) {                                             \
            fprintf(stderr, "line %d: not " #condition "\n", __LINE__); \
            return 1;                                                   \
        }                                                               \
    } while (0)

int main(void)
{
    static unsigned char a[300000], b[400000];
    uLongf len = sizeof b;
    z_stream s, t;
    long foreign[600];

    EXPECT(compress2(b, NULL, a, 5, 6) == Z_STREAM_ERROR);
    EXPECT(uncompress(b, NULL, a, 5) == Z_STREAM_ERROR);
    EXPECT(uncompress2(b, &len, a, NULL) == Z_STREAM_ERROR);
    len = 10;
    EXPECT(compress(NULL, &len, a, 5) == Z_STREAM_ERROR && len == 0);
    len = 10;
    EXPECT(compress(b, &len, NULL, 5) == Z_STREAM_ERROR);
    len = 10;
    EXPECT(uncompress(NULL, &len, a, 5) == Z_STREAM_ERROR);

    /* No operator, which is what a negative length gives (1.2.13 never returns). */
    EXPECT(crc32_combine_op(1, 2, 0) == 0 && crc32_combine_op(1, 2, crc32_combine_gen(-1)) == 0);

    /* Another zlib's state, in any content. */
    memset(foreign, 0x41, sizeof foreign);
    memset(&s, 0, sizeof s);
    EXPECT(deflateInit(&s, 6) == Z_OK);
    t = s;
    t.state = (struct internal_state *)foreign;
    EXPECT(deflate(&t, 0) == Z_STREAM_ERROR && deflateReset(&t) == Z_STREAM_ERROR && deflateEnd(&t) == Z_STREAM_ERROR);
    EXPECT(inflate(&t, 0) == Z_STREAM_ERROR && inflateReset2(&t, 15) == Z_STREAM_ERROR && inflateEnd(&t) == Z_STREAM_ERROR);
    t.state = (struct internal_state *)((char *)foreign + 1);
    EXPECT(deflate(&t, 0) == Z_STREAM_ERROR && inflateSync(&t) == Z_STREAM_ERROR);
    /* The wrong kind. */
    EXPECT(inflate(&s, 0) == Z_STREAM_ERROR && inflateBackEnd(&s) == Z_STREAM_ERROR && inflateEnd(&s) == Z_STREAM_ERROR);
    EXPECT(inflateSetDictionary(&s, a, 5) == Z_STREAM_ERROR && inflateMark(&s) == -65536);
    EXPECT(deflateCopy(&s, &s) != Z_OK);
    EXPECT(deflateEnd(&s) == Z_OK);
    EXPECT(deflateEnd(&s) == Z_STREAM_ERROR && deflateSetDictionary(&s, a, 4) == Z_STREAM_ERROR);

    /* errno stays as it was, whatever happens inside. */
    for (int round = 0; round < 3; round++) {
        errno = 1234;
        memset(&s, 0, sizeof s);
        EXPECT(deflateInit2(&s, 6, Z_DEFLATED, 31, 8, 0) == Z_OK);
        s.next_in = a;
        s.avail_in = sizeof a;
        s.next_out = b;
        s.avail_out = sizeof b;
        EXPECT(deflate(&s, Z_FINISH) == Z_STREAM_END && errno == 1234);
        unsigned packed = (unsigned)s.total_out;
        EXPECT(deflateEnd(&s) == Z_OK && errno == 1234);
        EXPECT(inflateInit2(&s, 47) == Z_OK && errno == 1234);
        s.next_in = b;
        s.avail_in = packed;
        s.next_out = a;
        s.avail_out = sizeof a;
        EXPECT(inflate(&s, 0) == Z_STREAM_END && errno == 1234);
        EXPECT(inflateEnd(&s) == Z_OK && errno == 1234);
        len = sizeof b;
        EXPECT(compress(b, &len, a, sizeof a) == Z_OK && errno == 1234);
        uLongf back = sizeof a;
        EXPECT(uncompress(a, &back, b, len) == Z_OK && errno == 1234);
        EXPECT(uncompress(a, &back, b, len / 2) != Z_OK && errno == 1234);
    }
    puts("done");
    return 0;
}
