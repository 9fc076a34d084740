/* Two sides of one question: the same calls with our provider preferred and with the default provider alone, in one
 * process. What both answer (return values, the whole error queue, bytes) must be equal. */
#ifndef PAIR_H
#define PAIR_H

#define _GNU_SOURCE
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OURS, STOCK, SIDES };
static const char *const properties[SIDES] = {"?provider=warpdrive", "provider=default"};
static const char *const provider_names[SIDES] = {"warpdrive", "default"};

static unsigned wrong;
/* Questions put to both sides: one key, one operation or sequence of calls, one choice of parameters. */
static unsigned long cases;
static uint64_t dice_state;

/* A number below `sides`; the same in every run with the same seed. */
static inline unsigned dice(unsigned sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice_state >> 33) % sides;
}

__attribute__((format(printf, 1, 2))) static inline void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("WRONG ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    wrong++;
}

__attribute__((format(printf, 2, 3))) static inline void must(int good, const char *format, ...)
{
    if (good)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("WRONG ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    wrong++;
    ERR_print_errors_fp(stdout);
}

/* Empties the thread's error queue into text: library and reason of each, oldest first. */
static inline void errors(char *text, size_t size)
{
    size_t at = 0;
    text[0] = 0;
    for (unsigned long error; (error = ERR_get_error()) != 0 && at + 32 < size;)
        at += (size_t)snprintf(text + at, size - at, "%d:%d ", ERR_GET_LIB(error), ERR_GET_REASON(error));
}

static inline const char *serving(EVP_PKEY_CTX *context)
{
    const OSSL_PROVIDER *provider = EVP_PKEY_CTX_get0_provider(context);
    return provider ? OSSL_PROVIDER_get0_name(provider) : "nobody";
}

/* A fresh RSA key; `exponent` 0 is the usual one. */
static inline EVP_PKEY *generate(const char *props, unsigned bits, unsigned primes, unsigned long exponent)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", props);
    int good = context && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, (int)bits) == 1 &&
               (primes == 2 || EVP_PKEY_CTX_set_rsa_keygen_primes(context, (int)primes) == 1);
    if (good && exponent) {
        BIGNUM *number = BN_new();
        BN_set_word(number, exponent);
        good = EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, number) == 1;
        BN_free(number);
    }
    must(good && EVP_PKEY_generate(context, &key) == 1, "generate %u bits, %u primes", bits, primes);
    EVP_PKEY_CTX_free(context);
    if (!key)
        exit(2);
    return key;
}

/* The same key with only some of its numbers. */
static inline EVP_PKEY *part_of(EVP_PKEY *whole, const char *const *names)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[8] = {0};
    for (int i = 0; names[i]; i++) {
        must(EVP_PKEY_get_bn_param(whole, names[i], &numbers[i]) == 1, "number %s", names[i]);
        OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]);
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", properties[STOCK]);
    must(EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) == 1, "fromdata");
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    for (int i = 0; i < 8; i++)
        BN_clear_free(numbers[i]);
    if (!key)
        exit(2);
    return key;
}

static inline int end(void)
{
    if (cases)
        printf("cases %lu\n", cases);
    if (wrong)
        printf("%u wrong\n", wrong);
    return wrong ? 1 : 0;
}

#endif
