/* What one caller of libcrypto and zlib does, and checks: sign and verify, compress and inflate again. Nothing here knows
 * of warpdrive; it comes in by environment. */
#ifndef WORK_H
#define WORK_H

#define _GNU_SOURCE
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static inline EVP_PKEY *read_key(const char *path)
{
    FILE *file = fopen(path, "r");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose(file);
    if (!key) {
        ERR_print_errors_fp(stderr);
        exit(2);
    }
    return key;
}

/* Signs `len` bytes with RSA PKCS#1 v1.5 and SHA-256, and verifies the signature. Returns 1, or 0 with a note on stderr. */
static inline int sign(EVP_PKEY *key, const unsigned char *data, size_t len)
{
    unsigned char signature[512];
    size_t signature_len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context && EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
               EVP_DigestSign(context, signature, &signature_len, data, len) == 1;
    EVP_MD_CTX_free(context);
    if (good) {
        context = EVP_MD_CTX_new();
        good = context && EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
               EVP_DigestVerify(context, signature, signature_len, data, len) == 1;
        EVP_MD_CTX_free(context);
    }
    if (!good)
        ERR_print_errors_fp(stderr);
    return good;
}

/* Fills a buffer with text-like bytes that differ by seed and compress about three to one. */
static inline void fill(unsigned char *data, size_t len, uint32_t seed)
{
    static const char *words[] = {"queue ", "doorbell ", "descriptor ", "ring ", "phase ", "completion ", "the ", "of\n"};
    size_t at = 0;
    while (at < len) {
        seed = seed * 1664525u + 1013904223u;
        const char *word = words[seed >> 29];
        size_t n = strlen(word);
        if (n > len - at)
            n = len - at;
        memcpy(data + at, word, n);
        at += n;
        if (at < len && (seed >> 20 & 7) == 0)
            data[at++] = (unsigned char)(seed >> 8);
    }
}

/* Compresses in gzip form, 64 KiB at a time with Z_NO_FLUSH and an empty Z_FINISH at the end as most programs do, inflates
 * the result and compares. Returns 1, or 0 with a note on stderr. */
static inline int compress_and_inflate(const unsigned char *data, size_t len)
{
    size_t room = len + len / 8 + 4096;
    unsigned char *packed = malloc(room), *plain = malloc(len + 1);
    z_stream stream = {0};
    int good = 0, status = deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    size_t at = 0, packed_len = 0;
    if (!packed || !plain || status != Z_OK)
        goto out;
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    while (at < len && status == Z_OK) {
        size_t n = len - at < 65536 ? len - at : 65536;
        stream.next_in = (Bytef *)(uintptr_t)(data + at);
        stream.avail_in = (uInt)n;
        status = deflate(&stream, Z_NO_FLUSH);
        if (stream.avail_in != 0)
            status = Z_BUF_ERROR;
        at += n;
    }
    if (status == Z_OK)
        status = deflate(&stream, Z_FINISH);
    packed_len = room - stream.avail_out;
    deflateEnd(&stream);
    if (status != Z_STREAM_END)
        goto out;
    memset(&stream, 0, sizeof stream);
    status = inflateInit2(&stream, 31);
    if (status != Z_OK)
        goto out;
    stream.next_in = packed;
    stream.avail_in = (uInt)packed_len;
    stream.next_out = plain;
    stream.avail_out = (uInt)len + 1;
    status = inflate(&stream, Z_FINISH);
    good = status == Z_STREAM_END && stream.total_out == len && memcmp(plain, data, len) == 0;
    inflateEnd(&stream);
out:
    if (!good)
        fprintf(stderr, "compression came out wrong: zlib status %d\n", status);
    free(packed);
    free(plain);
    return good;
}

#endif
