/* What gz* of zlib 1.3.2 do and those of 1.2.13 do not; every line says what must be. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

static int failed;

static void must(const char *what, int holds)
{
    if (!holds) {
        printf("not so: %s (errno %d)\n", what, errno);
        failed = 1;
    }
}
#define MUST(expression) must(#expression, (expression))

static unsigned char packed[400000], plain[300000], back[300100];

static void spill(const void *bytes, size_t len)
{
    FILE *file = fopen("modern", "wb");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file))
        exit(3);
}

/* Pages touched so far. */
static long pages(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* A large buffer costs what comes to lie in it. */
static void large_buffers(void)
{
    enum { LARGE = 200 << 20, LIMIT = LARGE / 4096 / 8 };
    static const char *const modes[] = {"wb", "wT"};
    for (int i = 0; i < 2; i++) {
        long before = pages();
        gzFile f = gzopen("modern", modes[i]);
        MUST(gzbuffer(f, LARGE) == 0);
        for (int line = 0; line < 200; line++)
            MUST(gzprintf(f, "line %d\n", line) > 6);
        MUST(gzclose(f) == Z_OK);
        f = gzopen("modern", "rb");
        MUST(gzbuffer(f, LARGE) == 0 && gzgetc(f) == 'l' && gzungetc('x', f) == 'x' && gzungetc('y', f) == 'y');
        char line[20];
        MUST(gzgets(f, line, sizeof line) && !strcmp(line, "yxine 0\n"));
        while (gzgets(f, line, sizeof line))
            ;
        MUST(!strcmp(line, "line 199\n") && gzeof(f) && gzclose(f) == Z_OK);
        must("few pages touched", pages() - before < LIMIT);
    }
}

int main(void)
{
    large_buffers();

    char text[50];
    int n, code;
    /* G: gzip or nothing. */
    MUST(gzopen("modern", "wG") == NULL && gzopen("modern", "aG") == NULL);
    spill("no gzip stream", 14);
    gzFile f = gzopen("modern", "rG");
    n = gzread(f, text, 50);
    MUST(n == -1 && gzdirect(f) == 0);
    gzerror(f, &code);
    MUST(code == Z_DATA_ERROR);
    gzclose(f);
    /* Two bytes of magic are not enough. */
    spill("\x1f\x8b text", 7);
    f = gzopen("modern", "r");
    MUST(gzdirect(f) == 1 && gzread(f, text, 50) == 7 && gzclose(f) == Z_OK);
    /* What came before an error is given out, then the error. */
    unsigned state = 1;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (unsigned char)((state = state * 1103515245u + 12345u) >> 16);
    f = gzopen("modern", "wb");
    gzwrite(f, plain, sizeof plain);
    gzclose(f);
    FILE *file = fopen("modern", "rb");
    size_t len = fread(packed, 1, sizeof packed, file);
    fclose(file);
    packed[len - 8] ^= 1;
    spill(packed, len);
    f = gzopen("modern", "rb");
    MUST(gzread(f, back, sizeof back) == sizeof plain && !memcmp(back, plain, sizeof plain));
    MUST(gzread(f, back, 1) == -1 && !strcmp(gzerror(f, &code), "modern: incorrect data check") && code == Z_DATA_ERROR);
    gzclose(f);
    /* N: what would block says so, and can be tried again. */
    packed[len - 8] ^= 1;
    int ends[2];
    MUST(!pipe(ends));
    f = gzdopen(ends[0], "rN");
    MUST(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    errno = 0;
    n = gzread(f, back, 100);
    MUST(n == -1 && errno == EAGAIN && !gzeof(f));
    MUST(write(ends[1], packed, 30000) == 30000);
    n = gzread(f, back, 100);
    MUST(n == 100 && !memcmp(back, plain, 100));
    size_t have = 100;
    while ((n = gzread(f, back + have, 3000)) > 0)
        have += (size_t)n;
    MUST(n == -1 && errno == EAGAIN && have > 25000);
    for (size_t at = 30000; at < len; at += 30000) {
        size_t piece = len - at < 30000 ? len - at : 30000;
        MUST(write(ends[1], packed + at, piece) == (ssize_t)piece);
        while ((n = gzread(f, back + have, 3000)) > 0)
            have += (size_t)n;
    }
    close(ends[1]);
    MUST(gzread(f, back + have, 50) == 0 && have == sizeof plain && !memcmp(back, plain, have) && gzclose(f) == Z_OK);
    /* One byte at least can be pushed back in front of a full buffer, and a bufferful in front of nothing. */
    spill(plain, sizeof plain);
    f = gzopen("modern", "rb");
    gzbuffer(f, 64);
    for (n = 0; n < 128 && gzungetc('x', f) == 'x'; n++)
        ;
    MUST(n == 128 && gztell(f) == -128);
    MUST(gzread(f, back, 228) == 228 && back[127] == 'x' && !memcmp(back + 128, plain, 100));
    MUST(gzseek(f, 1000, SEEK_SET) == 1000 && gzungetc('y', f) == 'y' && gzgetc(f) == 'y' && gzgetc(f) == plain[1000]);
    gzclose(f);
    /* A writer whose pipe is full. */
    MUST(!pipe(ends));
    f = gzdopen(ends[1], "wbN0");
    size_t taken = 0;
    while ((n = gzwrite(f, plain, sizeof plain)) == sizeof plain && taken < 100000000)
        taken += (size_t)n;
    gzerror(f, &code);
    MUST(n < (int)sizeof plain && errno == EAGAIN && code == Z_ERRNO);
    close(ends[0]);
    gzclose(f);
    /* Functions that no older zlib has. */
    static const char *const names[] = { "deflateUsed", "deflateBound_z", "compressBound_z", "compress_z", "compress2_z", "uncompress_z", "uncompress2_z" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        must(names[i], dlsym(RTLD_DEFAULT, names[i]) != NULL);
    MUST(!strcmp(zlibVersion(), "1.3.2"));
    puts(failed ? "failed" : "done");
    return failed;
}
