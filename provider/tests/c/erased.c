/* Whether the private numbers of a key are still in this process's memory after it was used once and freed.
 *   erased mask KEY MASKED   writes the ends of the numbers of the key in a file, disguised, to a file
 *   erased use KEY MASKED    uses the key with our provider, frees it, and looks for them; prints which it found, and "left N"
 * Two processes, because the first one has them in memory however they are erased. */
#include "pair.h"
#include <fcntl.h>

enum { NUMBERS = 6, END = 24, DISGUISE = 0xc3, PIECE = 1 << 16 };
static const char *const names[NUMBERS] = {"d", "rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"};

static EVP_PKEY *read_key(const char *path)
{
    FILE *file = fopen(path, "r");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    must(key != NULL, "no key in %s", path);
    if (!key)
        exit(2);
    fclose(file);
    return key;
}

static int mask(EVP_PKEY *key, const char *path)
{
    FILE *file = fopen(path, "w");
    for (int i = 0; i < NUMBERS; i++) {
        static unsigned char bytes[600];
        BIGNUM *number = NULL;
        const char *name = EVP_PKEY_is_a(key, "RSA") ? names[i] : i == 0 ? "priv" : NULL;
        if (!name || EVP_PKEY_get_bn_param(key, name, &number) != 1)
            continue;
        int len = BN_bn2bin(number, bytes);
        for (int at = len - END; at < len; at++)
            fputc(bytes[at] ^ DISGUISE, file);
        BN_clear_free(number);
    }
    return fclose(file);
}

static void sign(EVP_PKEY *key)
{
    unsigned char signature[600];
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, properties[OURS], key, NULL) == 1 &&
             EVP_DigestSign(context, signature, &len, (const unsigned char *)"abc", 3) == 1,
         "sign");
    EVP_MD_CTX_free(context);
}

/* Something that has no padding: versions with implicit rejection then hash the private exponent. */
static void decrypt(EVP_PKEY *key)
{
    unsigned char bytes[600] = {1}, opened[600];
    size_t len = sizeof opened;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[OURS]);
    must(EVP_PKEY_decrypt_init(context) == 1, "decrypt init");
    EVP_PKEY_decrypt(context, opened, &len, bytes, (size_t)EVP_PKEY_get_size(key));
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
}

static void derive(EVP_PKEY *key)
{
    unsigned char secret[600];
    size_t len = sizeof secret;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[OURS]);
    must(EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, key) == 1 && EVP_PKEY_derive(context, secret, &len) == 1, "derive");
    OPENSSL_cleanse(secret, sizeof secret);
    EVP_PKEY_CTX_free(context);
}

/* Whether the bytes at `at` are those that are disguised: lowest first as numbers are computed with, or highest first as they are
 * written in files. */
static int is_end(const unsigned char *at, const unsigned char *disguised, int as_in_files)
{
    int same = as_in_files, turned = 1;
    for (int i = 0; i < END && (same || turned); i++) {
        same = same && (at[i] ^ DISGUISE) == disguised[i];
        turned = turned && (at[i] ^ DISGUISE) == disguised[END - 1 - i];
    }
    return same || turned;
}

static int look(const unsigned char disguised[][END], int count, int as_in_files)
{
    /* Not on the heap, which is looked at. */
    static unsigned char piece[PIECE + END];
    int found = 0, memory = open("/proc/self/mem", O_RDONLY);
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], rights[8];
    unsigned long start, end;
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) != 3 || strncmp(rights, "rw", 2) != 0)
            continue;
        for (unsigned long at = start; at < end; at += PIECE) {
            ssize_t len = pread(memory, piece, end - at < sizeof piece ? end - at : sizeof piece, (off_t)at);
            for (ssize_t i = 0; i + END <= len && i < PIECE; i++)
                for (int number = 0; number < count; number++)
                    if (is_end(piece + i, disguised[number], as_in_files)) {
                        /* What the loop has read is in memory twice. */
                        if (at + (unsigned long)i >= (uintptr_t)piece && at + (unsigned long)i < (uintptr_t)piece + sizeof piece)
                            continue;
                        printf("found %s at %lx in %s", names[number], at + (unsigned long)i, line);
                        found++;
                    }
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

int main(int argc, char **argv)
{
    static unsigned char disguised[NUMBERS][END];
    if (argc != 4)
        return 2;
    EVP_PKEY *key = read_key(argv[2]);
    if (strcmp(argv[1], "mask") == 0)
        return mask(key, argv[3]);
    int is_rsa = EVP_PKEY_is_a(key, "RSA");
    if (is_rsa) {
        sign(key);
        decrypt(key);
    } else {
        derive(key);
    }
    EVP_PKEY_free(key);
    FILE *file = fopen(argv[3], "r");
    int count = (int)fread(disguised, END, NUMBERS, file);
    fclose(file);
    must(count == (is_rsa ? NUMBERS : 1), "%d numbers", count);
    cases++;
    /* Of a DH key OpenSSL's own decoder leaves what it read. */
    printf("left %d\n", look((const unsigned char(*)[END])disguised, count, is_rsa));
    return end();
}
