/* Every gz* function with good, bad and hostile arguments, in the current folder. What it prints depends neither on
   compressed sizes nor on buffer sizes, so stock zlib and the drop-in form must print the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define SIZE 150000
static unsigned char data[SIZE], buffer[SIZE + 100];
static unsigned seed = 1;

static unsigned rnd(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % below;
}

/* One at a time: C does not say which argument is computed first. */
#define SAY(expression) printf(" %ld", (long)(expression))

static unsigned long sum(const void *start, size_t len) { return crc32(0, start, (unsigned)len); }

static void state(const char *what, gzFile f)
{
    int code = 99;
    const char *text = gzerror(f, &code);
    printf("then");
    printf(" [%s]", what);
    SAY(gztell(f));
    SAY(gzeof(f));
    SAY(code);
    printf(" [%s]", text ? text : "NULL");
    printf("\n");
}

static void spill(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(name, "wb");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file))
        exit(3);
}

static size_t slurp(const char *name)
{
    FILE *file = fopen(name, "rb");
    size_t len = file ? fread(buffer, 1, sizeof buffer, file) : 0;
    if (file)
        fclose(file);
    return len;
}

static void make(const char *name, const char *mode, size_t from, size_t len)
{
    gzFile f = gzopen(name, mode);
    if (!f || gzwrite(f, data + from, (unsigned)len) != (int)len || gzclose(f) != Z_OK)
        printf("make %s failed\n", name);
}

/* All of a file in pieces: length, checksum, how it ended. */
static void drain(const char *what, const char *name, const char *mode, unsigned piece, unsigned buf)
{
    gzFile f = gzopen(name, mode);
    if (!f) {
        printf("%s: no file\n", what);
        return;
    }
    if (buf)
        printf("buffer %d ", gzbuffer(f, buf));
    int direct = gzdirect(f), n;
    size_t len = 0;
    unsigned char *space = malloc(piece);
    unsigned long check = crc32(0, NULL, 0);
    while ((n = gzread(f, space, piece)) > 0) {
        check = crc32(check, space, (unsigned)n);
        len += (unsigned)n;
    }
    free(space);
    int code;
    const char *text = gzerror(f, &code);
    printf("then");
    printf(" [%s]", what);
    SAY(direct);
    SAY(gzdirect(f));
    SAY(len);
    SAY(check);
    SAY(n);
    SAY(code);
    printf(" [%s]", text);
    SAY(gzeof(f));
    printf("closed %d\n", gzclose(f));
}

/* Damaged: what was read before is not comparable, how it ends is. */
static void fails(const char *what, const char *name)
{
    gzFile f = gzopen(name, "rb");
    int n, code;
    while ((n = gzread(f, buffer, 1000)) > 0)
        ;
    const char *text = gzerror(f, &code);
    printf("%s: last %d error %d [%s] ", what, n, code, text);
    printf("again");
    SAY(gzread(f, buffer, 10));
    SAY(gzgetc(f));
    SAY(gzgets(f, (char *)buffer, 10) != NULL);
    SAY(gzseek(f, 5, SEEK_CUR) < 0);
    SAY(gzclose(f));
    printf("\n");
}

static int formatted(gzFile f, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = gzvprintf(f, format, arguments);
    va_end(arguments);
    return n;
}

static void modes(void)
{
    static const char *const all[] = { "", "b", "6", "rw", "r+", "w+", "wb9", "rT", "wT", "wbT3h", "a", "abR1", "wF", "wf", "e", "re",
                                       "wx", "ax", "zw", "r6", "wbe" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        unlink("mode");
        spill("mode", "plain", 5);
        errno = 0;
        gzFile f = gzopen("mode", all[i]);
        printf("mode %s: %d errno %d", all[i], f != NULL, errno);
        if (f)
            { printf("direct");
            SAY(gzdirect(f));
            SAY(gzclose(f)); }
        struct stat is;
        printf(" size %ld\n", stat("mode", &is) ? -1 : (long)is.st_size);
    }
    errno = 0;
    printf("missing");
    SAY(gzopen("no/such", "r") != NULL);
    SAY(errno);
    printf("\n");
    printf("dopen");
    SAY(gzdopen(-1, "r") != NULL);
    SAY(gzdopen(0, "q") != NULL);
    printf("\n");
    gzFile f = gzopen("mode", "re");
    int fd = open("mode", O_RDONLY);
    gzFile g = gzdopen(fd, "r");
    printf("cloexec %d\n", fcntl(fd, F_GETFD));
    printf("closed");
    SAY(gzclose_w(g));
    SAY(gzclose_r(g));
    SAY(fcntl(fd, F_GETFD));
    printf("\n");
    gzclose(f);
    umask(022);
    unlink("mode");
    gzclose(gzopen("mode", "w"));
    struct stat is;
    stat("mode", &is);
    printf("permissions %o, empty %ld\n", is.st_mode & 0777, (long)is.st_size);
    drain("empty member", "mode", "r", 100, 0);
}

static void nothing(void)
{
    int code = 5;
    char text[4];
    printf("NULL");
    SAY(gzbuffer(NULL, 9));
    SAY(gzsetparams(NULL, 1, 0));
    SAY(gzread(NULL, text, 1));
    SAY(gzfread(text, 1, 1, NULL));
    SAY(gzwrite(NULL, text, 1));
    SAY(gzfwrite(text, 1, 1, NULL));
    SAY(gzprintf(NULL, "x"));
    SAY(gzputs(NULL, "x"));
    SAY(gzgets(NULL, text, 3) != NULL);
    SAY(gzputc(NULL, 1));
    printf("then");
    SAY((gzgetc)(NULL));
    SAY(gzungetc(1, NULL));
    SAY(gzflush(NULL, 0));
    SAY(gzseek(NULL, 0, 0));
    SAY(gzrewind(NULL));
    SAY(gztell(NULL));
    SAY(gzoffset(NULL));
    SAY(gzeof(NULL));
    SAY(gzdirect(NULL));
    printf("then");
    SAY(gzclose(NULL));
    SAY(gzclose_r(NULL));
    SAY(gzclose_w(NULL));
    SAY(gzerror(NULL, &code) != NULL);
    SAY(code);
    printf("\n");
    gzclearerr(NULL);
}

static void writing(void)
{
    static const char *const all[] = { "wb", "wb0", "wb1", "wb9", "wb1h", "wb6R", "wb6F", "wb4f", "wbT", "ab" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (unsigned buf = 0; buf < 3; buf++) {
            unlink("file");
            seed = (unsigned)i * 5 + buf;
            gzFile f = gzopen("file", all[i]);
            if (buf)
                printf("buffer %d ", gzbuffer(f, buf == 1 ? 300 : 300000));
            size_t at = 0;
            int bad = 0;
            while (at < SIZE) {
                size_t n = rnd(5) ? rnd(300) : rnd(100000);
                n = n > SIZE - at ? SIZE - at : n;
                switch (rnd(5)) {
                case 0:
                    bad |= gzputc(f, data[at]) != data[at];
                    n = 1;
                    break;
                case 1:
                    bad |= gzfwrite(data + at, 1, n, f) != n;
                    break;
                case 2:
                    if (buf != 1 || n < 100) {
                        n = n > 100 ? 100 : n;
                        char text[101];
                        memcpy(text, data + at, n);
                        text[n] = 0;
                        n = strlen(text);
                        bad |= (rnd(2) ? gzprintf(f, "%s", text) : formatted(f, "%s", text)) != (int)n;
                        break;
                    }
                    /* fall through */
                default:
                    bad |= gzwrite(f, data + at, (unsigned)n) != (int)n;
                }
                at += n;
                if (!rnd(50))
                    bad |= gzflush(f, (int)rnd(4)) != Z_OK;
                if (!rnd(200))
                    bad |= gzflush(f, Z_FINISH) != Z_OK;
                if (!rnd(40) && i < 8)
                    bad |= gzsetparams(f, (int)rnd(10), (int)rnd(5)) != Z_OK;
            }
            state(all[i], f);
            printf("bad");
            SAY(bad);
            SAY(gzbuffer(f, 100));
            SAY(gzclose_w(f));
            printf("\n");
            drain(all[i], "file", "rb", 1 + rnd(100000), rnd(2) * 9000);
        }
    }
    gzFile f = gzopen("file", "wb");
    printf("wrong side");
    SAY(gzread(f, buffer, 1));
    SAY(gzgetc(f));
    SAY(gzungetc(1, f));
    SAY(gzgets(f, (char *)buffer, 9) != NULL);
    SAY(gzseek(f, -1, SEEK_CUR));
    SAY(gzrewind(f));
    printf("\n");
    printf("seek");
    SAY(gzseek(f, 70000, SEEK_SET));
    SAY(gzseek(f, 5, SEEK_CUR));
    SAY(gzseek(f, 0, SEEK_END));
    SAY(gzseek(f, 70001, SEEK_SET));
    SAY(gztell(f));
    printf("\n");
    printf("put");
    SAY(gzputs(f, "end"));
    SAY(gzputs(f, ""));
    SAY(gzwrite(f, "x", 0));
    SAY(gzprintf(f, "%s", ""));
    printf("\n");
    printf("back");
    SAY(gzseek(f, 3, SEEK_SET));
    SAY(gzwrite(f, "x", 0x80000000u));
    SAY(gzfwrite("x", 0, 5, f));
    SAY(gzfwrite("abcdef", 3, 2, f));
    printf("\n");
    state("refused", f);
    gzclearerr(f);
    printf("put");
    SAY(gzputs(f, "more"));
    SAY(gzfwrite("abcdef", 3, 2, f));
    SAY(gzflush(f, 5));
    SAY(gzflush(f, -1));
    printf("\n");
    printf("overflow %zu\n", gzfwrite("abcdef", (size_t)-1, 2, f));
    state("overflow", f);
    gzclearerr(f);
    gzseek(f, 100, SEEK_CUR);
    printf("close %d\n", gzclose(f));
    drain("zeros", "file", "r", 777, 0);
    for (unsigned buf = 0; buf < 2; buf++) {
        f = gzopen("file", "w");
        if (buf)
            gzbuffer(f, 100);
        for (int n = 97; n < 103; n++)
            printf("%d ", gzprintf(f, "%*d", n, 5));
        for (int n = 8189; n < 8195; n++)
            printf("%d ", gzprintf(f, "%*d", n, 5));
        printf("tell");
        SAY(gztell(f));
        SAY(gzclose(f));
        printf("\n");
        drain("printed", "file", "r", 777, 0);
    }
    f = gzopen("/dev/full", "wb");
    printf("full");
    SAY(gzwrite(f, data, 1000));
    SAY(gzflush(f, Z_SYNC_FLUSH));
    state("full", f);
    printf("more");
    SAY(gzwrite(f, data, 1000));
    SAY(gzputc(f, 1));
    SAY(gzputs(f, "x"));
    SAY(gzclose(f));
    printf("\n");
    f = gzopen("/dev/full", "wb");
    gzputs(f, "x");
    errno = 0;
    int code = gzclose(f);
    printf("full at close %d errno %d\n", code, errno);
}

static void reading(void)
{
    unlink("file");
    make("file", "wb", 0, 60000);
    make("file", "ab1", 60000, 0);
    make("file", "ab9", 60000, SIZE - 60000);
    for (unsigned piece = 1; piece < 1000000; piece = piece * 3 + rnd(100))
        drain("members", "file", "rb", piece, piece % 7 == 0 ? 0 : piece);
    spill("plain", data, SIZE);
    drain("plain", "plain", "rb", 5000, 0);
    drain("plain at once", "plain", "rb", SIZE, 0);
    spill("empty", data, 0);
    drain("empty", "empty", "rb", 50, 0);
    spill("one", "\x1f", 1);
    drain("one", "one", "rb", 50, 0);
    for (int what = 0; what < 2; what++) {
        const char *name = what ? "plain" : "file";
        gzFile f = gzopen(name, "rb");
        long at = 0;
        int bad = 0;
        unsigned long check = 0;
        seed = 77;
        for (int round = 0; round < 3000; round++) {
            int n = -7;
            switch (rnd(9)) {
            case 0:
                n = gzgetc(f);
                bad |= at < SIZE && n != data[at];
                at += n >= 0;
                break;
            case 1:
                n = (gzgetc)(f);
                at += n >= 0;
                break;
            case 2:
                n = gzgets(f, (char *)buffer, (int)rnd(300)) != NULL;
                if (n)
                    check += sum(buffer, strlen((char *)buffer));
                at = gztell(f);
                break;
            case 3:
                n = gzgetc(f);
                if (n >= 0)
                    n = gzungetc(n, f);
                break;
            case 4:
                n = (int)rnd(SIZE);
                n = (int)gzseek(f, n, SEEK_SET);
                at = n;
                break;
            case 5:
                n = (int)rnd(2000) - 1000;
                n = (int)gzseek(f, at + n >= SIZE ? 0 : n, SEEK_CUR);
                at = gztell(f);
                break;
            case 6:
                n = (int)gzfread(buffer, 7, rnd(300), f);
                at = gztell(f);
                break;
            case 7:
                n = rnd(30) ? -1 : gzrewind(f);
                if (!n)
                    at = 0;
                break;
            default:
                n = gzread(f, buffer, rnd(2) ? rnd(100) : rnd(50000));
                bad |= n > 0 && memcmp(buffer, data + at, (size_t)n) != 0;
                at += n > 0 ? n : 0;
            }
            check = check * 31 + (unsigned)n;
            if (gztell(f) != at || bad) {
                printf("then");
                printf(" [%s]", name);
                SAY(round);
                SAY(gztell(f));
                SAY(at);
                SAY(bad);
                printf("\n");
                break;
            }
            if (round % 500 == 0)
                printf("%s: round %d at %ld check %08lx eof %d\n", name, round, at, check & 0xffffffff, gzeof(f));
        }
        state(name, f);
        printf("wrong side");
        SAY(gzwrite(f, "x", 1));
        SAY(gzputc(f, 'x'));
        SAY(gzputs(f, "x"));
        SAY(gzprintf(f, "x"));
        SAY(gzflush(f, 0));
        SAY(gzsetparams(f, 1, 0));
        printf("\n");
        printf("far %ld ", (long)gzseek(f, SIZE + 50, SEEK_SET));
        printf("tell");
        SAY(gztell(f));
        SAY(gzread(f, buffer, 5));
        SAY(gztell(f));
        SAY(gzeof(f));
        printf("\n");
        printf("before");
        SAY(gzseek(f, -5, SEEK_SET));
        SAY(gzseek(f, -5, SEEK_END));
        SAY(gzclose(f));
        printf("\n");
    }
    gzFile f = gzopen("file", "rb");
    printf("unget first");
    SAY(gzungetc('b', f));
    SAY(gzungetc('a', f));
    SAY(gzungetc(-1, f));
    printf("read");
    SAY(gzread(f, buffer, 10));
    SAY(buffer[0]);
    SAY(buffer[1]);
    SAY(gztell(f));
    printf("\n");
    printf("too long %d\n", gzread(f, buffer, 0x80000000u));
    state("too long", f);
    gzclearerr(f);
    printf("overflow");
    SAY(gzfread(buffer, 0, 9, f));
    SAY(gzfread(buffer, (size_t)-1, 2, f));
    printf("\n");
    state("overflow", f);
    printf("stays");
    SAY(gzread(f, buffer, 1));
    SAY(gzgetc(f));
    printf("\n");
    gzclearerr(f);
    printf("goes %d\n", gzread(f, buffer, 1));
    printf("gets");
    SAY(gzgets(f, (char *)buffer, 0) != NULL);
    SAY(gzgets(f, (char *)buffer, 1) != NULL);
    SAY(gzgets(f, NULL, 5) != NULL);
    printf("\n");
    printf("close %d\n", gzclose(f));
    f = gzopen("file", "rb");
    gzbuffer(f, 16);
    int pushed = 0;
    while (pushed < 16 && gzungetc('x', f) == 'x')
        pushed++;
    printf("pushed %d ", pushed);
    state("full", f);
    gzclose(f);
    /* A file that grows. */
    spill("grows", "first\n", 6);
    f = gzopen("grows", "r");
    FILE *more = fopen("grows", "a");
    printf("grows");
    SAY(gzread(f, buffer, 6));
    SAY(gzgetc(f));
    fputs("second\n", more);
    fflush(more);
    printf(" eof %d", gzeof(f));
    gzclearerr(f);
    printf(" %d ", gzread(f, buffer, 50));
    fclose(more);
    state("grows", f);
    gzclose(f);
}

static void damage(void)
{
    unlink("good");
    make("good", "wb", 0, 100000);
    size_t len = slurp("good");
    unsigned char *good = malloc(len + 10);
    memcpy(good, buffer, len);
    for (size_t cut = 5; cut < len; cut += len / 7) {
        spill("bad", good, cut);
        fails("cut", "bad");
    }
    spill("bad", good, len - 1);
    drain("no last byte", "bad", "rb", 1000, 0);
    good[len - 8] ^= 1;
    spill("bad", good, len);
    fails("checksum", "bad");
    good[len - 8] ^= 1;
    good[len - 1] ^= 1;
    spill("bad", good, len);
    fails("length", "bad");
    good[len - 1] ^= 1;
    memcpy(good + len, "garbage", 7);
    spill("bad", good, len + 7);
    drain("garbage", "bad", "rb", 1000, 0);
    memset(good + len, 0, 7);
    spill("bad", good, len + 7);
    drain("padding", "bad", "rb", 1000, 0);
    memcpy(good + len, "\x1f\x8b\x08\x00\x00", 5);
    spill("bad", good, len + 5);
    drain("half a header", "bad", "rb", 1000, 0);
    good[10] = 7;
    spill("bad", good, len);
    fails("block type", "bad");
    free(good);
    gzFile f = gzopen(".", "r");
    printf("folder %d", f != NULL);
    if (f) {
        printf(" read %d ", gzread(f, buffer, 1));
        state("folder", f);
        printf("close %d\n", gzclose(f));
    }
}

static void pipes(void)
{
    int ends[2];
    if (pipe(ends))
        exit(3);
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        gzFile f = gzdopen(ends[1], "wb3");
        for (int i = 0; i < SIZE; i += 1000)
            gzwrite(f, data + i, 1000);
        _exit(gzclose(f) != Z_OK);
    }
    close(ends[1]);
    gzFile f = gzdopen(ends[0], "rb");
    int n;
    size_t len = 0;
    while ((n = gzread(f, buffer + len, 3333)) > 0)
        len += (size_t)n;
    printf("pipe");
    SAY(len);
    SAY(sum(buffer, len));
    SAY(gzseek(f, 1, SEEK_SET));
    SAY(gzrewind(f));
    printf("\n");
    int status;
    waitpid(child, &status, 0);
    printf("child %d close %d\n", status, gzclose(f));
    /* The caller has closed the descriptor behind our back. */
    int fd = open("plain", O_RDONLY);
    f = gzdopen(fd, "rb");
    close(fd);
    printf("closed: %d ", gzread(f, buffer, 10));
    errno = 0;
    int code = gzclose(f);
    printf("%d errno %d\n", code, errno);
}

static void append(const void *bytes, size_t len)
{
    FILE *file = fopen("grows", "ab");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file))
        exit(3);
}

/* A file that grows while it is read: its end stays its end until it is forgotten. */
static void growing(void)
{
    static unsigned char member[1000];
    z_stream s;
    memset(&s, 0, sizeof s);
    deflateInit2(&s, 6, Z_DEFLATED, 31, 8, 0);
    s.next_in = data;
    s.avail_in = 500;
    s.next_out = member;
    s.avail_out = sizeof member;
    deflate(&s, Z_FINISH);
    size_t len = s.total_out;
    deflateEnd(&s);
    for (int gzip = 0; gzip < 2; gzip++)
        for (int way = 0; way < 4; way++) {
            unlink("grows");
            append(gzip ? member : data, gzip ? len : 500);
            gzFile f = gzopen("grows", "rb");
            printf("growing %d %d", gzip, way);
            SAY(gzread(f, buffer, 1000));
            SAY(gzeof(f));
            append(gzip ? member : data, gzip ? len : 500);
            SAY(gzread(f, buffer, 100));
            SAY(gzgetc(f));
            SAY(gzgets(f, (char *)buffer, 10) != NULL);
            SAY(gzeof(f));
            if (way == 1)
                gzclearerr(f);
            if (way == 2)
                SAY(gzseek(f, 0, SEEK_CUR));
            if (way == 3)
                SAY(gzungetc('x', f));
            SAY(gzread(f, buffer, 100));
            SAY(gzread(f, buffer, 1000));
            SAY(sum(buffer, 100));
            printf("\n");
            state("grown", f);
            printf("close %d\n", gzclose(f));
        }
}

int main(void)
{
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(rnd(20) ? "words and other things\n"[i % 23] : (char)(32 + rnd(90)));
    modes();
    nothing();
    writing();
    reading();
    damage();
    pipes();
    growing();
    return 0;
}
