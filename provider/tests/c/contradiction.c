/* Keys whose CRT numbers contradict each other sign as with the default provider; a good key after each of them signs where it
 * would have signed without them. Prints the expected counts like compare.c. */
#include "pair.h"

static const char *const names[] = {"n", "e", "d", "rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"};
enum { NAMES = sizeof names / sizeof *names };

/* A copy of the key with one number changed. */
static EVP_PKEY *damaged(EVP_PKEY *whole, const char *which)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[NAMES] = {0};
    EVP_PKEY *key = NULL;
    for (int i = 0; i < NAMES; i++) {
        must(EVP_PKEY_get_bn_param(whole, names[i], &numbers[i]) == 1, "number %s", names[i]);
        if (strcmp(names[i], which) == 0)
            BN_sub_word(numbers[i], 2);
        OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]);
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", properties[STOCK]);
    must(EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) == 1, "damaged key");
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    for (int i = 0; i < NAMES; i++)
        BN_clear_free(numbers[i]);
    return key;
}

static void sign(EVP_PKEY *key, const char *what)
{
    unsigned char signatures[SIDES][256];
    cases++;
    for (int side = 0; side < SIDES; side++) {
        EVP_MD_CTX *digest = EVP_MD_CTX_new();
        EVP_PKEY_CTX *context = NULL;
        size_t len = sizeof signatures[side];
        must(EVP_DigestSignInit_ex(digest, &context, "SHA256", NULL, properties[side], key, NULL) == 1 &&
                 EVP_DigestSign(digest, signatures[side], &len, (const unsigned char *)what, strlen(what)) == 1 && len == 256,
             "%s: %s", provider_names[side], what);
        must(strcmp(serving(context), provider_names[side]) == 0, "served by %s", serving(context));
        EVP_MD_CTX_free(digest);
    }
    must(memcmp(signatures[OURS], signatures[STOCK], 256) == 0, "%s: another signature", what);
}

int main(void)
{
    static const char *const wrongs[] = {"rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"};
    enum { WRONGS = sizeof wrongs / sizeof *wrongs };
    EVP_PKEY *good = generate(properties[STOCK], 2048, 2, 0);
    for (int i = 0; i < WRONGS; i++) {
        EVP_PKEY *bad = damaged(good, wrongs[i]);
        sign(bad, wrongs[i]);
        sign(bad, "and again");
        sign(good, "a good key");
        EVP_PKEY_free(bad);
    }
    EVP_PKEY_free(good);
    printf("rsa-2048-private hardware %d\nrsa-2048-private software %d\n", WRONGS, 2 * WRONGS);
    return end();
}
