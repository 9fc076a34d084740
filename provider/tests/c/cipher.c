/* RSA decryption, good and bad in every way: paddings built by hand and encrypted raw, ciphertexts of odd lengths and values,
 * rooms of every size. Both sides must answer the same: status, length, every byte of the room, errors. Prints at the end
 * how many private operations our side finished and where ("ROW hardware N", "ROW software N").
 * Usage: cipher SEED CASES-PER-KEY HAS-DEVICE */
#include "pair.h"

enum { NONE = 3, OAEP = 4, TLS = 7, ROOM = 1100, SECRET = 48 };

struct row {
    const char *name;
    unsigned long hardware, software;
};
static struct row rows[] = {{"rsa-1024-private", 0, 0}, {"rsa-2048-private", 0, 0}, {"rsa-3072-private", 0, 0},
                            {"rsa-4096-private", 0, 0}, {"rsa-other-private", 0, 0}};
static int has_device;

struct key {
    EVP_PKEY *key;
    BIGNUM *n, *e;
    char label[100];
    unsigned bits;
    int device_can;
};

struct question {
    int padding, implicit, known;
    const char *digest, *mask;
    unsigned char label[40];
    size_t label_len;
    unsigned client, negotiated;
    size_t room;
    unsigned char input[ROOM];
    size_t input_len;
    const char *made;
    /* What a TLS secret must be; all zero when it must be anything else. */
    unsigned char secret[SECRET];
};

static const char *const digests[] = {"SHA1", "SHA256", "SHA2-512", "MD5", "SHA3-256", "SHA512-224", "RIPEMD160", "BLAKE2s256", "MD5-SHA1"};
enum { DIGESTS = sizeof digests / sizeof *digests };

static size_t digest_of(const char *name, const void *one, size_t one_len, const void *two, size_t two_len, unsigned char *out)
{
    unsigned len = 0;
    EVP_MD *md = EVP_MD_fetch(NULL, name, "provider=default");
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(md && EVP_DigestInit_ex(context, md, NULL) == 1 && EVP_DigestUpdate(context, one, one_len) == 1 &&
             EVP_DigestUpdate(context, two, two_len) == 1 && EVP_DigestFinal_ex(context, out, &len) == 1,
         "digest %s", name);
    EVP_MD_CTX_free(context);
    EVP_MD_free(md);
    return len;
}

static void lay_mask(const char *digest, const unsigned char *seed, size_t seed_len, unsigned char *target, size_t len)
{
    for (size_t at = 0, counter = 0; at < len; counter++) {
        unsigned char number[4] = {0, 0, (unsigned char)(counter >> 8), (unsigned char)counter}, mask[64];
        size_t piece = digest_of(digest, seed, seed_len, number, 4, mask);
        for (size_t i = 0; i < piece && at < len; i++)
            target[at++] ^= mask[i];
    }
}

static void fill(unsigned char *bytes, size_t len, int with_zeros)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(with_zeros ? dice(256) : 1 + dice(255));
}

/* 00 02 PS 00 M, or what looks like it. */
static void encode_pkcs1(struct question *question, unsigned char *em, size_t len)
{
    em[0] = 0;
    em[1] = 2;
    fill(em + 2, len - 2, 0);
    size_t separator = 10 + dice((unsigned)(len - 10));
    switch (dice(9)) {
    case 0:
        separator = 2 + dice(8);
        question->made = "short padding";
        break;
    case 1:
        separator = len;
        question->made = "no separator";
        break;
    case 2:
        em[0] = (unsigned char)(1 + dice(60));
        question->made = "first byte";
        break;
    case 3:
        em[1] = (unsigned char)(dice(2) ? 1 : dice(256));
        question->made = "second byte";
        break;
    case 4:
        separator = dice(2) ? len - 1 : 10;
        question->made = "shortest or longest";
        break;
    case 5:
        fill(em, len, 1);
        em[0] &= 0x3f;
        separator = len;
        question->made = "anything";
        break;
    case 6:
        separator = dice(2) ? 9 : 10;
        question->made = "edge of the padding";
        break;
    default:
        question->made = "well made";
    }
    if (separator < len) {
        em[separator] = 0;
        fill(em + separator + 1, len - separator - 1, 1);
    }
}

static void encode_tls(struct question *question, unsigned char *em, size_t len)
{
    unsigned char *secret = em + len - SECRET;
    int good = 1;
    em[0] = 0;
    em[1] = 2;
    fill(em + 2, len - SECRET - 3, 0);
    em[len - SECRET - 1] = 0;
    fill(secret, SECRET, 1);
    unsigned version = question->client;
    question->made = "well made";
    switch (dice(9)) {
    case 0:
        em[0] = (unsigned char)(1 + dice(60));
        question->made = "first byte";
        good = 0;
        break;
    case 1:
        em[1] = (unsigned char)(3 + dice(200));
        question->made = "second byte";
        good = 0;
        break;
    case 2:
        em[2 + dice((unsigned)(len - SECRET - 3))] = 0;
        question->made = "early separator";
        good = 0;
        break;
    case 3:
        em[len - SECRET - 1] = (unsigned char)(1 + dice(255));
        question->made = "no separator";
        good = 0;
        break;
    case 4:
        version ^= 1u << dice(16);
        question->made = "version";
        break;
    case 5:
        version = question->negotiated;
        question->made = "negotiated version";
        break;
    default:;
    }
    /* OpenSSL takes the negotiated version for a signed number; two bytes of it count. */
    good = good && ((version & 0xffff) == (question->client & 0xffff) ||
                    ((int)question->negotiated > 0 && (version & 0xffff) == (question->negotiated & 0xffff)));
    secret[0] = (unsigned char)(version >> 8);
    secret[1] = (unsigned char)version;
    memset(question->secret, 0, SECRET);
    if (good)
        memcpy(question->secret, secret, SECRET);
}

static void encode_oaep(struct question *question, unsigned char *em, size_t len)
{
    unsigned char label[64];
    size_t hash = digest_of(question->digest, question->label, question->label_len, "", 0, label);
    question->made = "anything";
    fill(em, len, 1);
    em[0] = 0;
    if (len < 2 * hash + 2)
        return;
    unsigned char *seed = em + 1, *block = seed + hash;
    size_t block_len = len - hash - 1, separator = hash + dice((unsigned)(block_len - hash));
    memcpy(block, label, hash);
    memset(block + hash, 0, separator - hash);
    block[separator] = 1;
    question->made = "well made";
    switch (dice(9)) {
    case 0:
        em[0] = (unsigned char)(1 + dice(60));
        question->made = "first byte";
        break;
    case 1:
        block[dice((unsigned)hash)] ^= (unsigned char)(1 << dice(8));
        question->made = "label";
        break;
    case 2:
        memset(block + hash, 0, block_len - hash);
        question->made = "no separator";
        break;
    case 3:
        block[separator] = (unsigned char)(2 + dice(250));
        question->made = "separator";
        break;
    case 4:
        block[hash + dice((unsigned)(block_len - hash))] = (unsigned char)(2 + dice(250));
        question->made = "a byte before or after";
        break;
    case 5:
        memset(block + hash, 0, block_len - hash);
        block[dice(2) ? block_len - 1 : hash] = 1;
        question->made = "shortest or longest";
        break;
    default:;
    }
    lay_mask(question->mask ? question->mask : question->digest, seed, hash, block, block_len);
    lay_mask(question->mask ? question->mask : question->digest, block, block_len, seed, hash);
}

static void make(const struct key *key, struct question *question)
{
    size_t len = (key->bits + 7) / 8;
    unsigned char em[ROOM];
    BN_CTX *numbers = BN_CTX_new();
    BIGNUM *number = BN_new();
    switch (question->padding) {
    case TLS:
        encode_tls(question, em, len);
        break;
    case OAEP:
        encode_oaep(question, em, len);
        break;
    default:
        encode_pkcs1(question, em, len);
    }
    BN_bin2bn(em, (int)len, number);
    if (BN_cmp(number, key->n) >= 0)
        BN_rshift1(number, number);
    BN_mod_exp(number, number, key->e, key->n, numbers);
    switch (dice(24)) {
    case 0:
        BN_set_word(number, dice(3));
        question->made = "0, 1 or 2";
        break;
    case 1:
        BN_sub(number, key->n, BN_value_one());
        question->made = "n - 1";
        break;
    case 2:
        BN_copy(number, key->n);
        BN_add_word(number, dice(2));
        question->made = "n or more";
        break;
    default:;
    }
    if (strcmp(question->made, "n - 1") == 0 || strcmp(question->made, "n or more") == 0)
        memset(question->secret, 0, SECRET);
    question->input_len = len;
    BN_bn2binpad(number, question->input, (int)len);
    switch (dice(24)) {
    case 0:
        /* Leading zeros left out. */
        question->input_len = (size_t)BN_bn2bin(number, question->input);
        break;
    case 1:
        question->input_len = dice((unsigned)len);
        question->made = "cut";
        break;
    case 2:
        memmove(question->input + 1, question->input, len);
        question->input[0] = 0;
        question->input_len = len + 1;
        question->made = "too long";
        break;
    default:;
    }
    if (strcmp(question->made, "0, 1 or 2") == 0 || strcmp(question->made, "cut") == 0)
        memset(question->secret, 0, SECRET);
    BN_free(number);
    BN_CTX_free(numbers);
}

struct answer {
    int status;
    size_t len;
    unsigned char bytes[ROOM];
    char errors[512];
};

static void decrypt(int side, const struct key *key, const struct question *question, int copied, struct answer *answer)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[side]);
    OSSL_PARAM params[10], *next = params;
    int padding = question->padding;
    unsigned implicit = (unsigned)question->implicit, client = question->client, negotiated = question->negotiated;
    char *digest = (char *)(uintptr_t)question->digest, *mask = (char *)(uintptr_t)question->mask;
    *next++ = OSSL_PARAM_construct_int("pad-mode", &padding);
    if (padding == OAEP) {
        *next++ = OSSL_PARAM_construct_utf8_string("digest", digest, 0);
        if (mask)
            *next++ = OSSL_PARAM_construct_utf8_string("mgf1-digest", mask, 0);
        if (question->label_len)
            *next++ = OSSL_PARAM_construct_octet_string("oaep-label", (void *)(uintptr_t)question->label, question->label_len);
    }
    if (padding == TLS) {
        *next++ = OSSL_PARAM_construct_uint("tls-client-version", &client);
        *next++ = OSSL_PARAM_construct_uint("tls-negotiated-version", &negotiated);
    }
    if (question->implicit != 1)
        *next++ = OSSL_PARAM_construct_uint("implicit-rejection", &implicit);
    *next = OSSL_PARAM_construct_end();
    answer->status = EVP_PKEY_decrypt_init_ex(context, params);
    must(strcmp(serving(context), provider_names[side]) == 0, "%s: served by %s", key->label, serving(context));
    if (copied) {
        EVP_PKEY_CTX *copy = EVP_PKEY_CTX_dup(context);
        must(copy != NULL, "copy");
        EVP_PKEY_CTX_free(context);
        context = copy;
    }
    memset(answer->bytes, 0x5a, sizeof answer->bytes);
    answer->len = question->room;
    if (answer->status > 0)
        answer->status = EVP_PKEY_decrypt(context, answer->bytes, &answer->len, question->input, question->input_len);
    EVP_PKEY_CTX_free(context);
    errors(answer->errors, sizeof answer->errors);
}

static int device_does(const struct key *key, const struct question *question)
{
    size_t len = (key->bits + 7) / 8, value = 0;
    BIGNUM *number = BN_bin2bn(question->input, (int)question->input_len, NULL);
    value = BN_num_bits(number) > 1 && BN_cmp(number, key->n) < 0;
    BN_free(number);
    if (!key->device_can || !value || question->input_len > len || question->room < (question->padding == TLS ? SECRET : len))
        return 0;
    if (question->padding == TLS)
        return question->client != 0;
    if (question->padding != OAEP)
        return question->padding == RSA_PKCS1_PADDING || question->padding == NONE;
    unsigned char value_of[64];
    size_t hash = digest_of(question->digest, "", 0, "", 0, value_of);
    return strncmp(question->digest, "BLAKE", 5) && (!question->mask || strncmp(question->mask, "BLAKE", 5)) && len >= 2 * hash + 2;
}

static void ask(const struct key *key)
{
    static const int paddings[] = {RSA_PKCS1_PADDING, RSA_PKCS1_PADDING, RSA_PKCS1_PADDING, OAEP, OAEP, OAEP, TLS, TLS, NONE, 5};
    static const unsigned versions[] = {0x0303, 0x0301, 0x0302, 0, 0x80000303};
    struct question question = {.implicit = dice(3) != 0};
    struct answer answers[SIDES];
    size_t len = (key->bits + 7) / 8;
    question.padding = paddings[dice(10)];
    question.digest = digests[dice(DIGESTS)];
    question.mask = dice(3) ? NULL : digests[dice(DIGESTS)];
    question.label_len = dice(2) ? 0 : dice(sizeof question.label);
    fill(question.label, question.label_len, 1);
    question.client = versions[dice(10) ? dice(3) : dice(5)];
    question.negotiated = dice(2) ? 0 : versions[dice(10) ? dice(3) : dice(5)];
    question.room = dice(6) ? len : dice(3) ? len + dice(400) : dice((unsigned)len);
    if (question.padding == TLS)
        question.room = dice(6) ? SECRET : dice(2) ? len : dice(60);
    make(key, &question);
    int copied = dice(5) == 0;
    cases++;
    ERR_clear_error();
    for (int side = 0; side < SIDES; side++)
        decrypt(side, key, &question, copied, &answers[side]);
    struct answer *ours = &answers[OURS], *stock = &answers[STOCK];
    must(ours->status == stock->status && ours->len == stock->len && strcmp(ours->errors, stock->errors) == 0,
         "%s padding %d %s/%s implicit %d room %zu input %zu, %s: %d and %d, %zu and %zu bytes, errors %s and %s", key->label,
         question.padding, question.digest, question.mask ? question.mask : "-", question.implicit, question.room, question.input_len,
         question.made, ours->status, stock->status, ours->len, stock->len, ours->errors, stock->errors);
    if (question.padding == TLS && stock->status > 0) {
        static const unsigned char nothing[SECRET];
        int must_match = memcmp(question.secret, nothing, SECRET) != 0;
        for (int side = 0; side < SIDES; side++) {
            must((memcmp(answers[side].bytes, question.secret, SECRET) == 0) == must_match, "%s: %s gives a secret that is %s, %s", key->label,
                 provider_names[side], must_match ? "another" : "the client's", question.made);
            memset(answers[side].bytes, 0, SECRET);
        }
    }
    must(memcmp(ours->bytes, stock->bytes, ROOM) == 0, "%s padding %d implicit %d room %zu, %s: other bytes", key->label, question.padding,
         question.implicit, question.room, question.made);
    struct row *row = key->bits == 1024   ? &rows[0]
                      : key->bits == 2048 ? &rows[1]
                      : key->bits == 3072 ? &rows[2]
                      : key->bits == 4096 ? &rows[3]
                                          : &rows[4];
    if (has_device && device_does(key, &question))
        row->hardware++;
    else if (ours->status > 0)
        row->software++;
}

/* Whatever one side encrypts, the other decrypts. */
static void cross(const struct key *key)
{
    unsigned char message[64], encrypted[ROOM], opened[ROOM];
    fill(message, sizeof message, 1);
    for (int side = 0; side < SIDES; side++) {
        size_t encrypted_len = sizeof encrypted, opened_len = sizeof opened, len = dice(40);
        int padding = dice(2) ? OAEP : RSA_PKCS1_PADDING;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[side]);
        must(EVP_PKEY_encrypt_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, padding) == 1 &&
                 EVP_PKEY_encrypt(context, encrypted, &encrypted_len, message, len) == 1,
             "%s: encrypt", key->label);
        EVP_PKEY_CTX_free(context);
        context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[!side]);
        must(EVP_PKEY_decrypt_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, padding) == 1 &&
                 EVP_PKEY_decrypt(context, NULL, &opened_len, encrypted, encrypted_len) == 1 && opened_len == (key->bits + 7) / 8 &&
                 EVP_PKEY_decrypt(context, opened, &opened_len, encrypted, encrypted_len) == 1,
             "%s: decrypt", key->label);
        must(opened_len == len && memcmp(opened, message, len) == 0, "%s: crossed to something else", key->label);
        EVP_PKEY_CTX_free(context);
        if (side == STOCK) {
            struct row *row = key->bits == 1024 ? &rows[0] : key->bits == 2048 ? &rows[1] : key->bits == 3072 ? &rows[2] : key->bits == 4096 ? &rows[3] : &rows[4];
            if (has_device && key->device_can)
                row->hardware++;
            else
                row->software++;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct {
        unsigned bits, primes;
        unsigned long exponent;
        int device_can;
    } kinds[] = {{2048, 2, 0, 1}, {1024, 2, 0, 1}, {1024, 2, 3, 1}, {3072, 2, 0, 1}, {4096, 2, 0, 1}, {2048, 2, 0x100000001, 1}, {1536, 2, 0, 0}, {1030, 2, 0, 0}, {2048, 3, 0, 0}};
    static const char *const bare[] = {"n", "e", "d", NULL};
    if (argc != 4)
        return 2;
    dice_state = strtoull(argv[1], NULL, 10);
    has_device = atoi(argv[3]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct key key = {.bits = kinds[i].bits, .device_can = kinds[i].device_can};
        int born = (int)dice(SIDES), without = kinds[i].primes == 2 && dice(4) == 0;
        key.key = generate(properties[born], key.bits, kinds[i].primes, kinds[i].exponent);
        if (without) {
            EVP_PKEY *part = part_of(key.key, bare);
            EVP_PKEY_free(key.key);
            key.key = part;
        }
        snprintf(key.label, sizeof key.label, "%u bits, %u primes, e %lx, born in %s%s", key.bits, kinds[i].primes, kinds[i].exponent,
                 provider_names[born], without ? ", without factors" : "");
        must(EVP_PKEY_get_bn_param(key.key, "n", &key.n) == 1 && EVP_PKEY_get_bn_param(key.key, "e", &key.e) == 1, "numbers");
        cross(&key);
        /* Larger keys take longer and show less. */
        for (int left = atoi(argv[2]) * (key.bits > 2048 ? 1 : 4) / 4; left > 0; left--)
            ask(&key);
        BN_free(key.n);
        BN_free(key.e);
        EVP_PKEY_free(key.key);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%s hardware %lu\n%s software %lu\n", rows[i].name, rows[i].hardware, rows[i].name, rows[i].software);
    return end();
}
