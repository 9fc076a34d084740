/* Makes COUNT streams of one kind, lets each do a little work and leaves them idle; prints by how many KiB the process grew,
   then finishes every stream and checks what comes out. KIND: deflate, flushed (deflate with a sync flush), inflate.
   Usage: idle_streams KIND COUNT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char message[] = "{\"user\": 1234, \"action\": \"subscribe\", \"channel\": \"prices\", \"symbols\": [\"A\", \"B\", \"C\"]}";

static void demand(int good, const char *what, int at) {
    if (!good) {
        fprintf(stderr, "stream %d: %s\n", at, what);
        exit(1);
    }
}

static long resident_kib(void) {
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    if (status) fclose(status);
    return kib;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int inflating = !strcmp(argv[1], "inflate"), flushed = !strcmp(argv[1], "flushed");
    int count = atoi(argv[2]);
    z_stream *streams = calloc((size_t)count, sizeof *streams);
    unsigned char packed[512], room[512];
    unsigned long packed_len = sizeof packed;
    demand(streams != NULL, "memory", -1);
    demand(compress(packed, &packed_len, (const unsigned char *)message, sizeof message) == Z_OK, "compress", -1);
    memset(streams, 1, (size_t)count * sizeof *streams);
    memset(streams, 0, (size_t)count * sizeof *streams);
    long before = resident_kib();
    for (int at = 0; at < count; at++) {
        z_stream *stream = &streams[at];
        stream->next_out = room;
        stream->avail_out = sizeof room;
        if (inflating) {
            demand(inflateInit(stream) == Z_OK, "inflateInit", at);
            stream->next_in = packed;
            stream->avail_in = (unsigned)packed_len / 2;
            demand(inflate(stream, Z_NO_FLUSH) == Z_OK && stream->avail_in == 0, "inflate", at);
        } else {
            demand(deflateInit(stream, 6) == Z_OK, "deflateInit", at);
            stream->next_in = (unsigned char *)message;
            stream->avail_in = sizeof message;
            demand(deflate(stream, flushed ? Z_SYNC_FLUSH : Z_NO_FLUSH) == Z_OK && stream->avail_in == 0, "deflate", at);
        }
    }
    printf("%ld\n", resident_kib() - before);
    for (int at = 0; at < count; at++) {
        z_stream *stream = &streams[at];
        unsigned char plain[512];
        unsigned long plain_len = sizeof plain;
        if (inflating) {
            stream->next_in = packed + packed_len / 2;
            stream->avail_in = (unsigned)(packed_len - packed_len / 2);
            stream->next_out = room + stream->total_out;
            stream->avail_out = (unsigned)(sizeof room - stream->total_out);
            demand(inflate(stream, Z_NO_FLUSH) == Z_STREAM_END && stream->total_out == sizeof message, "end", at);
            demand(inflateEnd(stream) == Z_OK, "inflateEnd", at);
            continue;
        }
        unsigned long made = stream->total_out;
        unsigned char *whole = calloc(1, 1024);
        /* What the other streams wrote over was this one's: take it from a stream of the same input. */
        z_stream copy;
        demand(deflateCopy(&copy, stream) == Z_OK, "deflateCopy", at);
        copy.next_out = whole + made;
        copy.avail_out = (unsigned)(1024 - made);
        demand(deflate(&copy, Z_FINISH) == Z_STREAM_END, "finish", at);
        memcpy(whole, room, made);
        demand(uncompress(plain, &plain_len, whole, copy.total_out) == Z_OK && plain_len == sizeof message &&
                   !memcmp(plain, message, sizeof message), "other bytes", at);
        demand(deflateEnd(&copy) == Z_OK && deflateEnd(stream) == Z_DATA_ERROR, "deflateEnd", at);
        free(whole);
    }
    return 0;
}
