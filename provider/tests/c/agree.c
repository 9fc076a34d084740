/* Secrets from published vectors. Reads lines "FORM GROUP PRIVATE PUBLIC": FORM is `asn` (PUBLIC is a SubjectPublicKeyInfo), `point`
 * (an encoded point) or `raw` (both strings of RFC 7748, GROUP is the key type), numbers are hexadecimal, `-` is nothing. Prints
 * per line what our side and stock gave: two secrets in hexadecimal, `-` for a refusal. */
#include "pair.h"
#include <openssl/ec.h>
#include <openssl/x509.h>

static size_t bytes(const char *text, unsigned char *to, size_t size)
{
    size_t len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    if (len > size)
        exit(2);
    for (size_t i = 0; i < len; i++)
        sscanf(text + 2 * i, "%2hhx", &to[i]);
    return len;
}

static EVP_PKEY *key_of(int side, const char *type, const char *group, const unsigned char *private, size_t private_len,
                        const unsigned char *public, size_t public_len)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *number = NULL;
    if (group)
        OSSL_PARAM_BLD_push_utf8_string(builder, "group", group, 0);
    if (private && group)
        OSSL_PARAM_BLD_push_BN(builder, "priv", number = BN_bin2bn(private, (int)private_len, NULL));
    else if (private)
        OSSL_PARAM_BLD_push_octet_string(builder, "priv", private, private_len);
    if (public)
        OSSL_PARAM_BLD_push_octet_string(builder, "pub", public, public_len);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, properties[side]);
    if (context && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &key, private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_clear_free(number);
    return key;
}

int main(void)
{
    static char form[16], group[64], private_text[2000], public_text[20000];
    static unsigned char private[1000], public[10000];
    while (scanf("%15s %63s %1999s %19999s", form, group, private_text, public_text) == 4) {
        size_t private_len = bytes(private_text, private, sizeof private), public_len = bytes(public_text, public, sizeof public);
        int raw = strcmp(form, "raw") == 0;
        for (int side = 0; side < SIDES; side++) {
            unsigned char secret[200];
            size_t len = sizeof secret;
            const unsigned char *at = public;
            EVP_PKEY *key = key_of(side, raw ? group : "EC", raw ? NULL : group, private, private_len, NULL, 0), *peer;
            if (strcmp(form, "asn") == 0) {
                peer = d2i_PUBKEY_ex(NULL, &at, (long)public_len, NULL, properties[side]);
                /* What follows the key is none of it. */
                if (peer && at != public + public_len) {
                    EVP_PKEY_free(peer);
                    peer = NULL;
                }
            } else
                peer = key_of(side, raw ? group : "EC", raw ? NULL : group, NULL, 0, public, public_len);
            EVP_PKEY_CTX *context = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[side]) : NULL;
            int good = peer && context && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                       EVP_PKEY_derive(context, secret, &len) == 1;
            if (good)
                must(strcmp(serving(context), provider_names[side]) == 0, "served by %s", serving(context));
            for (size_t i = 0; good && i < len; i++)
                printf("%02x", secret[i]);
            printf("%s%c", good ? "" : "-", side == STOCK ? '\n' : ' ');
            EVP_PKEY_CTX_free(context);
            EVP_PKEY_free(key);
            EVP_PKEY_free(peer);
            ERR_clear_error();
        }
    }
    return end();
}
