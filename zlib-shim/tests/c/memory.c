/* Memory that is not there: the n-th allocation of a scenario fails, or that and all after it, for every n. The answer is a
 * code, never a signal; and what is said to be complete is right. Prints nothing but "done". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static __thread int armed;
static int seen, failing, for_good;

static int fails(void)
{
    if (!armed)
        return 0;
    int n = seen++;
    if (n != failing && !(for_good && n > failing))
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t len) { return fails() ? NULL : __libc_malloc(len); }
void *calloc(size_t n, size_t len) { return fails() ? NULL : __libc_calloc(n, len); }
void *realloc(void *old, size_t len) { return fails() ? NULL : __libc_realloc(old, len); }
void *memalign(size_t align, size_t len) { return fails() ? NULL : __libc_memalign(align, len); }
void *aligned_alloc(size_t align, size_t len) { return fails() ? NULL : __libc_memalign(align, len); }
int posix_memalign(void **place, size_t align, size_t len)
{
    if (fails())
        return ENOMEM;
    *place = __libc_memalign(align, len);
    return *place ? 0 : ENOMEM;
}

/* Only calls of the library can fail. */
#define ARMED(call)                  \
    ({                               \
        armed = 1;                   \
        __typeof__(call) r_ = call;  \
        armed = 0;                   \
        r_;                          \
    })
#define WRONG(condition)                    \
    do {                                    \
        if (condition)                      \
            _exit(__LINE__ % 200 + 20);     \
    } while (0)

static unsigned char text[700000], packed[800000], gzip[800000], out[800000], back[800000];
static uLong packed_len;
static unsigned gzip_len;

/* All of `len` bytes in `out` is one stream of the first `expected` bytes of the text. */
static void check(int bits, unsigned len, unsigned expected)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    WRONG(inflateInit2(&s, bits) != Z_OK);
    s.next_in = out;
    s.avail_in = len;
    s.next_out = back;
    s.avail_out = sizeof back;
    WRONG(inflate(&s, Z_FINISH) != Z_STREAM_END || s.total_out != expected || memcmp(back, text, expected) || s.avail_in);
    inflateEnd(&s);
}

/* A stream in pieces; what had no memory is tried once more. */
static void compresses(int bits, int level, int mem, unsigned len, unsigned piece, unsigned room, int flush)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    if (ARMED(deflateInit2(&s, level, Z_DEFLATED, bits, mem, 0)) != Z_OK)
        return;
    s.next_in = text;
    s.next_out = out;
    int failures = 0, code = Z_OK;
    while (code != Z_STREAM_END && failures < 2) {
        unsigned left = len - (unsigned)s.total_in, space = (unsigned)(sizeof out - s.total_out);
        s.avail_in = left < piece ? left : piece;
        s.avail_out = space < room ? space : room;
        code = ARMED(deflate(&s, left <= piece ? Z_FINISH : flush));
        /* The one error that all callers look for. */
        WRONG(code == Z_STREAM_ERROR && strcmp(s.msg, "insufficient memory"));
        WRONG(code != Z_OK && code != Z_STREAM_END && code != Z_STREAM_ERROR && code != Z_BUF_ERROR);
        failures += code == Z_STREAM_ERROR;
    }
    if (code == Z_STREAM_END)
        check(bits, (unsigned)s.total_out, len);
    ARMED(deflateEnd(&s));
}

static void decompresses(int bits, const unsigned char *from, unsigned len, unsigned piece, unsigned room)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    if (ARMED(inflateInit2(&s, bits)) != Z_OK)
        return;
    s.next_in = (unsigned char *)from;
    s.next_out = back;
    int failures = 0, code = Z_OK;
    while (code != Z_STREAM_END && failures < 2) {
        unsigned left = len - (unsigned)s.total_in, space = (unsigned)(sizeof back - s.total_out);
        s.avail_in = left < piece ? left : piece;
        s.avail_out = space < room ? space : room;
        code = ARMED(inflate(&s, Z_NO_FLUSH));
        WRONG(code != Z_OK && code != Z_STREAM_END && code != Z_MEM_ERROR && code != Z_BUF_ERROR);
        failures += code == Z_MEM_ERROR;
    }
    WRONG(code == Z_STREAM_END && (s.total_out != sizeof text || memcmp(back, text, sizeof text)));
    ARMED(inflateEnd(&s));
}

static void functions_of_deflate(void)
{
    static unsigned char window[32768];
    z_stream s, t;
    uInt len = 0;
    gz_header head = {.name = (Bytef *)"a name that is not short", .comment = (Bytef *)"and a comment", .extra = text, .extra_len = 900};
    memset(&s, 0, sizeof s);
    if (ARMED(deflateInit2(&s, 6, Z_DEFLATED, 31, 8, 0)) != Z_OK)
        return;
    ARMED(deflateSetHeader(&s, &head));
    s.next_in = text;
    s.avail_in = 900;
    s.next_out = out;
    s.avail_out = 100;
    ARMED(deflate(&s, Z_NO_FLUSH));
    if (ARMED(deflateCopy(&t, &s)) == Z_OK)
        ARMED(deflateEnd(&t));
    s.avail_out = sizeof out - 1000;
    s.avail_in = 90000;
    ARMED(deflate(&s, Z_NO_FLUSH));
    ARMED(deflateParams(&s, 1, 2));
    if (ARMED(deflateCopy(&t, &s)) == Z_OK) {
        ARMED(deflatePrime(&t, 3, 1));
        ARMED(deflateGetDictionary(&t, window, &len));
        ARMED(deflateEnd(&t));
    }
    ARMED(deflateGetDictionary(&s, window, &len));
    ARMED(deflateReset(&s));
    ARMED(deflateSetDictionary(&s, text, 100));
    s.avail_in = 300;
    ARMED(deflate(&s, Z_FINISH));
    ARMED(deflateEnd(&s));
}

static void functions_of_inflate(void)
{
    static unsigned char window[32768];
    z_stream s, t;
    uInt len = 0;
    memset(&s, 0, sizeof s);
    if (ARMED(inflateInit(&s)) != Z_OK)
        return;
    for (unsigned piece = 100; piece < packed_len; piece *= 30) {
        s.next_in = packed;
        s.avail_in = piece;
        s.next_out = back;
        s.avail_out = piece;
        ARMED(inflate(&s, Z_NO_FLUSH));
        if (ARMED(inflateCopy(&t, &s)) == Z_OK) {
            ARMED(inflateMark(&t));
            ARMED(inflateGetDictionary(&t, window, &len));
            ARMED(inflateSync(&t));
            ARMED(inflateEnd(&t));
        }
        ARMED(inflateReset(&s));
    }
    /* Damage that is only found in the middle of a large buffer, and read again for its name. */
    memcpy(out, packed, packed_len);
    for (unsigned i = 3; i < packed_len; i += 50)
        out[i] ^= 0x55;
    s.next_in = out;
    s.avail_in = (unsigned)packed_len;
    s.avail_out = sizeof back - 10000;
    ARMED(inflate(&s, Z_NO_FLUSH));
    ARMED(inflateReset2(&s, 31));
    ARMED(inflatePrime(&s, 3, 1));
    ARMED(inflateEnd(&s));
    if (ARMED(inflateBackInit(&s, 15, window)) == Z_OK)
        ARMED(inflateBackEnd(&s));
}

static void one_shots(void)
{
    uLong len = sizeof out;
    int code = ARMED(compress(out, &len, text, sizeof text));
    WRONG(code != Z_OK && code != Z_MEM_ERROR);
    if (code == Z_OK)
        check(15, (unsigned)len, sizeof text);
    len = sizeof out;
    code = ARMED(compress2(out, &len, text, 1000, 9));
    WRONG(code != Z_OK && code != Z_MEM_ERROR);
    len = sizeof back;
    code = ARMED(uncompress(back, &len, packed, packed_len));
    WRONG(code != Z_MEM_ERROR && (code != Z_OK || len != sizeof text || memcmp(back, text, len)));
    len = 100;
    code = ARMED(uncompress(back, &len, packed, packed_len));
    WRONG(code != Z_MEM_ERROR && code != Z_BUF_ERROR);
}

static char name[60];

static void gz_writes(const char *mode)
{
    int good = 1;
    gzFile f = ARMED(gzopen(name, mode));
    if (!f)
        return;
    good &= ARMED(gzwrite(f, text, 100000)) == 100000;
    good &= ARMED(gzprintf(f, "%s", "abc")) == 3;
    good &= ARMED(gzputs(f, "hello")) == 5;
    good &= ARMED(gzflush(f, Z_SYNC_FLUSH)) == Z_OK;
    good &= ARMED(gzseek(f, 1000, SEEK_CUR)) == 101008;
    good &= ARMED(gzsetparams(f, 1, 0)) == Z_OK || strchr(mode, 'T');
    good &= ARMED(gzwrite(f, text, 400000)) == 400000;
    int code;
    ARMED(gzerror(f, &code));
    good &= ARMED(gzclose(f)) == Z_OK;
    if (!good)
        return;
    f = gzopen(name, "rb");
    WRONG(gzread(f, back, sizeof back) != 501008 || memcmp(back, text, 100000) || memcmp(back + 101008, text, 400000));
    gzclose(f);
}

static void gz_reads(const unsigned char *from, unsigned len)
{
    FILE *file = fopen(name, "wb");
    WRONG(!file || fwrite(from, 1, len, file) != len || fclose(file));
    gzFile f = ARMED(gzopen(name, "rb"));
    if (f) {
        int code, some = ARMED(gzread(f, back, 1000));
        WRONG(some > 0 && from == gzip && memcmp(back, text, some));
        ARMED(gzungetc('x', f));
        ARMED(gzgets(f, (char *)back, 300));
        ARMED(gzread(f, back, sizeof back));
        ARMED(gzerror(f, &code));
        ARMED(gzrewind(f));
        ARMED(gzread(f, back, 10));
        ARMED(gzread(f, NULL, 1u << 31));
        ARMED(gzerror(f, &code));
        ARMED(gzclose(f));
    }
    int fd = open(name, O_RDONLY);
    f = ARMED(gzdopen(fd, "rb"));
    /* Without memory it stays the caller's. */
    WRONG(!f && close(fd));
    if (f)
        ARMED(gzclose(f));
    f = ARMED(gzopen("/nonexistent/file", "rb"));
    WRONG(f != NULL);
}

enum { SCENARIOS = 17 };

static void scenario(int which)
{
    switch (which) {
    case 0: compresses(15, 6, 8, 30000, 5000, 1000000, Z_SYNC_FLUSH); break;
    case 1: compresses(31, 6, 8, sizeof text, sizeof text, 1000, Z_FINISH); break;
    case 2: compresses(-15, 1, 9, 300, 1000, 1000, Z_FINISH); break;
    case 3: compresses(31, 9, 7, 0, 1000, 10, Z_FINISH); break;
    case 4: compresses(12, 3, 5, 200000, 70000, 50000, Z_NO_FLUSH); break;
    case 5: compresses(15, 6, 8, 2000, 100, 7, Z_NO_FLUSH); break;
    case 6: decompresses(47, packed, (unsigned)packed_len, 1000000, 100000); break;
    case 7: decompresses(31, gzip, gzip_len, 333, 1000000); break;
    case 8: decompresses(15, packed, (unsigned)packed_len, 100000, 1000000); break;
    case 9: functions_of_deflate(); break;
    case 10: functions_of_inflate(); break;
    case 11: one_shots(); break;
    case 12: gz_writes("wb"); break;
    case 13: gz_writes("wT"); break;
    case 14: gz_writes("ab"); break;
    case 15: gz_reads(gzip, gzip_len); break;
    case 16: gz_reads(text, 300000); break;
    }
}

/* What a process sets up once is there, and no idle engine is left from before. */
static void settle(void)
{
    static z_stream deflates, inflates;
    uLong len = sizeof out, plain = sizeof back;
    WRONG(compress(out, &len, text, 1000) != Z_OK || uncompress(back, &plain, out, len) != Z_OK);
    deflateInit(&deflates, 6);
    deflates.next_in = text;
    deflates.avail_in = 1000;
    deflates.next_out = out;
    deflates.avail_out = sizeof out;
    WRONG(deflate(&deflates, Z_SYNC_FLUSH) != Z_OK);
    inflateInit(&inflates);
    inflates.next_in = packed;
    inflates.avail_in = 1000;
    inflates.next_out = back;
    inflates.avail_out = sizeof back;
    WRONG(inflate(&inflates, Z_NO_FLUSH) != Z_OK);
}

int main(void)
{
    enum { ALL_WELL = 7, MOST = 2000 };
    int failed = 0;
    sprintf(name, "memory.%d", (int)getpid());
    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = "some text, some more text\n"[(i * 7 + i / 91) % 26] ^ (i % 101 == 0 ? i / 101 % 32 : 0);
    packed_len = sizeof packed;
    compress(packed, &packed_len, text, sizeof text);
    z_stream s;
    memset(&s, 0, sizeof s);
    deflateInit2(&s, 6, Z_DEFLATED, 31, 8, 0);
    s.next_in = text;
    s.avail_in = sizeof text;
    s.next_out = gzip;
    s.avail_out = sizeof gzip;
    deflate(&s, Z_FINISH);
    gzip_len = (unsigned)s.total_out;
    deflateEnd(&s);
    for (int which = 0; which < SCENARIOS; which++) {
        for (for_good = 0; for_good < 2; for_good++) {
            int status = 0;
            for (failing = 0; failing < MOST && status != ALL_WELL << 8; failing++) {
                unlink(name);
                pid_t child = fork();
                if (!child) {
                    alarm(60);
                    settle();
                    seen = 0;
                    scenario(which);
                    _exit(seen > failing ? 0 : ALL_WELL);
                }
                waitpid(child, &status, 0);
                if (status && status != ALL_WELL << 8) {
                    printf("scenario %d, allocation %d, for good %d: status %x\n", which, failing, for_good, status);
                    fflush(stdout);
                    failed = 1;
                }
            }
            if (failing == MOST) {
                printf("scenario %d never ends\n", which);
                fflush(stdout);
                failed = 1;
            }
        }
    }
    unlink(name);
    puts(failed ? "failed" : "done");
    return failed;
}
