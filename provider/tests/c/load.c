/* Loading and unloading in every order, a second library context, no default provider, threads on one key, children of a
 * process with live contexts. Usage: load WHAT; the provider is found by OPENSSL_MODULES, no configuration file is needed. */
#include "pair.h"

#include <pthread.h>
#include <sys/wait.h>

/* One signature in a library context, by the provider that `props` asks for; it must be `by`. */
static int signs(OSSL_LIB_CTX *library, EVP_PKEY *key, const char *props, const char *by)
{
    unsigned char signature[512];
    size_t len = sizeof signature;
    EVP_PKEY_CTX *inner = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = EVP_DigestSignInit_ex(context, &inner, "SHA256", library, props, key, NULL) == 1 && strcmp(serving(inner), by) == 0 &&
               EVP_DigestSign(context, signature, &len, (const unsigned char *)"message", 7) == 1;
    EVP_MD_CTX_free(context);
    if (good) {
        context = EVP_MD_CTX_new();
        good = EVP_DigestVerifyInit_ex(context, NULL, "SHA256", library, "provider=default", key, NULL) == 1 &&
               EVP_DigestVerify(context, signature, len, (const unsigned char *)"message", 7) == 1;
        EVP_MD_CTX_free(context);
    }
    return good;
}

static EVP_PKEY *key_in(OSSL_LIB_CTX *library)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(library, "provider=default", "RSA", (size_t)2048);
    must(key != NULL, "generate");
    return key;
}

/* Both orders of loading, both of unloading, key freed before or after, again and again in one and in fresh contexts. */
static void orders(void)
{
    for (int way = 0; way < 16; way++) {
        OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
        for (int again = 0; again < 2; again++) {
            OSSL_PROVIDER *ours, *stock;
            if (way & 1) {
                ours = OSSL_PROVIDER_load(library, "warpdrive");
                stock = OSSL_PROVIDER_load(library, "default");
            } else {
                stock = OSSL_PROVIDER_load(library, "default");
                ours = OSSL_PROVIDER_load(library, "warpdrive");
            }
            must(ours && stock, "way %d: load", way);
            EVP_PKEY *key = key_in(library);
            must(signs(library, key, "?provider=warpdrive", "warpdrive"), "way %d, round %d: sign", way, again);
            if (way & 2)
                EVP_PKEY_free(key);
            must(OSSL_PROVIDER_unload(way & 4 ? ours : stock) == 1, "unload");
            must(OSSL_PROVIDER_unload(way & 4 ? stock : ours) == 1, "unload");
            if (!(way & 2))
                EVP_PKEY_free(key);
        }
        if (way & 8) {
            /* The library context ends with everything loaded. */
            OSSL_PROVIDER_load(library, "warpdrive");
            OSSL_PROVIDER_load(library, "default");
        }
        OSSL_LIB_CTX_free(library);
    }
}

static void contexts(void)
{
    OSSL_LIB_CTX *library[2] = {OSSL_LIB_CTX_new(), OSSL_LIB_CTX_new()};
    EVP_PKEY *key[2];
    for (int i = 0; i < 2; i++) {
        must(OSSL_PROVIDER_load(library[i], "default") && OSSL_PROVIDER_load(library[i], "warpdrive"), "load %d", i);
        key[i] = key_in(library[i]);
        must(signs(library[i], key[i], "?provider=warpdrive", "warpdrive"), "context %d", i);
    }
    EVP_PKEY_free(key[0]);
    OSSL_LIB_CTX_free(library[0]);
    must(signs(library[1], key[1], "?provider=warpdrive", "warpdrive"), "the other context after the first one's end");
    EVP_PKEY_free(key[1]);
    OSSL_LIB_CTX_free(library[1]);
}

/* Ours alone offers nothing, says why, and works once the default provider is there. */
static void alone(void)
{
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    must(OSSL_PROVIDER_load(library, "warpdrive") != NULL, "load");
    EVP_SIGNATURE *signature = EVP_SIGNATURE_fetch(library, "RSA", NULL);
    must(signature == NULL, "offers RSA without a default provider");
    int said = 0;
    for (unsigned long error; (error = ERR_get_error()) != 0;)
        said += ERR_reason_error_string(error) && strcmp(ERR_reason_error_string(error), "no default provider is active") == 0;
    must(said == 1, "said %d times why nothing is offered", said);
    must(OSSL_PROVIDER_load(library, "default") != NULL, "load default");
    EVP_PKEY *key = key_in(library);
    must(signs(library, key, "?provider=warpdrive", "warpdrive"), "after the default provider came");
    EVP_PKEY_free(key);
    OSSL_LIB_CTX_free(library);
}

static EVP_PKEY *shared;

static void *work(void *argument)
{
    for (int i = 0; i < 20; i++)
        must(signs(NULL, shared, "?provider=warpdrive", "warpdrive"), "a thread's signature");
    return argument;
}

static void threads(void)
{
    pthread_t ids[8];
    shared = key_in(NULL);
    for (int i = 0; i < 8; i++)
        pthread_create(&ids[i], NULL, work, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(ids[i], NULL);
    EVP_PKEY_free(shared);
    printf("rsa-2048-private done 160\n");
}

/* A context half fed in the parent is finished in the parent and in each child; all signatures are equal. */
static void children(void)
{
    unsigned char first[512], second[512];
    size_t first_len = sizeof first;
    shared = key_in(NULL);
    must(signs(NULL, shared, "?provider=warpdrive", "warpdrive"), "before the fork");
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, "?provider=warpdrive", shared, NULL) == 1 &&
             EVP_DigestSignUpdate(context, "half", 4) == 1,
         "begin");
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestSignUpdate(copy, "other", 5) == 1 &&
             EVP_DigestSignFinal(copy, first, &first_len) == 1,
         "the parent's own");
    EVP_MD_CTX_free(copy);
    fflush(stdout);
    for (int child = 0; child < 10; child++) {
        pid_t pid = fork();
        if (pid == 0) {
            size_t second_len = sizeof second;
            int good = EVP_DigestSignUpdate(context, "other", 5) == 1 && EVP_DigestSignFinal(context, second, &second_len) == 1 &&
                       second_len == first_len && memcmp(first, second, first_len) == 0 &&
                       signs(NULL, shared, "?provider=warpdrive", "warpdrive");
            EVP_MD_CTX_free(context);
            EVP_PKEY_free(shared);
            exit(good ? 0 : 1);
        }
        int status = 0;
        must(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d: %x", child, (unsigned)status);
    }
    must(signs(NULL, shared, "?provider=warpdrive", "warpdrive"), "after the children");
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(shared);
    printf("rsa-2048-private done %d\n", 3 + 10 * 2);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"orders", orders}, {"contexts", contexts}, {"alone", alone}, {"threads", threads}, {"children", children}};
    for (size_t i = 0; argc == 2 && i < sizeof all / sizeof *all; i++)
        if (strcmp(argv[1], all[i].name) == 0) {
            all[i].run();
            return end();
        }
    return 2;
}
