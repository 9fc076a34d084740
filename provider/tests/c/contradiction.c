/* Keys whose numbers contradict each other, or are too long for OpenSSL's own public operation, sign as with the default provider; a good
 * key after each of them signs where it would have signed without them. Prints the expected counts like compare.c.
 * With "sound" it signs with sound keys without primes alone, for a device that is to blame. */
#include "pair.h"

static const char *const names[] = {"n", "e", "d", "rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"};
enum { NAMES = sizeof names / sizeof *names };

/* A copy of the key, of a type, with one number changed and only the first so many of them. */
static EVP_PKEY *damaged(EVP_PKEY *whole, const char *type, const char *which, int count)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[NAMES] = {0};
    EVP_PKEY *key = NULL;
    for (int i = 0; i < count; i++) {
        must(EVP_PKEY_get_bn_param(whole, names[i], &numbers[i]) == 1, "number %s", names[i]);
        if (strcmp(names[i], which) == 0)
            BN_sub_word(numbers[i], 2);
        OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]);
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, properties[STOCK]);
    must(EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) == 1, "damaged key");
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    for (int i = 0; i < count; i++)
        BN_clear_free(numbers[i]);
    return key;
}

/* A key whose public exponent is longer than OpenSSL takes for moduli of that length. */
static EVP_PKEY *long_exponent(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", properties[STOCK]);
    BIGNUM *exponent = NULL;
    BN_hex2bn(&exponent, "1000000000000000000000001d");
    must(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, 4096) == 1 &&
             EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent) == 1 && EVP_PKEY_generate(context, &key) == 1,
         "a key with a long exponent");
    BN_free(exponent);
    EVP_PKEY_CTX_free(context);
    return key;
}

/* What a key that does not fit itself signs is another thing each time, for OpenSSL blinds it; and PSS has a salt. */
static int repeats;

static void sign(EVP_PKEY *key, const char *what)
{
    unsigned char signatures[SIDES][512];
    size_t size = (size_t)EVP_PKEY_get_size(key);
    cases++;
    for (int side = 0; side < SIDES; side++) {
        EVP_MD_CTX *digest = EVP_MD_CTX_new();
        EVP_PKEY_CTX *context = NULL;
        size_t len = sizeof signatures[side];
        must(EVP_DigestSignInit_ex(digest, &context, "SHA256", NULL, properties[side], key, NULL) == 1 &&
                 EVP_DigestSign(digest, signatures[side], &len, (const unsigned char *)what, strlen(what)) == 1 && len == size,
             "%s: %s", provider_names[side], what);
        must(strcmp(serving(context), provider_names[side]) == 0, "served by %s", serving(context));
        EVP_MD_CTX_free(digest);
    }
    must(!repeats || memcmp(signatures[OURS], signatures[STOCK], size) == 0, "%s: another signature", what);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *type, *number;
        int count, repeats;
    } wrongs[] = {
        {"RSA", "rsa-exponent1", NAMES, 1}, {"RSA", "rsa-exponent2", NAMES, 1}, {"RSA", "rsa-coefficient1", NAMES, 1},
        {"RSA", "d", 3, 0},                 {"RSA-PSS", "d", 3, 0},
    };
    enum { WRONGS = sizeof wrongs / sizeof *wrongs };
    EVP_PKEY *good = generate(properties[STOCK], 2048, 2, 0);
    if (argc == 2 && strcmp(argv[1], "sound") == 0) {
        for (int i = 0; i < 20; i++) {
            EVP_PKEY *key = damaged(good, i % 2 ? "RSA" : "RSA-PSS", "none", 3);
            repeats = i % 2;
            sign(key, "a sound key");
            EVP_PKEY_free(key);
        }
        EVP_PKEY_free(good);
        return end();
    }
    for (int i = 0; i < WRONGS; i++) {
        EVP_PKEY *bad = damaged(good, wrongs[i].type, wrongs[i].number, wrongs[i].count);
        repeats = wrongs[i].repeats;
        sign(bad, wrongs[i].number);
        sign(bad, "and again");
        repeats = 1;
        sign(good, "a good key");
        EVP_PKEY_free(bad);
    }
    EVP_PKEY *long_whole = long_exponent();
    for (int count = 3; count <= NAMES; count += NAMES - 3) {
        EVP_PKEY *longer = damaged(long_whole, "RSA", "none", count);
        sign(longer, "a long exponent");
        sign(good, "a good key");
        EVP_PKEY_free(longer);
    }
    EVP_PKEY_free(long_whole);
    EVP_PKEY_free(good);
    printf("rsa-2048-private hardware %d\nrsa-2048-private software %d\nrsa-4096-private software 2\n", WRONGS + 2, 2 * WRONGS);
    return end();
}
