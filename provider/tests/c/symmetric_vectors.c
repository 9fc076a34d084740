/* Vectors of AES-256-CBC from a file, one per line, fields apart by spaces, bytes in hexadecimal, "-" for nothing:
 *   EXPECTED PADDING KEY IV MESSAGE CIPHERTEXT
 * EXPECTED is valid, invalid or acceptable; PADDING 0 or 1. Our side must do as expected, with the text in one piece and in
 * pieces of every length up to two blocks, and whatever the default provider does. Prints "vectors N", and "runs N", the runs
 * of whole blocks that our side handed to the core. Usage: symmetric_vectors FILE */
#include "pair.h"

enum { BLOCK = 16, FIELDS = 6, ROOM = 1024 };

static EVP_CIPHER *ciphers[SIDES];
static unsigned char *bytes[FIELDS];
static size_t lens[FIELDS];
static unsigned long runs;

/* 1, or what refused. */
static int go(int side, int encrypts, int padding, size_t piece, const unsigned char *in, size_t len, unsigned char *out, size_t *out_len)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int given = 0, status = EVP_CipherInit_ex2(context, ciphers[side], bytes[2], bytes[3], encrypts, NULL);
    *out_len = 0;
    status = status == 1 ? EVP_CIPHER_CTX_set_padding(context, padding) : 0;
    for (size_t at = 0; at < len && status == 1; at += piece) {
        size_t next = len - at < piece ? len - at : piece;
        status = EVP_CipherUpdate(context, out + *out_len, &given, in + at, (int)next);
        runs += side == OURS && given > 0;
        *out_len += (size_t)given;
    }
    if (status == 1) {
        status = EVP_CipherFinal_ex(context, out + *out_len, &given);
        *out_len += (size_t)given;
    }
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    return status;
}

int main(int argc, char **argv)
{
    static char line[1 << 16];
    unsigned long number = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file)
        return 2;
    for (int side = 0; side < SIDES; side++) {
        ciphers[side] = EVP_CIPHER_fetch(NULL, "AES-256-CBC", properties[side]);
        must(ciphers[side] && strcmp(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(ciphers[side])), provider_names[side]) == 0, "not served");
    }
    while (fgets(line, sizeof line, file)) {
        char *field[FIELDS] = {NULL};
        int fields = 0;
        number++;
        for (char *word = strtok(line, " \n"); word && fields < FIELDS; word = strtok(NULL, " \n"))
            field[fields++] = word;
        must(fields == FIELDS, "line %lu: %d fields", number, fields);
        if (fields != FIELDS)
            continue;
        for (int i = 2; i < FIELDS; i++) {
            long len = 0;
            OPENSSL_free(bytes[i]);
            bytes[i] = strcmp(field[i], "-") ? OPENSSL_hexstr2buf(field[i], &len) : NULL;
            lens[i] = (size_t)len;
        }
        int padding = atoi(field[1]), is_valid = field[0][0] == 'v';
        must(lens[2] == 32 && lens[3] == BLOCK && lens[4] + BLOCK < ROOM && lens[5] + BLOCK < ROOM, "line %lu: lengths", number);
        for (size_t piece = 1; piece <= 2 * BLOCK + 1; piece++) {
            size_t step = piece > 2 * BLOCK ? ROOM : piece;
            for (int encrypts = 0; encrypts < 2; encrypts++) {
                unsigned char out[SIDES][ROOM] = {{0}};
                size_t len[SIDES];
                int status[SIDES], from = encrypts ? 4 : 5, to = encrypts ? 5 : 4;
                for (int side = 0; side < SIDES; side++)
                    status[side] = go(side, encrypts, padding, step, bytes[from], lens[from], out[side], &len[side]);
                must(status[OURS] == status[STOCK] && len[OURS] == len[STOCK] && memcmp(out[OURS], out[STOCK], ROOM) == 0,
                     "line %lu, pieces of %zu: the default provider answers otherwise", number, step);
                /* Only what decrypts may be invalid. */
                int right = status[OURS] == 1 && len[OURS] == lens[to] && (lens[to] == 0 || memcmp(out[OURS], bytes[to], lens[to]) == 0);
                if (is_valid || (!encrypts && field[0][0] == 'i'))
                    must(right == is_valid, "line %lu, pieces of %zu: %d, expected %s", number, step, right, field[0]);
            }
        }
    }
    fclose(file);
    for (int i = 2; i < FIELDS; i++)
        OPENSSL_free(bytes[i]);
    for (int side = 0; side < SIDES; side++)
        EVP_CIPHER_free(ciphers[side]);
    printf("vectors %lu\nruns %lu\n", number, runs);
    return end();
}
