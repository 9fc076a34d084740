/* chunks encode|decode FOLDER FIRST LAST: streams FIRST to LAST, each with its own random parameters, input pieces, output
 * rooms, flushes and functions in between. "encode" writes FOLDER/n; "decode" reads it back in random pieces. Both print
 * number, windowBits, length and CRC of each plain text: the same, whichever library did which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MOST 3000000

static unsigned char plain[MOST], packed[2 * MOST + 100000], back[MOST + 1];
static unsigned long long state;

static unsigned rnd(unsigned limit)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state >> 33) % (limit ? limit : 1);
}

/* Small numbers as often as large ones. */
static unsigned len(unsigned limit) { return rnd((limit >> rnd(20)) + 1); }

static void fail(const char *what, unsigned n, int code)
{
    printf("stream %u: %s %d\n", n, what, code);
    exit(1);
}

static unsigned fill(void)
{
    unsigned size = len(MOST), kind = rnd(4), at = 0;
    while (at < size) {
        unsigned piece = 1 + rnd(300);
        if (piece > size - at)
            piece = size - at;
        unsigned copying = at > 40000 && kind && rnd(3), from = at - 1 - rnd(at < 40000 ? 1 : 40000);
        for (unsigned i = 0; i < piece; i++)
            plain[at + i] = copying     ? plain[from + i % (at - from)]
                            : kind == 1 ? (unsigned char)"etaoin shrdlu"[rnd(13)]
                                        : (unsigned char)rnd(256);
        at += piece;
    }
    return size;
}

/* Same number of random decisions for every library, so that plain text and parameters agree. */
static void parameters(unsigned n, unsigned *size, int *bits, int *level, int *mem, int *strategy)
{
    state = n * 0x9e3779b97f4a7c15ull;
    rnd(1);
    *size = fill();
    unsigned wrap = rnd(3), window = rnd(2) ? 15 : 9 + rnd(7);
    *bits = wrap == 0 ? -(int)window : wrap == 1 ? (int)window : (int)window + 16;
    *level = rnd(3) ? (int)rnd(11) - 1 : 6;
    *mem = rnd(2) ? 8 : 1 + (int)rnd(9);
    *strategy = rnd(3) ? 0 : (int)rnd(5);
}

static void encode(const char *folder, unsigned n)
{
    unsigned size;
    int bits, level, mem, strategy, code;
    parameters(n, &size, &bits, &level, &mem, &strategy);
    unsigned flushing = rnd(3) ? 0 : rnd(60), exotic = rnd(3) ? 0 : 5;
    unsigned piece = 1 << rnd(22), room = 1 << rnd(22), calls = 0;
    if (piece < size / 4000)
        piece = size / 4000 + 1;
    if (room < size / 4000)
        room = size / 4000 + 1;
    z_stream s;
    memset(&s, 0, sizeof s);
    if ((code = deflateInit2(&s, level, Z_DEFLATED, bits, mem, strategy)))
        fail("init", n, code);
    uLong bound = deflateBound(&s, size);
    s.next_in = plain;
    s.next_out = packed;
    for (;;) {
        if (exotic && rnd(100) < exotic) {
            z_stream copy;
            switch (rnd(3)) {
            case 0:
                s.avail_in = 0;
                s.avail_out = rnd(room);
                code = deflateParams(&s, (int)rnd(10), (int)rnd(5));
                if (code && code != Z_BUF_ERROR && s.next_in != plain + size)
                    fail("params", n, code);
                break;
            case 1:
                if ((code = deflateCopy(&copy, &s)))
                    fail("copy", n, code);
                deflateEnd(&s);
                s = copy;
                /* The state knows its stream by address: copy back the proper way. */
                if ((code = deflateCopy(&s, &copy)))
                    fail("copy back", n, code);
                deflateEnd(&copy);
                break;
            default:
                if ((code = deflateTune(&s, 8, 16, 128, 128)))
                    fail("tune", n, code);
            }
        }
        unsigned left = (unsigned)(plain + size - s.next_in), give = rnd(piece) + (calls++ % 2);
        if (give > left)
            give = left;
        s.avail_in = give;
        s.avail_out = 1 + rnd(room);
        if (s.avail_out > packed + sizeof packed - s.next_out)
            fail("grows without end", n, 0);
        int flush = give == left ? Z_FINISH : rnd(100) < flushing ? 1 + (int)rnd(3) : rnd(200) < flushing ? Z_BLOCK : Z_NO_FLUSH;
        code = deflate(&s, flush);
        if (code == Z_STREAM_END)
            break;
        if (code != Z_OK && code != Z_BUF_ERROR)
            fail("deflate", n, code);
    }
    unsigned long total = s.next_out - packed;
    if (s.next_in != plain + size || (s.total_out != total && !exotic))
        fail("totals", n, (int)s.total_out);
    if (!flushing && !exotic && total > bound)
        fail("beyond deflateBound by", n, (int)(total - bound));
    if ((code = deflateEnd(&s)))
        fail("end", n, code);
    char name[4096];
    snprintf(name, sizeof name, "%s/%u", folder, n);
    FILE *file = fopen(name, "wb");
    if (!file || fwrite(packed, 1, total, file) != total || fclose(file))
        fail("write", n, 0);
}

static void decode(const char *folder, unsigned n)
{
    unsigned size, got = 0;
    int bits, level, mem, strategy, code;
    parameters(n, &size, &bits, &level, &mem, &strategy);
    char name[4096];
    snprintf(name, sizeof name, "%s/%u", folder, n);
    FILE *file = fopen(name, "rb");
    if (!file)
        fail("open", n, 0);
    unsigned total = (unsigned)fread(packed, 1, sizeof packed, file);
    fclose(file);
    memset(packed + total, 0xa5, 100);
    unsigned piece = 1 << rnd(22), room = 1 << rnd(22);
    z_stream s;
    memset(&s, 0, sizeof s);
    if ((code = inflateInit2(&s, bits > 0 && rnd(2) ? 47 : bits)))
        fail("init", n, code);
    s.next_in = packed;
    s.next_out = back;
    do {
        /* Bytes after the end must stay. */
        unsigned left = (unsigned)(packed + total + 100 - s.next_in), space = (unsigned)(back + sizeof back - s.next_out);
        s.avail_in = 1 + rnd(piece);
        if (s.avail_in > left)
            s.avail_in = left;
        s.avail_out = 1 + rnd(room);
        if (s.avail_out > space)
            s.avail_out = space;
        code = inflate(&s, (int)rnd(7));
    } while (code == Z_OK || (code == Z_BUF_ERROR && s.next_out < back + sizeof back && s.next_in < packed + total));
    got = (unsigned)(s.next_out - back);
    if (code != Z_STREAM_END || s.next_in != packed + total || got != size || memcmp(back, plain, size))
        fail("inflate", n, code);
    if (bits > 0 && s.adler != (bits > 15 ? crc32(0, plain, size) : adler32(1, plain, size)))
        fail("adler", n, 0);
    inflateEnd(&s);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    for (unsigned n = (unsigned)atoi(argv[3]); n <= (unsigned)atoi(argv[4]); n++) {
        (argv[1][0] == 'e' ? encode : decode)(argv[2], n);
        unsigned size;
        int bits, level, mem, strategy;
        parameters(n, &size, &bits, &level, &mem, &strategy);
        printf("%u %d %u %lx\n", n, bits, size, crc32(0, plain, size));
    }
    return 0;
}
