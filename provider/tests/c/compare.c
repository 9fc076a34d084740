/* Keys, digests, paddings, salt lengths, one call or many: every combination on both sides. Prints at the end, per row of
 * the counters, how many private operations our side finished and where a device that is there would have done them:
 * "ROW hardware N" or "ROW software N". Usage: compare SEED KEYS-OF-2048-BITS */
#include "pair.h"

enum how { BARE, ONCE, STREAMED, HOWS };
static const char *const hows[HOWS] = {"sign", "digest-sign at once", "digest-sign in parts"};

struct row {
    const char *name;
    unsigned long hardware, software;
};
static struct row rows[] = {{"rsa-1024-private", 0, 0}, {"rsa-2048-private", 0, 0}, {"rsa-3072-private", 0, 0},
                            {"rsa-4096-private", 0, 0}, {"rsa-other-private", 0, 0}};

struct key {
    EVP_PKEY *key;
    const char *label;
    unsigned bits;
    int device_can;
};

struct question {
    const char *digest, *mask;
    int padding, salt;
    enum how how;
};

struct answer {
    int status, verified;
    size_t len;
    unsigned char bytes[1024];
    char errors[512], verify_errors[512];
};

static unsigned char message[5000];

static size_t message_len(const struct question *question, const struct key *key)
{
    if (question->how != BARE)
        return question->digest && dice(8) == 0 ? 0 : dice(sizeof message);
    if (question->digest) {
        EVP_MD *digest = EVP_MD_fetch(NULL, question->digest, "provider=default");
        int size = digest ? EVP_MD_get_size(digest) : 20;
        EVP_MD_free(digest);
        /* Now and then a wrong size. */
        return dice(8) == 0 ? dice(80) : (size_t)size;
    }
    size_t whole = (key->bits + 7) / 8;
    return question->padding == RSA_NO_PADDING && dice(4) ? whole : dice(4) ? dice(64) : whole - 12 + dice(4);
}

static int parameters(EVP_PKEY_CTX *context, const struct question *question)
{
    int status = EVP_PKEY_CTX_set_rsa_padding(context, question->padding);
    if (status > 0 && question->padding == RSA_PKCS1_PSS_PADDING)
        status = EVP_PKEY_CTX_set_rsa_pss_saltlen(context, question->salt);
    if (status > 0 && question->mask)
        status = EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, question->mask, NULL);
    return status;
}

static void sign(int side, const struct key *key, const struct question *question, size_t len, unsigned split,
                 struct answer *answer)
{
    EVP_MD_CTX *digest_context = NULL;
    EVP_PKEY_CTX *context = NULL;
    answer->len = sizeof answer->bytes;
    if (question->how == BARE) {
        context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[side]);
        answer->status = EVP_PKEY_sign_init(context);
        if (answer->status > 0 && question->digest) {
            OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)question->digest, 0), OSSL_PARAM_END};
            answer->status = EVP_PKEY_CTX_set_params(context, params);
        }
    } else {
        digest_context = EVP_MD_CTX_new();
        answer->status = EVP_DigestSignInit_ex(digest_context, &context, question->digest, NULL, properties[side], key->key, NULL);
    }
    if (answer->status > 0) {
        must(strcmp(serving(context), provider_names[side]) == 0, "served by %s", serving(context));
        answer->status = parameters(context, question);
    }
    if (answer->status > 0)
        switch (question->how) {
        case BARE:
            answer->status = EVP_PKEY_sign(context, answer->bytes, &answer->len, message, len);
            break;
        case ONCE:
            answer->status = EVP_DigestSign(digest_context, answer->bytes, &answer->len, message, len);
            break;
        default:
            for (size_t at = 0; at < len && answer->status > 0;) {
                size_t piece = (at * 7 + split) % 997 % (len - at + 1);
                answer->status = EVP_DigestSignUpdate(digest_context, message + at, piece);
                at += piece;
                split++;
            }
            if (answer->status > 0)
                answer->status = EVP_DigestSignFinal(digest_context, answer->bytes, &answer->len);
        }
    if (answer->status <= 0)
        answer->len = 0;
    if (digest_context)
        EVP_MD_CTX_free(digest_context);
    else
        EVP_PKEY_CTX_free(context);
    errors(answer->errors, sizeof answer->errors);
}

static int verify(int side, const struct key *key, const struct question *question, size_t len, const struct answer *answer,
                  char *text, size_t text_size)
{
    EVP_MD_CTX *digest_context = NULL;
    EVP_PKEY_CTX *context = NULL;
    int status;
    if (question->how == BARE) {
        context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[side]);
        status = EVP_PKEY_verify_init(context);
        if (status > 0 && question->digest) {
            OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)question->digest, 0), OSSL_PARAM_END};
            status = EVP_PKEY_CTX_set_params(context, params);
        }
    } else {
        digest_context = EVP_MD_CTX_new();
        status = EVP_DigestVerifyInit_ex(digest_context, &context, question->digest, NULL, properties[side], key->key, NULL);
    }
    if (status > 0) {
        must(strcmp(serving(context), provider_names[side]) == 0, "verification served by %s", serving(context));
        status = parameters(context, question);
    }
    if (status > 0)
        status = digest_context ? EVP_DigestVerify(digest_context, answer->bytes, answer->len, message, len)
                                : EVP_PKEY_verify(context, answer->bytes, answer->len, message, len);
    if (digest_context)
        EVP_MD_CTX_free(digest_context);
    else
        EVP_PKEY_CTX_free(context);
    errors(text, text_size);
    return status;
}

static int known(const char *digest)
{
    return digest && strncasecmp(digest, "BLAKE", 5) != 0 && strcasecmp(digest, "SM3") != 0 && strcasecmp(digest, "MDC2") != 0;
}

static int same_mask(const struct question *question)
{
    return !question->mask || strcasecmp(question->mask, question->digest) == 0;
}

static void count(const struct key *key, const struct question *question)
{
    int device = key->device_can;
    /* A digest-sign that names no digest uses the key type's default one. */
    const char *digest = question->digest || question->how == BARE ? question->digest : "SHA256";
    switch (question->padding) {
    case RSA_PKCS1_PADDING:
        device = device && (!digest || known(digest));
        break;
    case RSA_PKCS1_PSS_PADDING:
        device = device && known(digest) && same_mask(question);
        break;
    case RSA_NO_PADDING:
        break;
    default:
        device = 0;
    }
    struct row *row = key->bits == 1024   ? &rows[0]
                      : key->bits == 2048 ? &rows[1]
                      : key->bits == 3072 ? &rows[2]
                      : key->bits == 4096 ? &rows[3]
                                          : &rows[4];
    if (device)
        row->hardware++;
    else
        row->software++;
}

static void ask(const struct key *key, const struct question *question)
{
    struct answer answers[SIDES];
    char label[200];
    snprintf(label, sizeof label, "%s %s %s mask %s padding %d salt %d", key->label, hows[question->how],
             question->digest ? question->digest : "-", question->mask ? question->mask : "-", question->padding, question->salt);
    size_t len = message_len(question, key);
    unsigned split = dice(997);
    ERR_clear_error();
    if (question->padding == RSA_NO_PADDING)
        message[0] = dice(4) ? 0 : 0xff;
    cases++;
    for (int side = 0; side < SIDES; side++)
        sign(side, key, question, len, split, &answers[side]);
    if (answers[OURS].status > 0)
        count(key, question);
    must(answers[OURS].status == answers[STOCK].status && answers[OURS].len == answers[STOCK].len &&
             strcmp(answers[OURS].errors, answers[STOCK].errors) == 0,
         "%s, message of %zu: %d and %d, %zu and %zu bytes, errors %s and %s", label, len, answers[OURS].status,
         answers[STOCK].status, answers[OURS].len, answers[STOCK].len, answers[OURS].errors, answers[STOCK].errors);
    if (answers[OURS].status <= 0 || answers[STOCK].status <= 0)
        return;
    if (question->padding != RSA_PKCS1_PSS_PADDING)
        must(memcmp(answers[OURS].bytes, answers[STOCK].bytes, answers[OURS].len) == 0, "%s: other bytes", label);
    for (int spoilt = 0; spoilt < 2; spoilt++) {
        for (int signer = 0; signer < SIDES; signer++) {
            int status[SIDES];
            char text[SIDES][512];
            if (spoilt)
                answers[signer].bytes[dice((unsigned)answers[signer].len)] ^= (unsigned char)(1 << dice(8));
            for (int side = 0; side < SIDES; side++)
                status[side] = verify(side, key, question, len, &answers[signer], text[side], sizeof text[side]);
            must(status[OURS] == status[STOCK] && strcmp(text[OURS], text[STOCK]) == 0 && (status[STOCK] == 1) == !spoilt,
                 "%s, signed by %d, spoilt %d: verified %d and %d, errors %s and %s", label, signer, spoilt, status[OURS],
                 status[STOCK], text[OURS], text[STOCK]);
        }
    }
}

/* PKCS#1 v1.5 signatures opened again. */
static void recover(const struct key *key)
{
    struct question question = {.padding = RSA_PKCS1_PADDING, .how = BARE, .digest = "SHA256"};
    struct answer answer;
    sign(STOCK, key, &question, 32, 0, &answer);
    if (answer.status <= 0)
        return;
    for (int spoilt = 0; spoilt < 2; spoilt++) {
        unsigned char opened[SIDES][1024];
        size_t lens[SIDES] = {sizeof opened[0], sizeof opened[1]};
        int status[SIDES];
        char text[SIDES][512];
        for (int side = 0; side < SIDES; side++) {
            EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[side]);
            status[side] = EVP_PKEY_verify_recover_init(context);
            if (status[side] > 0)
                status[side] = EVP_PKEY_verify_recover(context, opened[side], &lens[side], answer.bytes, answer.len);
            EVP_PKEY_CTX_free(context);
            errors(text[side], sizeof text[side]);
        }
        must(status[OURS] == status[STOCK] && strcmp(text[OURS], text[STOCK]) == 0, "%s recover: %d %s and %d %s", key->label,
             status[OURS], text[OURS], status[STOCK], text[STOCK]);
        if (status[OURS] > 0)
            must(lens[OURS] == lens[STOCK] && memcmp(opened[OURS], opened[STOCK], lens[OURS]) == 0, "%s recovers other bytes", key->label);
        answer.bytes[5] ^= 4;
    }
}

static void ask_all(const struct key *key, int thorough)
{
    static const char *const digests[] = {"SHA256", "SHA1", "MD5", "MD5-SHA1", "SHA224", "SHA2-256", "2.16.840.1.101.3.4.2.1", "SHA-384",
                                          "SHA512", "SHA512-224", "sha2-512/256", "SHA3-224", "SHA3-256", "SHA3-384", "sha3-512",
                                          "RIPEMD160", "BLAKE2s256", "BLAKE2b512", "SM3", "no-such-digest"};
    static const int paddings[] = {RSA_PKCS1_PADDING, RSA_NO_PADDING, RSA_X931_PADDING, RSA_PKCS1_PSS_PADDING, RSA_PKCS1_OAEP_PADDING};
    static const int salts[] = {-1, -2, -3, -4, -5, 0, 1, 20, 32, 94, 222, 223, 478, 100000};
    const unsigned digest_count = sizeof digests / sizeof *digests, padding_count = sizeof paddings / sizeof *paddings,
                   salt_count = sizeof salts / sizeof *salts;
    recover(key);
    for (unsigned how = 0; how < HOWS; how++) {
        for (unsigned digest = 0; digest <= digest_count; digest++) {
            struct question question = {.how = how, .digest = digest < digest_count ? digests[digest] : NULL};
            for (unsigned padding = 0; padding < padding_count; padding++) {
                /* Every padding with a few digests, a few paddings with every digest. */
                if (!thorough && dice(6))
                    continue;
                question.padding = paddings[padding];
                question.mask = NULL;
                question.salt = -1;
                if (question.padding != RSA_PKCS1_PSS_PADDING) {
                    ask(key, &question);
                    continue;
                }
                for (unsigned i = 0; i < 2; i++) {
                    question.salt = salts[dice(salt_count)];
                    question.mask = dice(3) || !question.digest ? NULL : dice(2) ? "SHA1" : question.digest;
                    ask(key, &question);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    dice_state = strtoull(argv[1], NULL, 10);
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)dice(256);
    setvbuf(stdout, NULL, _IOLBF, 0);

    static const struct {
        unsigned bits, primes;
        unsigned long exponent;
        int device_can;
    } odd[] = {{1024, 2, 0, 1}, {1024, 2, 3, 1}, {512, 2, 0, 0}, {1536, 2, 0, 0}, {2047, 2, 0, 0}, {2048, 3, 0, 0}, {1030, 2, 0, 0},
               {3072, 2, 0, 1}, {4096, 2, 0, 1}, {2048, 2, 0x100000001, 1}};
    char label[64];
    struct key key = {.label = label};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        key.bits = odd[i].bits;
        key.device_can = odd[i].device_can;
        int born = (int)dice(SIDES);
        snprintf(label, sizeof label, "%u bits, %u primes, e %lx, born in %s", key.bits, odd[i].primes, odd[i].exponent, provider_names[born]);
        key.key = generate(properties[born], key.bits, odd[i].primes, odd[i].exponent);
        ask_all(&key, 0);
        EVP_PKEY_free(key.key);
    }
    int many = atoi(argv[2]);
    for (int i = 0; i < many; i++) {
        key.bits = 2048;
        key.device_can = 1;
        snprintf(label, sizeof label, "2048 bits, number %d", i);
        key.key = generate(properties[i & 1], 2048, 2, 0);
        if (i % 4 == 2) {
            static const char *const bare[] = {"n", "e", "d", NULL};
            EVP_PKEY *bare_key = part_of(key.key, bare);
            EVP_PKEY_free(key.key);
            key.key = bare_key;
            strcat(label, ", without factors");
        }
        ask_all(&key, i == 0);
        EVP_PKEY_free(key.key);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%s hardware %lu\n%s software %lu\n", rows[i].name, rows[i].hardware, rows[i].name, rows[i].software);
    return end();
}
