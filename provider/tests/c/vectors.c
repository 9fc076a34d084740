/* Vectors from a file, one per line, fields apart by spaces, bytes in hexadecimal, "-" for nothing:
 *   key private PKCS8          key public SPKI
 *   decrypt EXPECTED PADDING DIGEST MASK LABEL CIPHERTEXT MESSAGE
 *   verify EXPECTED PADDING DIGEST MASK SALT MESSAGE SIGNATURE      (PADDING 0: a curve's)
 * EXPECTED is valid, invalid or acceptable. Our side must do as expected, and whatever the default provider does. Prints
 * "decrypted N verified N". Usage: vectors FILE */
#include "pair.h"

#include <openssl/x509.h>

enum { FIELDS = 8 };
static unsigned char *bytes[FIELDS];
static size_t lens[FIELDS];

static size_t from_hex(const char *text, unsigned char **out)
{
    long len = 0;
    OPENSSL_free(*out);
    *out = strcmp(text, "-") ? OPENSSL_hexstr2buf(text, &len) : NULL;
    return *out ? (size_t)len : 0;
}

static int decrypt(int side, EVP_PKEY *key, char **field, unsigned char *out, size_t *out_len)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[side]);
    int padding = atoi(field[2]), status;
    OSSL_PARAM params[5], *next = params;
    *next++ = OSSL_PARAM_construct_int("pad-mode", &padding);
    if (strcmp(field[3], "-")) {
        *next++ = OSSL_PARAM_construct_utf8_string("digest", field[3], 0);
        *next++ = OSSL_PARAM_construct_utf8_string("mgf1-digest", field[4], 0);
        if (lens[5])
            *next++ = OSSL_PARAM_construct_octet_string("oaep-label", bytes[5], lens[5]);
    }
    *next = OSSL_PARAM_construct_end();
    status = EVP_PKEY_decrypt_init_ex(context, params);
    must(strcmp(serving(context), provider_names[side]) == 0, "served by %s", serving(context));
    if (status > 0)
        status = EVP_PKEY_decrypt(context, out, out_len, bytes[6], lens[6]);
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return status;
}

static int verify(int side, EVP_PKEY *key, char **field)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *inner = NULL;
    int padding = atoi(field[2]), salt = atoi(field[5]), status;
    OSSL_PARAM params[4], *next = params;
    if (padding)
        *next++ = OSSL_PARAM_construct_int("pad-mode", &padding);
    if (padding == RSA_PKCS1_PSS_PADDING) {
        *next++ = OSSL_PARAM_construct_int("saltlen", &salt);
        *next++ = OSSL_PARAM_construct_utf8_string("mgf1-digest", field[4], 0);
    }
    *next = OSSL_PARAM_construct_end();
    status = EVP_DigestVerifyInit_ex(context, &inner, field[3], NULL, properties[side], key, params);
    must(strcmp(serving(inner), provider_names[side]) == 0, "verification served by %s", serving(inner));
    if (status > 0)
        status = EVP_DigestVerify(context, bytes[7], lens[7], bytes[6], lens[6]);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return status;
}

int main(int argc, char **argv)
{
    static char line[1 << 18];
    unsigned long decrypted = 0, verified = 0, number = 0;
    EVP_PKEY *key = NULL;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file)
        return 2;
    while (fgets(line, sizeof line, file)) {
        char *field[FIELDS] = {NULL};
        int fields = 0;
        number++;
        for (char *word = strtok(line, " \n"); word && fields < FIELDS; word = strtok(NULL, " \n"))
            field[fields++] = word;
        if (fields == 3) {
            const unsigned char *at;
            lens[2] = from_hex(field[2], &bytes[2]);
            at = bytes[2];
            EVP_PKEY_free(key);
            key = strcmp(field[1], "private") == 0 ? d2i_AutoPrivateKey(NULL, &at, (long)lens[2]) : d2i_PUBKEY(NULL, &at, (long)lens[2]);
            must(key != NULL, "line %lu: key", number);
            continue;
        }
        must(fields == FIELDS, "line %lu: %d fields", number, fields);
        if (fields != FIELDS || !key)
            continue;
        int status[SIDES], is_decryption = strcmp(field[0], "decrypt") == 0;
        for (int i = is_decryption ? 5 : 6; i < FIELDS; i++)
            lens[i] = from_hex(field[i], &bytes[i]);
        if (is_decryption) {
            unsigned char out[SIDES][1024] = {{0}};
            size_t out_len[SIDES] = {sizeof out[0], sizeof out[1]};
            for (int side = 0; side < SIDES; side++)
                status[side] = decrypt(side, key, field, out[side], &out_len[side]);
            must(status[OURS] == status[STOCK] && out_len[OURS] == out_len[STOCK] && memcmp(out[OURS], out[STOCK], sizeof out[0]) == 0,
                 "line %lu: the default provider decrypts to something else", number);
            /* Implicit rejection gives another message. */
            int right = status[OURS] == 1 && out_len[OURS] == lens[7] && (lens[7] == 0 || memcmp(out[OURS], bytes[7], lens[7]) == 0);
            must(field[1][0] == 'a' || right == (field[1][0] == 'v'), "line %lu: decrypted %d, expected %s", number, right, field[1]);
            decrypted++;
        } else {
            for (int side = 0; side < SIDES; side++)
                status[side] = verify(side, key, field);
            must((status[OURS] == 1) == (status[STOCK] == 1), "line %lu: the default provider verifies %d, ours %d", number, status[STOCK], status[OURS]);
            must(field[1][0] == 'a' || (status[OURS] == 1) == (field[1][0] == 'v'), "line %lu: verified %d, expected %s", number, status[OURS], field[1]);
            verified++;
        }
    }
    fclose(file);
    EVP_PKEY_free(key);
    for (int i = 0; i < FIELDS; i++)
        OPENSSL_free(bytes[i]);
    printf("decrypted %lu verified %lu\n", decrypted, verified);
    return end();
}
