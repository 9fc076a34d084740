/* Loading and unloading in every order: what is loaded, unloaded and freed is told by a word of letters.
 *   d D  load, unload the default provider      w W  load, unload warpdrive
 *   k K  make, free a key with ours             s    sign with that key and verify with the default provider
 *   p P  start, free a signature and leave it   L    free the library context      f  fork: the child goes on alone
 *   c C  start, free a decryption and leave it  x    decrypt, with that context if there is one
 * Each word runs in a fresh library context. After the last word the process ends with whatever is left.
 * Usage: lifetimes MODULES WORD... ; prints one line per word. */
#include "pair.h"

#include <sys/wait.h>

struct state {
    OSSL_LIB_CTX *library;
    OSSL_PROVIDER *standard, *ours;
    EVP_PKEY *key;
    EVP_MD_CTX *pending;
    EVP_PKEY_CTX *cipher;
};

static const unsigned char text[] = "what outlives what";

static void sign(struct state *state)
{
    unsigned char signature[512];
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *inner = NULL;
    must(EVP_DigestSignInit_ex(context, &inner, "SHA256", state->library, "?provider=warpdrive", state->key, NULL) == 1, "init");
    must(strcmp(serving(inner), "warpdrive") == 0, "signed by %s", serving(inner));
    must(EVP_DigestSign(context, signature, &len, text, sizeof text) == 1, "sign");
    EVP_MD_CTX_reset(context);
    must(EVP_DigestVerifyInit_ex(context, NULL, "SHA256", state->library, "provider=default", state->key, NULL) == 1, "verify init");
    must(EVP_DigestVerify(context, signature, len, text, sizeof text) == 1, "verify");
    EVP_MD_CTX_free(context);
}

static EVP_PKEY_CTX *decryption(struct state *state)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(state->library, state->key, "?provider=warpdrive");
    must(context && EVP_PKEY_decrypt_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1, "decryption");
    must(strcmp(serving(context), "warpdrive") == 0, "decrypted by %s", serving(context));
    return context;
}

static void decrypt(struct state *state)
{
    unsigned char encrypted[512], opened[512];
    size_t encrypted_len = sizeof encrypted, opened_len = sizeof opened;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(state->library, state->key, "provider=default");
    must(context && EVP_PKEY_encrypt_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
             EVP_PKEY_encrypt(context, encrypted, &encrypted_len, text, sizeof text) == 1,
         "encrypt");
    EVP_PKEY_CTX_free(context);
    context = state->cipher ? state->cipher : decryption(state);
    must(EVP_PKEY_decrypt(context, opened, &opened_len, encrypted, encrypted_len) == 1 && opened_len == sizeof text &&
             memcmp(opened, text, sizeof text) == 0,
         "decrypt");
    /* A wrong one makes what raises its error. */
    encrypted[9] ^= 1;
    opened_len = sizeof opened;
    must(EVP_PKEY_decrypt(context, opened, &opened_len, encrypted, encrypted_len) <= 0, "decrypts what is wrong");
    ERR_clear_error();
    if (!state->cipher)
        EVP_PKEY_CTX_free(context);
}

static void step(struct state *state, char letter)
{
    switch (letter) {
    case 'd':
        state->standard = OSSL_PROVIDER_load(state->library, "default");
        must(state->standard != NULL, "load default");
        break;
    case 'D':
        must(OSSL_PROVIDER_unload(state->standard) == 1, "unload default");
        break;
    case 'w':
        state->ours = OSSL_PROVIDER_load(state->library, "warpdrive");
        must(state->ours != NULL, "load warpdrive");
        break;
    case 'W':
        must(OSSL_PROVIDER_unload(state->ours) == 1, "unload warpdrive");
        break;
    case 'k': {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(state->library, "RSA", "provider=warpdrive");
        must(context && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, 1024) == 1 &&
                 EVP_PKEY_generate(context, &state->key) == 1,
             "key");
        EVP_PKEY_CTX_free(context);
        break;
    }
    case 'K':
        EVP_PKEY_free(state->key);
        state->key = NULL;
        break;
    case 's':
        sign(state);
        break;
    case 'x':
        decrypt(state);
        break;
    case 'c':
        state->cipher = decryption(state);
        break;
    case 'C':
        EVP_PKEY_CTX_free(state->cipher);
        state->cipher = NULL;
        break;
    case 'p':
        state->pending = EVP_MD_CTX_new();
        must(EVP_DigestSignInit_ex(state->pending, NULL, "SHA384", state->library, "?provider=warpdrive", state->key, NULL) == 1 &&
                 EVP_DigestSignUpdate(state->pending, text, sizeof text) == 1,
             "pending");
        break;
    case 'P':
        EVP_MD_CTX_free(state->pending);
        state->pending = NULL;
        break;
    case 'n': {
        /* Nothing to fall back on: no RSA from us, and the reason on the queue. */
        EVP_SIGNATURE *signature = EVP_SIGNATURE_fetch(state->library, "RSA", "provider=warpdrive");
        char queue[512];
        must(signature == NULL, "RSA without a default provider");
        int said = 0;
        for (unsigned long error; (error = ERR_get_error()) != 0;) {
            ERR_error_string_n(error, queue, sizeof queue);
            said += strstr(queue, "no default provider is active") != NULL;
        }
        must(said == 1, "said %d times that there is no default provider", said);
        EVP_SIGNATURE_free(signature);
        break;
    }
    case 'f': {
        fflush(stdout);
        pid_t child = fork();
        if (child) {
            int status = -1;
            must(waitpid(child, &status, 0) == child && status == 0, "child: %d", status);
            break;
        }
        sign(state);
        decrypt(state);
        EVP_PKEY_CTX_free(state->cipher);
        EVP_PKEY_free(state->key);
        OSSL_PROVIDER_unload(state->ours);
        OSSL_PROVIDER_unload(state->standard);
        OSSL_LIB_CTX_free(state->library);
        exit(end());
    }
    case 'L':
        OSSL_LIB_CTX_free(state->library);
        state->library = NULL;
        break;
    default:
        must(0, "letter %c", letter);
    }
}

int main(int argc, char **argv)
{
    for (int word = 2; word < argc; word++) {
        struct state state = {.library = OSSL_LIB_CTX_new()};
        must(OSSL_PROVIDER_set_default_search_path(state.library, argv[1]) == 1, "search path");
        for (const char *letter = argv[word]; *letter; letter++)
            step(&state, *letter);
        printf("%s %s\n", argv[word], wrong ? "wrong" : "good");
    }
    return end();
}
