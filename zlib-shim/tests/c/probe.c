/* Return codes, fields and messages of every call in situations where programs rely on them. The same output is expected
 * from stock zlib and with the shim preloaded. Nothing printed may depend on the compressed size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static unsigned char text[200000], packed[400000], plain[400000], spare[400000];

static const char *named(const char *message) { return message ? message : "-"; }

#define SHOW(title, code) printf("%-52s %d\n", title, (int)(code))
#define MESSAGE(title, s) printf("%-52s %s\n", title, named((s).msg))

static void begin_deflate(z_stream *s, int level, int bits)
{
    memset(s, 0, sizeof *s);
    SHOW("deflateInit2", deflateInit2(s, level, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY));
    s->next_in = text;
    s->next_out = packed;
    s->avail_out = sizeof packed;
}

static void begin_inflate(z_stream *s, int bits, unsigned len)
{
    memset(s, 0, sizeof *s);
    SHOW("inflateInit2", inflateInit2(s, bits));
    s->next_in = packed;
    s->avail_in = len;
    s->next_out = plain;
    s->avail_out = sizeof plain;
}

static unsigned pack(int bits, unsigned len)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    deflateInit2(&s, 6, Z_DEFLATED, bits, 8, 0);
    s.next_in = text;
    s.avail_in = len;
    s.next_out = packed;
    s.avail_out = sizeof packed;
    deflate(&s, Z_FINISH);
    deflateEnd(&s);
    return (unsigned)s.total_out;
}

static void versions(void)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    SHOW("init: version NULL", deflateInit_(&s, 6, NULL, sizeof s));
    SHOW("init: version 2", deflateInit_(&s, 6, "2.0", sizeof s));
    SHOW("init: version 1.x", deflateInit_(&s, 6, "1.x-anything", sizeof s));
    SHOW("end", deflateEnd(&s));
    SHOW("init: size", deflateInit_(&s, 6, "1.2", sizeof s - 1));
    SHOW("init: version first, then NULL", deflateInit_(NULL, 6, "3", sizeof s));
    SHOW("init: NULL", deflateInit_(NULL, 6, "1", sizeof s));
    SHOW("inflate init: version", inflateInit_(&s, "0.9", sizeof s));
    SHOW("inflate init: size", inflateInit_(&s, "1", 0));
    SHOW("inflate init: NULL", inflateInit_(NULL, "1", sizeof s));
    printf("zlibVersion %s\n", zlibVersion());
    printf("zlibCompileFlags %lx\n", zlibCompileFlags() & 0xff);
    for (int code = 2; code >= -6; code--)
        printf("zError(%d) \"%s\"\n", code, zError(code));
}

static void window_bits(void)
{
    for (int bits = -17; bits < 50; bits++) {
        z_stream s;
        memset(&s, 0, sizeof s);
        int code = deflateInit2(&s, 6, Z_DEFLATED, bits, 8, 0);
        printf("windowBits %d deflate %d %d", bits, code, s.state != NULL);
        if (code == Z_OK) {
            unsigned char out[100];
            printf(" adler %lu", s.adler);
            /* Of a raw stream the field is the caller's. */
            s.adler = bits < 0 ? 77 : s.adler;
            s.next_out = out;
            s.avail_out = sizeof out;
            code = deflate(&s, Z_FINISH);
            printf(" finish %d adler %lu", code, s.adler);
            printf(" end %d", deflateEnd(&s));
        }
        memset(&s, 0, sizeof s);
        code = inflateInit2(&s, bits);
        printf(" inflate %d %d", code, s.state != NULL);
        if (code == Z_OK)
            printf(" adler %lu end %d", bits < 0 ? 0 : s.adler, inflateEnd(&s));
        printf("\n");
    }
    z_stream s;
    for (int level = -2; level < 11; level++) {
        memset(&s, 0, sizeof s);
        int code = deflateInit(&s, level);
        printf("level %d: %d end %d\n", level, code, deflateEnd(&s));
    }
    for (int mem = 0; mem < 11; mem++) {
        memset(&s, 0, sizeof s);
        int code = deflateInit2(&s, 6, Z_DEFLATED, 15, mem, 0);
        printf("memLevel %d: %d end %d\n", mem, code, deflateEnd(&s));
    }
    for (int strategy = -1; strategy < 6; strategy++) {
        memset(&s, 0, sizeof s);
        int code = deflateInit2(&s, 6, Z_DEFLATED, 15, 8, strategy);
        printf("strategy %d: %d end %d\n", strategy, code, deflateEnd(&s));
    }
    memset(&s, 0, sizeof s);
    SHOW("method 7", deflateInit2(&s, 6, 7, 15, 8, 0));
}

static void deflate_codes(int bits)
{
    z_stream s, moved;
    printf("-- deflate, windowBits %d\n", bits);
    begin_deflate(&s, 6, bits);
    SHOW("data_type fresh", s.data_type);
    SHOW("flush -1", deflate(&s, -1));
    SHOW("flush 6", deflate(&s, 6));
    SHOW("first, no input", deflate(&s, Z_NO_FLUSH));
    printf("header bytes %lu\n", s.total_out);
    SHOW("again, no input", deflate(&s, Z_NO_FLUSH));
    MESSAGE("message", s);
    s.avail_in = 11;
    SHOW("11 bytes", deflate(&s, Z_NO_FLUSH));
    SHOW("taken", s.total_in);
    SHOW("no input (git)", deflate(&s, Z_NO_FLUSH));
    SHOW("Z_BLOCK", deflate(&s, Z_BLOCK));
    SHOW("Z_PARTIAL_FLUSH", deflate(&s, Z_PARTIAL_FLUSH));
    SHOW("Z_SYNC_FLUSH", deflate(&s, Z_SYNC_FLUSH));
    SHOW("ends in a marker", !memcmp(s.next_out - 4, "\0\0\377\377", 4));
    SHOW("Z_SYNC_FLUSH again", deflate(&s, Z_SYNC_FLUSH));
    SHOW("Z_PARTIAL_FLUSH after it", deflate(&s, Z_PARTIAL_FLUSH));
    SHOW("Z_FULL_FLUSH", deflate(&s, Z_FULL_FLUSH));
    SHOW("Z_FULL_FLUSH again", deflate(&s, Z_FULL_FLUSH));
    s.avail_in = 100;
    s.avail_out = 0;
    SHOW("avail_out 0", deflate(&s, Z_NO_FLUSH));
    s.avail_out = 300000;
    s.next_in = NULL;
    SHOW("next_in NULL", deflate(&s, Z_NO_FLUSH));
    MESSAGE("message", s);
    s.next_in = text;
    unsigned char *out = s.next_out;
    s.next_out = NULL;
    SHOW("next_out NULL", deflate(&s, Z_NO_FLUSH));
    s.next_out = out;
    moved = s;
    SHOW("moved stream", deflate(&moved, Z_NO_FLUSH));
    SHOW("moved stream, reset", deflateReset(&moved));
    SHOW("moved stream, end", deflateEnd(&moved));
    SHOW("adler", bits > 0 ? (long)(s.adler & 0x7fffffff) : 0);
    SHOW("Z_FINISH", deflate(&s, Z_FINISH));
    SHOW("adler", bits > 0 ? (long)(s.adler & 0x7fffffff) : 0);
    SHOW("data_type", s.data_type);
    SHOW("Z_FINISH again", deflate(&s, Z_FINISH));
    s.avail_in = 1;
    SHOW("Z_FINISH with input", deflate(&s, Z_FINISH));
    SHOW("Z_NO_FLUSH after the end", deflate(&s, Z_NO_FLUSH));
    s.avail_in = 0;
    SHOW("Z_SYNC_FLUSH after the end", deflate(&s, Z_SYNC_FLUSH));
    s.avail_out = 0;
    SHOW("avail_out 0 after the end", deflate(&s, Z_FINISH));
    SHOW("end", deflateEnd(&s));
    SHOW("end again", deflateEnd(&s));
    SHOW("deflate after end", deflate(&s, Z_FINISH));

    begin_deflate(&s, 6, bits);
    SHOW("end, fresh", deflateEnd(&s));
    begin_deflate(&s, 6, bits);
    s.avail_in = 5;
    deflate(&s, Z_NO_FLUSH);
    SHOW("end, begun", deflateEnd(&s));
    begin_deflate(&s, 6, bits);
    s.avail_in = 200000;
    deflate(&s, Z_NO_FLUSH);
    SHOW("end, far", deflateEnd(&s));
    begin_deflate(&s, 6, bits);
    s.avail_in = 5;
    deflate(&s, Z_NO_FLUSH);
    SHOW("reset", deflateReset(&s));
    printf("after reset: %lu %lu %s %d\n", s.total_in, s.total_out, named(s.msg), s.data_type);
    SHOW("end, reset", deflateEnd(&s));

    /* The same data whole and in one call with exactly deflateBound. */
    begin_deflate(&s, 6, bits);
    s.avail_in = 200000;
    printf("deflateBound %lu\n", deflateBound(&s, 200000));
    s.avail_out = deflateBound(&s, 200000);
    SHOW("one Z_FINISH", deflate(&s, Z_FINISH));
    SHOW("end", deflateEnd(&s));

    begin_deflate(&s, 6, bits);
    s.avail_in = 1000;
    unsigned pending = 7;
    int held = 7;
    SHOW("pending, fresh", deflatePending(&s, &pending, &held));
    printf("pending %u %d\n", pending, held);
    SHOW("pending, NULLs", deflatePending(&s, NULL, NULL));
    SHOW("prime 17", deflatePrime(&s, 17, 0));
    SHOW("prime -1", deflatePrime(&s, -1, 0));
    SHOW("tune", deflateTune(&s, 1, 2, 3, 4));
    SHOW("params 10", deflateParams(&s, 10, 0));
    SHOW("params strategy 5", deflateParams(&s, 1, 5));
    SHOW("params before data", deflateParams(&s, 1, 0));
    SHOW("deflate", deflate(&s, Z_NO_FLUSH));
    SHOW("params in between", deflateParams(&s, 9, Z_FILTERED));
    gz_header head;
    memset(&head, 0, sizeof head);
    SHOW("set header late", deflateSetHeader(&s, &head));
    SHOW("set dictionary late", deflateSetDictionary(&s, text, 10) == (bits < 0 ? Z_STREAM_ERROR : Z_STREAM_ERROR));
    SHOW("set dictionary NULL", deflateSetDictionary(&s, NULL, 10));
    unsigned len = 0;
    SHOW("get dictionary", deflateGetDictionary(&s, spare, &len));
    SHOW("dictionary", len == 1000 && !memcmp(spare, text, 1000));
    SHOW("finish", deflate(&s, Z_FINISH));
    SHOW("end", deflateEnd(&s));
}

static void zero_sized(void)
{
    z_stream s;
    begin_deflate(&s, 6, 15);
    SHOW("empty finish", deflate(&s, Z_FINISH));
    printf("empty stream %lu:", s.total_out);
    for (unsigned i = 0; i < s.total_out; i++)
        printf(" %02x", packed[i]);
    printf("\n");
    deflateEnd(&s);
    for (int room = 1; room < 8; room++) {
        begin_deflate(&s, 6, 31);
        s.avail_in = 3;
        int calls = 0, code;
        do {
            s.avail_out = room;
            code = deflate(&s, Z_FINISH);
            calls++;
        } while (code == Z_OK && calls < 100);
        printf("gzip of 3 bytes, room %d: %d after %d calls, %lu bytes\n", room, code, calls, s.total_out);
        deflateEnd(&s);
    }
    /* A sync flush that meets a full buffer, and the call after it. */
    for (int room = 1; room < 20; room++) {
        begin_deflate(&s, 6, -15);
        s.avail_in = 3;
        s.avail_out = room;
        int code = deflate(&s, Z_SYNC_FLUSH);
        unsigned left = s.avail_out;
        s.avail_out = 100;
        printf("sync flush, room %d: %d left %u, then %d", room, code, left, deflate(&s, Z_SYNC_FLUSH));
        printf(" total %lu\n", s.total_out);
        deflateEnd(&s);
    }
}

static void headers(void)
{
    z_stream s;
    gz_header head, seen;
    unsigned char extra[10], name[20], comment[20];
    for (int all = 0; all < 2; all++) {
        memset(&head, 0, sizeof head);
        head.text = all;
        head.time = 0x12345678;
        head.os = 7;
        if (all) {
            head.extra = (Bytef *)"EXTRA FIELD";
            head.extra_len = 11;
            head.name = (Bytef *)"name";
            head.comment = (Bytef *)"a comment";
            head.hcrc = 1;
        }
        begin_deflate(&s, 9, 31);
        SHOW("deflateSetHeader", deflateSetHeader(&s, &head));
        printf("bound %lu\n", deflateBound(&s, 100));
        s.avail_in = 100;
        SHOW("finish", deflate(&s, Z_FINISH));
        unsigned len = s.total_out;
        deflateEnd(&s);
        for (unsigned i = 0; i < (all ? 45u : 10u); i++)
            printf("%02x", packed[i]);
        printf("\n");
        begin_inflate(&s, 47, len);
        memset(&seen, 0x55, sizeof seen);
        seen.extra = extra;
        seen.extra_max = sizeof extra;
        seen.name = name;
        seen.name_max = sizeof name;
        seen.comment = comment;
        seen.comm_max = 3;
        memset(comment, 0, sizeof comment);
        SHOW("inflateGetHeader", inflateGetHeader(&s, &seen));
        SHOW("done at first", seen.done);
        SHOW("inflate", inflate(&s, Z_FINISH));
        printf("header: done %d text %d time %lx os %d hcrc %d extra_len %u", seen.done, seen.text, seen.time, seen.os,
               seen.hcrc, seen.extra ? seen.extra_len : 0);
        printf(" extra %d name %s comment %.3s\n", seen.extra != NULL, seen.name ? (char *)name : "-",
               seen.comment ? (char *)comment : "-");
        printf("adler %lx\n", s.adler);
        inflateEnd(&s);
    }
    begin_inflate(&s, 15, pack(15, 10));
    SHOW("inflateGetHeader of zlib", inflateGetHeader(&s, &seen));
    inflateEnd(&s);
    begin_inflate(&s, 47, pack(15, 10));
    SHOW("inflateGetHeader of either", inflateGetHeader(&s, &seen));
    SHOW("inflate", inflate(&s, Z_FINISH));
    SHOW("done", seen.done);
    inflateEnd(&s);
    begin_deflate(&s, 6, 15);
    SHOW("deflateSetHeader of zlib", deflateSetHeader(&s, &head));
    deflateEnd(&s);
    for (int level = 0; level < 10; level++)
        for (int bits = 9; bits < 16; bits += 3) {
            memset(&s, 0, sizeof s);
            deflateInit2(&s, level, Z_DEFLATED, bits, 8, 0);
            s.next_in = text;
            s.avail_in = 10;
            s.next_out = packed;
            s.avail_out = 1000;
            deflate(&s, Z_FINISH);
            printf("zlib header, level %d windowBits %d: %02x %02x\n", level, bits, packed[0], packed[1]);
            deflateEnd(&s);
            memset(&s, 0, sizeof s);
            deflateInit2(&s, level, Z_DEFLATED, bits + 16, 8, level > 7 ? Z_HUFFMAN_ONLY : 0);
            s.next_in = text;
            s.avail_in = 10;
            s.next_out = packed;
            s.avail_out = 1000;
            deflate(&s, Z_FINISH);
            printf("gzip header, level %d: xfl %d os %d\n", level, packed[8], packed[9]);
            deflateEnd(&s);
        }
}

static void inflate_codes(int bits)
{
    z_stream s, moved;
    unsigned len = pack(bits, 200000);
    printf("-- inflate, windowBits %d\n", bits);
    begin_inflate(&s, bits, len);
    s.avail_in = 0;
    SHOW("no input", inflate(&s, Z_NO_FLUSH));
    MESSAGE("message", s);
    SHOW("mark fresh", inflateMark(&s));
    SHOW("sync point fresh", inflateSyncPoint(&s));
    s.avail_in = len;
    s.avail_out = 0;
    SHOW("no room", inflate(&s, Z_NO_FLUSH));
    s.next_in = NULL;
    SHOW("next_in NULL", inflate(&s, Z_NO_FLUSH));
    s.next_in = packed + s.total_in;
    s.next_out = NULL;
    SHOW("next_out NULL", inflate(&s, Z_NO_FLUSH));
    s.next_out = plain;
    s.avail_out = 1000;
    SHOW("1000 bytes, Z_FINISH", inflate(&s, Z_FINISH));
    SHOW("delivered", s.total_out);
    moved = s;
    SHOW("moved stream", inflate(&moved, Z_NO_FLUSH));
    SHOW("moved stream, end", inflateEnd(&moved));
    SHOW("deflate on it", deflate(&s, Z_NO_FLUSH));
    SHOW("adler", bits < 0 ? 0 : (long)(s.adler & 0x7fffffff));
    SHOW("undermine", inflateUndermine(&s, 1));
    SHOW("validate", inflateValidate(&s, 1));
    unsigned have = 0;
    SHOW("get dictionary", inflateGetDictionary(&s, spare, &have));
    SHOW("dictionary", have == 1000 && !memcmp(spare, text, 1000));
    SHOW("get dictionary, NULLs", inflateGetDictionary(&s, NULL, NULL));
    s.total_in = s.total_out = 0;
    s.avail_out = 300000;
    SHOW("totals zeroed, rest", inflate(&s, 1));
    SHOW("delivered", s.total_out);
    SHOW("plain text", !memcmp(plain, text, 200000));
    SHOW("adler", bits < 0 ? 0 : (long)(s.adler & 0x7fffffff));
    SHOW("input left", s.avail_in);
    s.avail_in = 5;
    SHOW("after the end", inflate(&s, Z_NO_FLUSH));
    SHOW("input left", s.avail_in);
    SHOW("set dictionary after the end", inflateSetDictionary(&s, text, 10));
    SHOW("reset2 bad", inflateReset2(&s, 48));
    SHOW("reset2", inflateReset2(&s, bits));
    printf("totals %lu %lu\n", s.total_in, s.total_out);
    SHOW("sync, no input", (s.avail_in = 0, inflateSync(&s)));
    SHOW("prime 17", inflatePrime(&s, 17, 0));
    SHOW("prime 32", inflatePrime(&s, 16, 0) + inflatePrime(&s, 16, 0) + 10 * inflatePrime(&s, 1, 0));
    SHOW("prime -1", inflatePrime(&s, -1, 0));
    SHOW("codes used", inflateCodesUsed(&s));
    SHOW("reset keep", inflateResetKeep(&s));
    SHOW("end", inflateEnd(&s));
    SHOW("end again", inflateEnd(&s));
    SHOW("inflate after end", inflate(&s, 0));
    SHOW("mark after end", inflateMark(&s));
    SHOW("codes used after end", inflateCodesUsed(&s) == (unsigned long)-1);

    /* Cut anywhere near the end, one byte at a time. */
    for (unsigned cut = 0; cut < 12; cut++) {
        begin_inflate(&s, bits, len - cut);
        int code = inflate(&s, Z_SYNC_FLUSH);
        printf("cut by %u: %d %s delivered %lu left %u", cut, code, named(s.msg), s.total_out > 199000 ? 1ul : 0ul,
               s.avail_in);
        printf(" again %d\n", inflate(&s, Z_SYNC_FLUSH));
        inflateEnd(&s);
    }
    /* Libcurl's way. */
    begin_inflate(&s, bits, len);
    int code, calls = 0;
    while ((code = inflate(&s, Z_BLOCK)) == Z_OK && calls < 1000)
        calls++;
    SHOW("Z_BLOCK to the end", code);
    SHOW("plain text", s.total_out == 200000 && !memcmp(plain, text, 200000));
    inflateEnd(&s);
}

/* Streams made by hand, so that every message is met. */
static void damaged(void)
{
    static const struct {
        const char *title;
        int bits;
        unsigned len;
        const char *bytes;
    } cases[] = {
        {"zlib header check", 15, 3, "\x78\x9d\x00"},
        {"zlib method", 15, 3, "\x77\x9f\x00"},
        {"zlib window", 8, 3, "\x78\x9c\x00"},
        {"zlib window 16", 15, 3, "\x88\x98\x00"},
        {"gzip method", 31, 10, "\x1f\x8b\x07\0\0\0\0\0\0\0"},
        {"gzip flags", 31, 10, "\x1f\x8b\x08\xe0\0\0\0\0\0\0"},
        {"gzip header crc", 31, 14, "\x1f\x8b\x08\x02\0\0\0\0\0\0\0\0\0\0"},
        {"gzip where zlib is", 15, 10, "\x1f\x8b\x08\0\0\0\0\0\0\0"},
        {"zlib where gzip is", 31, 3, "\x78\x9c\x00"},
        {"block type", -15, 2, "\x06\x00"},
        {"stored lengths", -15, 6, "\x00\x01\x00\x01\x00\x00"},
        {"too many symbols", -15, 4, "\xfc\x00\x00\x00"},
        {"code lengths set", -15, 6, "\x04\x00\xfe\xff\x00\x00"},
        {"bit length repeat", -15, 8, "\x04\x00\x24\x49\x00\x00\x00\x00"},
        {"bit length repeat 2", -15, 8, "\x04\x00\x24\xe9\xff\xff\x00\x00"},
        {"end-of-block", -15, 10, "\x04\x00\x24\xe9\xff\x6d\x00\x00\x00\x00"},
        {"literal/lengths set", -15, 19, "\x04\x80\x49\x92\x24\x49\x92\x24\x49\x92\x24\x71\xff\xff\x93\x11\x00\x00\x00"},
        {"distances set", -15, 19, "\x04\x80\x49\x92\x24\x49\x92\x24\x0f\xb4\xff\xff\xc3\x84\x00\x00\x00\x00\x00"},
        {"literal/length code", -15, 19, "\x04\xc0\x81\x08\x00\x00\x00\x00\x20\x7f\xeb\x0b\x00\x00\x00\x00\x00\x00\x00"},
        {"distance code", -15, 4, "\x02\x7e\xff\xff"},
        {"distance too far", -15, 17, "\x0c\xc0\x81\x00\x00\x00\x00\x00\x90\xff\x6b\x04\x00\x00\x00\x00\x00"},
        {"data check", 15, 9, "\x78\x9c\x63\x00\x00\x00\x01\x00\x02"},
        {"length check", 31, 22, "\x1f\x8b\x08\0\0\0\0\0\0\0\x63\x00\x00\x8d\xef\x02\xd2\x02\x00\x00\x00\x00"},
        {"crc", 31, 22, "\x1f\x8b\x08\0\0\0\0\0\0\0\x63\x00\x00\x8d\xef\x02\xd3\x01\x00\x00\x00\x00"},
        {"dictionary wanted", 15, 6, "\x78\xbb\x00\x00\x00\x01"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        z_stream s;
        memset(&s, 0, sizeof s);
        printf("%s: init %d", cases[i].title, inflateInit2(&s, cases[i].bits));
        s.next_in = (Bytef *)cases[i].bytes;
        s.avail_in = cases[i].len;
        s.next_out = plain;
        s.avail_out = sizeof plain;
        int code = inflate(&s, Z_NO_FLUSH);
        printf(" inflate %d %s out %lu", code, named(s.msg), s.total_out);
        if (code == Z_NEED_DICT) {
            printf(" id %lx", s.adler);
            printf(" again %d", inflate(&s, Z_NO_FLUSH));
            printf(" wrong %d", inflateSetDictionary(&s, text, 10));
            printf(" right %d", inflateSetDictionary(&s, text, 0));
        }
        printf(" sticky %d", inflate(&s, Z_NO_FLUSH));
        printf(" end %d\n", inflateEnd(&s));
    }
}

static void dictionaries(void)
{
    z_stream s;
    begin_deflate(&s, 6, 15);
    SHOW("deflateSetDictionary", deflateSetDictionary(&s, text, 1000));
    printf("id %lx\n", s.adler);
    s.avail_in = 5000;
    SHOW("finish", deflate(&s, Z_FINISH));
    printf("adler %lx header %02x%02x %02x%02x%02x%02x\n", s.adler, packed[0], packed[1], packed[2], packed[3], packed[4],
           packed[5]);
    unsigned len = s.total_out;
    SHOW("much smaller", len < 1500);
    deflateEnd(&s);
    begin_inflate(&s, 15, len);
    SHOW("inflate", inflate(&s, Z_NO_FLUSH));
    printf("id %lx consumed %lu\n", s.adler, s.total_in);
    SHOW("wrong", inflateSetDictionary(&s, text, 999));
    SHOW("right", inflateSetDictionary(&s, text, 1000));
    SHOW("inflate", inflate(&s, Z_NO_FLUSH));
    SHOW("plain text", s.total_out == 5000 && !memcmp(plain, text, 5000));
    inflateEnd(&s);
    begin_deflate(&s, 6, 31);
    SHOW("gzip deflateSetDictionary", deflateSetDictionary(&s, text, 1000));
    deflateEnd(&s);
    begin_deflate(&s, 6, -15);
    s.avail_in = 3000;
    SHOW("raw, sync", deflate(&s, Z_SYNC_FLUSH));
    SHOW("raw deflateSetDictionary after a flush", deflateSetDictionary(&s, text, 1000));
    s.avail_in = 3000;
    SHOW("finish", deflate(&s, Z_FINISH));
    deflateEnd(&s);
    uLongf room;
    len = 0;
    begin_deflate(&s, 6, 15);
    deflateSetDictionary(&s, text, 1000);
    s.avail_in = 10;
    deflate(&s, Z_FINISH);
    room = sizeof plain;
    SHOW("uncompress with dictionary", uncompress(plain, &room, packed, s.total_out));
    deflateEnd(&s);
}

/* The window handed out is the stream's, not a longer one: callers have room for no more. */
static void small_windows(void)
{
    static const int bits[][2] = {{-9, -9}, {-12, -12}, {-15, -15}, {9, 9},  {10, 15}, {15, 15}, {9, 0},
                                  {13, 0},  {15, 0},    {25, 25},   {28, 31}, {11, 32}, {15, 47}, {26, 32}, {26, 16}};
    for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++) {
        z_stream s;
        unsigned len = pack(bits[i][0], 100000), got = 0;
        for (unsigned out = 400; out < 100000; out = out * 3 + 777) {
            begin_inflate(&s, bits[i][1], len);
            s.avail_out = out;
            SHOW("inflate", inflate(&s, Z_NO_FLUSH));
            memset(spare, 0xaa, 40000);
            SHOW("inflateGetDictionary", inflateGetDictionary(&s, spare, &got));
            printf("windows %d and %d: %u bytes, right %d, nothing behind %d\n", bits[i][0], bits[i][1], got,
                   !memcmp(spare, plain + out - got, got), got == 40000 || (spare[got] == 0xaa && spare[got + 1] == 0xaa));
            inflateReset(&s);
            s.next_in = packed;
            s.avail_in = len;
            s.avail_out = out;
            SHOW("again", inflate(&s, Z_NO_FLUSH));
            SHOW("inflateGetDictionary", inflateGetDictionary(&s, NULL, &got));
            printf("%u bytes\n", got);
            inflateEnd(&s);
        }
    }
}

static void copies(void)
{
    z_stream s, t;
    begin_deflate(&s, 6, 31);
    s.avail_in = 100000;
    SHOW("deflate", deflate(&s, Z_NO_FLUSH));
    SHOW("deflateCopy", deflateCopy(&t, &s));
    SHOW("deflateCopy NULL", deflateCopy(NULL, &s));
    SHOW("deflateCopy of NULL", deflateCopy(&t, NULL));
    unsigned done = s.total_out;
    memcpy(spare, packed, done);
    SHOW("finish", deflate(&s, Z_FINISH));
    t.next_out = spare + done;
    t.avail_out = 300000;
    SHOW("finish the copy", deflate(&t, Z_FINISH));
    SHOW("equal", s.total_out == t.total_out && !memcmp(packed, spare, s.total_out) && s.adler == t.adler);
    unsigned len = s.total_out;
    SHOW("end", deflateEnd(&s));
    SHOW("end", deflateEnd(&t));
    begin_inflate(&s, 47, len);
    s.avail_out = 50000;
    SHOW("inflate", inflate(&s, Z_NO_FLUSH));
    SHOW("inflateCopy", inflateCopy(&t, &s));
    SHOW("inflateCopy NULL", inflateCopy(NULL, &s));
    s.avail_out = 300000;
    t.avail_out = 300000;
    t.next_out = spare;
    SHOW("rest", inflate(&s, Z_NO_FLUSH));
    SHOW("rest of the copy", inflate(&t, Z_NO_FLUSH));
    SHOW("equal", s.total_out == t.total_out && !memcmp(plain + 50000, spare, 50000) && s.adler == t.adler);
    SHOW("end", inflateEnd(&s));
    SHOW("end", inflateEnd(&t));
}

/* Streams that end, or are asked to, before there is anything in them. */
static void empty_ends(void)
{
    static const int bits[] = {15, 31, -15, 9, 25, 12}, header[] = {2, 10, 0, 2, 10, 2};
    for (unsigned i = 0; i < 6; i++)
        for (int level = 0; level < 10; level += 3) {
            z_stream s;
            for (int flush = 0; flush < 6; flush++) {
                begin_deflate(&s, level, bits[i]);
                SHOW("flush", deflate(&s, flush));
                SHOW("data_type", s.data_type);
                SHOW("finish", deflate(&s, Z_FINISH));
                SHOW("data_type", s.data_type);
                deflateEnd(&s);
            }
            for (int flush = 0; flush < 6 && header[i]; flush++) {
                for (int input = 0; input < 2; input++) {
                    begin_deflate(&s, level, bits[i]);
                    s.avail_out = header[i];
                    SHOW("room for the header only, asked to end", deflate(&s, Z_FINISH));
                    s.avail_out = 0;
                    SHOW("no room", deflate(&s, Z_FINISH));
                    s.avail_out = 100;
                    s.avail_in = input;
                    SHOW("then", deflate(&s, flush));
                    SHOW("data_type", s.data_type);
                    if (flush == Z_FINISH && !input)
                        printf("adler %lu size %lu\n", s.adler, level ? s.total_out : 0);
                    SHOW("end", deflateEnd(&s));
                }
                begin_deflate(&s, level, bits[i]);
                s.avail_out = header[i];
                SHOW("room for the header only", deflate(&s, flush));
                s.avail_out = 100;
                SHOW("finish", deflate(&s, Z_FINISH));
                SHOW("again", deflate(&s, Z_FINISH));
                SHOW("end", deflateEnd(&s));
            }
        }
}

/* What deflateSetDictionary is given counts as read. */
static void dictionary_totals(void)
{
    static const int bits[] = {15, -15, 31, 9, -9, 12, -12};
    for (unsigned i = 0; i < 7; i++)
        for (unsigned len = 0; len < 100000; len = len * 3 + 1) {
            z_stream s;
            begin_deflate(&s, 6, bits[i]);
            SHOW("deflateSetDictionary", deflateSetDictionary(&s, text, len));
            printf("windowBits %d, %u bytes: total_in %lu\n", bits[i], len, s.total_in);
            SHOW("deflateSetDictionary again", deflateSetDictionary(&s, text, 100));
            s.avail_in = 1000;
            SHOW("sync", deflate(&s, Z_SYNC_FLUSH));
            SHOW("deflateSetDictionary", deflateSetDictionary(&s, text, len));
            printf("total_in %lu\n", s.total_in);
            SHOW("finish", deflate(&s, Z_FINISH));
            printf("total_in %lu\n", s.total_in);
            SHOW("end", deflateEnd(&s));
        }
}

/* What was said of a stream is not said of the next one. */
static void messages_after_resets(void)
{
    unsigned char bad[] = {7}, other[] = {1, 1, 0, 1, 0};
    for (int reset = 0; reset < 4; reset++) {
        z_stream s;
        begin_inflate(&s, -15, 0);
        s.next_in = bad;
        s.avail_in = 1;
        SHOW("bad", inflate(&s, 0));
        MESSAGE("message", s);
        SHOW("again", inflate(&s, 0));
        MESSAGE("message", s);
        SHOW("reset", reset == 0   ? inflateResetKeep(&s)
                      : reset == 1 ? inflateReset(&s)
                      : reset == 2 ? inflateReset2(&s, -15)
                                   : inflateEnd(&s) + inflateInit2(&s, -15));
        MESSAGE("message", s);
        s.next_in = other;
        s.avail_in = 1;
        SHOW("good", inflate(&s, 0));
        MESSAGE("message", s);
        s.avail_in = 4;
        SHOW("bad", inflate(&s, 0));
        MESSAGE("message", s);
        inflateEnd(&s);
    }
}

/* A stream whose header never came is raw once a place to go on was found, until inflateReset2. */
static void headerless(void)
{
    static const int bits[] = {15, 31, 47, 32, -15, 0};
    z_stream s;
    begin_deflate(&s, 6, -15);
    s.avail_in = 1000;
    deflate(&s, Z_FULL_FLUSH);
    unsigned mark = s.total_out;
    s.avail_in = 1000;
    deflate(&s, Z_FINISH);
    unsigned len = s.total_out;
    deflateEnd(&s);
    for (unsigned i = 0; i < 6; i++)
        for (int validated = -1; validated < 2; validated++) {
            begin_inflate(&s, bits[i], mark);
            SHOW("inflateSync", inflateSync(&s));
            printf("windowBits %d adler %lu left %u\n", bits[i], s.adler, s.avail_in);
            if (validated >= 0)
                SHOW("inflateValidate", inflateValidate(&s, validated));
            s.avail_in = len - mark;
            SHOW("rest", inflate(&s, 0));
            printf("adler %lu made %lu\n", s.adler, s.total_out);
            SHOW("plain text", !memcmp(plain, text + 1000, 1000));
            s.adler = 77;
            SHOW("inflateReset", inflateReset(&s));
            printf("adler %lu\n", s.adler);
            s.next_in = packed;
            s.avail_in = 20;
            SHOW("raw still, a little", inflate(&s, 0));
            s.avail_in = len - 20;
            s.next_out = plain;
            s.avail_out = sizeof plain;
            SHOW("the rest", inflate(&s, 0));
            printf("adler %lu\n", s.adler);
            SHOW("inflateReset2", inflateReset2(&s, bits[i]));
            printf("adler %lu\n", s.adler);
            s.next_in = packed;
            s.avail_in = len;
            SHOW("a header is wanted", inflate(&s, 0));
            MESSAGE("message", s);
            inflateEnd(&s);
        }
}

static void syncs(void)
{
    z_stream s;
    begin_deflate(&s, 6, 15);
    s.avail_in = 50000;
    deflate(&s, Z_FULL_FLUSH);
    unsigned middle = s.total_out;
    s.avail_in = 50000;
    deflate(&s, Z_FINISH);
    unsigned len = s.total_out;
    deflateEnd(&s);
    packed[middle - 100] ^= 0x55;
    packed[middle - 101] ^= 0x55;
    begin_inflate(&s, 15, 2);
    SHOW("header", inflate(&s, Z_NO_FLUSH));
    s.next_in = packed + middle - 50;
    s.avail_in = len - (middle - 50);
    SHOW("inflateSync", inflateSync(&s));
    SHOW("found", s.next_in == packed + middle);
    SHOW("inflate", inflate(&s, Z_NO_FLUSH));
    SHOW("second part", s.total_out == 50000 && !memcmp(plain, text + 50000, 50000));
    SHOW("sync in nothing", (s.next_in = text, s.avail_in = 100, inflateSync(&s)));
    SHOW("left", s.avail_in);
    inflateEnd(&s);
}

static void one_shots(void)
{
    for (unsigned n = 0; n < 200000; n = n * 3 + 1) {
        uLongf len = compressBound(n), back = n;
        printf("one-shot of %u: bound %lu", n, len);
        printf(" compress %d", compress2(packed, &len, text, n, 6));
        printf(" uncompress %d", uncompress(plain, &back, packed, len));
        printf(" %lu %d", back, !memcmp(plain, text, n));
        uLong used = len + 0;
        back = n + 10;
        printf(" uncompress2 %d", uncompress2(plain, &back, packed, &used));
        printf(" used %d", used == len);
        back = n ? n - 1 : 0;
        printf(" short room %d", uncompress(plain, &back, packed, len));
        printf(" %lu", back);
        back = n + 100;
        printf(" short input %d", uncompress(plain, &back, packed, len - 1));
        back = n;
        printf(" both %d", uncompress(plain, &back, packed, len - 1));
        back = 0;
        printf(" no room %d %lu", uncompress(plain, &back, packed, len), back);
        back = 0;
        printf(" no room, short %d\n", uncompress(plain, &back, packed, len - 1));
    }
    uLongf len = 5;
    SHOW("compress: small", compress(packed, &len, text, 1000));
    SHOW("written", len);
    len = 5;
    SHOW("compress: level 10", compress2(packed, &len, text, 1000, 10));
    SHOW("written", len);
    len = 1000;
    SHOW("compress of NULL, 0", compress(packed, &len, NULL, 0));
    len = 1000;
    SHOW("compress of NULL, 5", compress(packed, &len, NULL, 5));
    len = 1000;
    SHOW("compress of NULL, 5, level 0", compress2(packed, &len, NULL, 5, 0));
    len = 1000;
    SHOW("uncompress of NULL, 0", uncompress(plain, &len, NULL, 0));
    len = 1000;
    SHOW("uncompress of NULL, 5", uncompress(plain, &len, NULL, 5));
    SHOW("written", len);
    uLong given = 5;
    len = 1000;
    SHOW("uncompress2 of NULL, 5", uncompress2(plain, &len, NULL, &given));
    SHOW("used", given);
    len = 0;
    SHOW("uncompress of NULL, 5, no room", uncompress(plain, &len, NULL, 5));
    for (uLong n = 1; n < 1ul << 40; n *= 7)
        printf("compressBound(%lu) %lu deflateBound(NULL) %lu\n", n, compressBound(n), deflateBound(NULL, n));
    for (int mem = 1; mem < 10; mem++)
        for (int bits = 9; bits < 16; bits++) {
            z_stream s;
            memset(&s, 0, sizeof s);
            /* Not of level 0, for which 1.2.13 has another number. */
            deflateInit2(&s, 1 + mem % 3, Z_DEFLATED, bits, mem, 0);
            printf("deflateBound memLevel %d windowBits %d: %lu\n", mem, bits, deflateBound(&s, 1000000));
            deflateEnd(&s);
        }
}

static void checksums(void)
{
    uLong a = adler32(0, NULL, 0), c = crc32(0, NULL, 0);
    printf("initial %lx %lx\n", a, c);
    printf("NULL %lx %lx\n", adler32(77, NULL, 5), crc32(77, NULL, 5));
    printf("empty %lx %lx\n", adler32(77, text, 0), crc32(77, text, 0));
    for (unsigned n = 1; n < 200000; n = n * 2 + 1) {
        uLong a1 = adler32(a, text, n), c1 = crc32(c, text, n);
        uLong a2 = adler32_z(a, text + n / 2, n), c2 = crc32_z(c, text + n / 2, n);
        printf("%u: %lx %lx %lx %lx", n, a1, c1, a2, c2);
        printf(" combined %lx %lx\n", adler32_combine(a1, a2, n), crc32_combine(c1, c2, n));
        printf(" op %lx\n", crc32_combine_op(c1, c2, crc32_combine_gen(n)));
    }
    printf("negative %lx\n", adler32_combine(1, 1, -1));
    const z_crc_t *table = get_crc_table();
    printf("table %x %x\n", (unsigned)table[1], (unsigned)table[255]);
}

static unsigned allocated, freed, largest;
static int refuse;
static void *counting_alloc(void *opaque, unsigned items, unsigned size)
{
    if (refuse)
        return NULL;
    ++*(unsigned *)opaque;
    allocated++;
    if (items * size > largest)
        largest = items * size;
    return calloc(items, size);
}
static void counting_free(void *opaque, void *address)
{
    ++*(unsigned *)opaque;
    freed++;
    free(address);
}

static void allocators(void)
{
    z_stream s;
    unsigned calls = 0;
    memset(&s, 0, sizeof s);
    s.zalloc = counting_alloc;
    s.zfree = counting_free;
    s.opaque = &calls;
    SHOW("own allocator", deflateInit(&s, 6));
    s.next_in = text;
    s.avail_in = 200000;
    s.next_out = packed;
    s.avail_out = sizeof packed;
    SHOW("finish", deflate(&s, Z_FINISH));
    SHOW("end", deflateEnd(&s));
    SHOW("allocated at all, all freed", allocated > 0 && allocated == freed && calls == 2 * allocated);
    SHOW("inflate", inflateInit(&s));
    SHOW("end", inflateEnd(&s));
    SHOW("all freed", allocated == freed);
    refuse = 1;
    SHOW("deflate, no memory", deflateInit(&s, 6));
    SHOW("inflate, no memory", inflateInit(&s));
    memset(&s, 0, sizeof s);
    s.opaque = &calls;
    SHOW("default allocator", deflateInit(&s, 6));
    SHOW("set", s.zalloc != NULL && s.zfree != NULL && s.opaque == NULL);
    free_func zfree = s.zfree;
    s.zfree = NULL;
    SHOW("zfree lost", deflate(&s, Z_FINISH));
    SHOW("zfree lost, end", deflateEnd(&s));
    s.zfree = zfree;
    SHOW("zfree found, end", deflateEnd(&s));
}

static unsigned pulled;
static unsigned pull(void *desc, z_const unsigned char **buf)
{
    unsigned *len = desc;
    *buf = packed + pulled;
    unsigned n = *len - pulled < 100 ? *len - pulled : 100;
    pulled += n;
    return n;
}
static int push(void *desc, unsigned char *buf, unsigned len)
{
    unsigned *at = desc;
    memcpy(plain + *at, buf, len);
    *at += len;
    return 0;
}
static int refuse_push(void *desc, unsigned char *buf, unsigned len) { return desc == buf || len > 0; }

static void backs(void)
{
    z_stream s;
    static unsigned char window[32768];
    unsigned len = pack(-15, 200000), at = 0;
    memset(&s, 0, sizeof s);
    SHOW("inflateBackInit", inflateBackInit(&s, 15, window));
    s.next_in = NULL;
    pulled = 0;
    SHOW("inflateBack", inflateBack(&s, pull, &len, push, &at));
    SHOW("plain text", at == 200000 && !memcmp(plain, text, at));
    SHOW("input used", pulled - s.avail_in == len);
    pulled = 0;
    SHOW("push refuses", inflateBack(&s, pull, &len, refuse_push, NULL));
    SHOW("next_in left", s.next_in != NULL);
    pulled = 0;
    unsigned half = len / 2;
    at = 0;
    SHOW("input ends", inflateBack(&s, pull, &half, push, &at));
    SHOW("next_in NULL", s.next_in == NULL);
    SHOW("end", inflateBackEnd(&s));
    SHOW("end again", inflateBackEnd(&s));
    /* The one kind of stream that may be moved. */
    z_stream moved;
    SHOW("inflateBackInit", inflateBackInit(&s, 15, window));
    moved = s;
    moved.next_in = NULL;
    pulled = 0;
    at = 0;
    SHOW("moved, inflateBack", inflateBack(&moved, pull, &len, push, &at));
    SHOW("plain text", at == 200000);
    SHOW("moved, end", inflateBackEnd(&moved));
    SHOW("state", moved.state != NULL);
    SHOW("window NULL", inflateBackInit(&s, 15, NULL));
    SHOW("windowBits 7", inflateBackInit(&s, 7, window));
    SHOW("windowBits 16", inflateBackInit(&s, 16, window));
    SHOW("version", inflateBackInit_(&s, 15, window, "2", sizeof s));
}

static void nulls(void)
{
    unsigned u;
    int i;
    gz_header head;
    SHOW("deflate", deflate(NULL, 0));
    SHOW("deflateEnd", deflateEnd(NULL));
    SHOW("deflateReset", deflateReset(NULL));
    SHOW("deflateResetKeep", deflateResetKeep(NULL));
    SHOW("deflateParams", deflateParams(NULL, 1, 0));
    SHOW("deflateSetDictionary", deflateSetDictionary(NULL, text, 1));
    SHOW("deflateGetDictionary", deflateGetDictionary(NULL, text, &u));
    SHOW("deflateSetHeader", deflateSetHeader(NULL, &head));
    SHOW("deflatePending", deflatePending(NULL, &u, &i));
    SHOW("deflatePrime", deflatePrime(NULL, 1, 1));
    SHOW("deflateTune", deflateTune(NULL, 1, 1, 1, 1));
    SHOW("deflateCopy", deflateCopy(NULL, NULL));
    SHOW("inflate", inflate(NULL, 0));
    SHOW("inflateEnd", inflateEnd(NULL));
    SHOW("inflateReset", inflateReset(NULL));
    SHOW("inflateReset2", inflateReset2(NULL, 15));
    SHOW("inflateResetKeep", inflateResetKeep(NULL));
    SHOW("inflateSetDictionary", inflateSetDictionary(NULL, text, 1));
    SHOW("inflateGetDictionary", inflateGetDictionary(NULL, text, &u));
    SHOW("inflateGetHeader", inflateGetHeader(NULL, &head));
    SHOW("inflateSync", inflateSync(NULL));
    SHOW("inflateSyncPoint", inflateSyncPoint(NULL));
    SHOW("inflateCopy", inflateCopy(NULL, NULL));
    SHOW("inflatePrime", inflatePrime(NULL, 1, 1));
    SHOW("inflateMark", inflateMark(NULL));
    SHOW("inflateUndermine", inflateUndermine(NULL, 1));
    SHOW("inflateValidate", inflateValidate(NULL, 1));
    SHOW("inflateBack", inflateBack(NULL, pull, NULL, push, NULL));
    SHOW("inflateBackEnd", inflateBackEnd(NULL));
    SHOW("inflateBackInit", inflateBackInit(NULL, 15, text));
}

int main(void)
{
    unsigned state = 1;
    for (unsigned i = 0; i < sizeof text; i++) {
        state = state * 1103515245u + 12345u;
        text[i] = "etaoin shrdlu\n"[(state >> 16) % 14];
    }
    versions();
    window_bits();
    deflate_codes(15);
    deflate_codes(31);
    deflate_codes(-15);
    deflate_codes(9);
    zero_sized();
    headers();
    inflate_codes(15);
    inflate_codes(31);
    inflate_codes(-15);
    damaged();
    dictionaries();
    small_windows();
    copies();
    syncs();
    headerless();
    messages_after_resets();
    empty_ends();
    dictionary_totals();
    one_shots();
    checksums();
    allocators();
    backs();
    nulls();
    return 0;
}
