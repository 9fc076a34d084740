/* Who makes a key and who signs with it: prints both providers' names and the result of one signature. Usage: who RSA */
#include "pair.h"

int main(int argc, char **argv)
{
    unsigned char signature[512], text[] = "who signs";
    size_t len = sizeof signature;
    EVP_PKEY *key = NULL;
    must(argc == 2, "one argument");
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, argv[1], NULL), *inner = NULL;
    must(context && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_generate(context, &key) == 1, "key");
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    must(EVP_DigestSignInit_ex(digest, &inner, "SHA256", NULL, NULL, key, NULL) == 1, "init");
    const char *signer = serving(inner), *maker = OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key));
    int status = EVP_DigestSign(digest, signature, &len, text, sizeof text);
    printf("%s %s %d\n", maker, signer, status);
    EVP_MD_CTX_free(digest);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    return end();
}
