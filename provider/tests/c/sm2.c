/* SM2 encryption and decryption: keys, digests, lengths, rooms, ciphertexts damaged in every part; both sides must answer the same
 * (status, length, message, errors), and open whatever the other sealed. Prints at the end what our side finished and where a device
 * that is there would have done it: "ROW hardware N", "ROW software N", "ROW refused N", "ROW zero N" (opened by software, if at all); and of encryptions "ROW either N", whose
 * message is so short that its key stream may be all zero, for software to draw again.
 * With "times" it prints instead the processor's microseconds per operation on each side, those of the calling thread and of the
 * whole clock, medians of five turns.
 * With "zeros" it decrypts what a peer has sealed with a key stream of zeros, which some versions refuse and others open.
 * Usage: sm2 SEED CASES, or sm2 vectors, or sm2 zeros, or sm2 times OPERATIONS MESSAGE-BYTES */
#include "pair.h"
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <time.h>

enum { ROOM = 6000, MOST = 5000, UNTOUCHED = 0x5a };

static unsigned long encrypt_hardware, encrypt_software, encrypt_either, decrypt_hardware, decrypt_software, decrypt_refused, decrypt_zero;

struct bytes {
    unsigned char at[ROOM];
    size_t len;
};

struct key {
    EVP_PKEY *key;
    char label[60];
    /* The device takes the private number; its answers for the public point can be checked. */
    int takes_private, takes_public;
};

struct parts {
    struct bytes number[2], string[2];
};

static EC_GROUP *group;
/* The key stream of what is decrypted is all zero: the device's answer is right, and the running OpenSSL decides what becomes of it. */
static int zero_stream;

/* One element: tag, length, contents. */
static void add(struct bytes *to, unsigned tag, const unsigned char *contents, size_t len)
{
    to->at[to->len++] = (unsigned char)tag;
    if (len > 255) {
        to->at[to->len++] = 0x82;
        to->at[to->len++] = (unsigned char)(len >> 8);
    } else if (len > 127) {
        to->at[to->len++] = 0x81;
    }
    to->at[to->len++] = (unsigned char)len;
    memmove(to->at + to->len, contents, len);
    to->len += len;
}

static void enclose(struct bytes *whole, const struct bytes *contents)
{
    whole->len = 0;
    add(whole, 0x30, contents->at, contents->len);
}

static void build(const struct parts *parts, struct bytes *whole)
{
    struct bytes contents = {.len = 0};
    for (int i = 0; i < 2; i++)
        add(&contents, 2, parts->number[i].at, parts->number[i].len);
    for (int i = 0; i < 2; i++)
        add(&contents, 4, parts->string[i].at, parts->string[i].len);
    enclose(whole, &contents);
}

/* The length of the contents of an element with this tag, in as few bytes as it takes; moves on to them. -1: it is none. */
static long begin(const unsigned char **at, const unsigned char *end, unsigned tag)
{
    const unsigned char *next = *at;
    if (end - next < 2 || *next++ != tag)
        return -1;
    long len = *next++, least = 0;
    if (len > 0x80 && len <= 0x84) {
        int bytes = (int)len & 15;
        if (end - next < bytes || *next == 0)
            return -1;
        for (len = 0, least = 128; bytes > 0; bytes--)
            len = len << 8 | *next++;
    }
    if (len < least || (least == 0 && len >= 128) || len > end - next)
        return -1;
    *at = next;
    return len;
}

/* Takes strict DER apart; 0 when it is not. */
static int take_apart(const struct bytes *whole, struct parts *parts)
{
    const unsigned char *at = whole->at, *end = at + whole->len;
    if (begin(&at, end, 0x30) != end - at)
        return 0;
    for (int i = 0; i < 4; i++) {
        struct bytes *part = i < 2 ? &parts->number[i] : &parts->string[i - 2];
        long len = begin(&at, end, i < 2 ? 2 : 4);
        if (len < 0 || (i < 2 && (len == 0 || at[0] > 127 || (len > 1 && at[0] == 0 && at[1] < 128))))
            return 0;
        part->len = (size_t)len;
        memcpy(part->at, at, part->len);
        at += len;
    }
    return at == end;
}

static int on_curve(const struct parts *parts)
{
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *x = BN_bin2bn(parts->number[0].at, (int)parts->number[0].len, NULL), *y = BN_bin2bn(parts->number[1].at, (int)parts->number[1].len, NULL);
    ERR_set_mark();
    int good = BN_num_bits(x) <= 256 && BN_num_bits(y) <= 256 && EC_POINT_set_affine_coordinates(group, point, x, y, NULL) == 1;
    ERR_pop_to_mark();
    BN_free(x);
    BN_free(y);
    EC_POINT_free(point);
    return good;
}

static EVP_PKEY *from_numbers(const char *props, const BIGNUM *d, int with_private)
{
    unsigned char encoded[65];
    EC_POINT *point = EC_POINT_new(group);
    must(EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1 &&
             EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded, sizeof encoded, NULL) == sizeof encoded,
         "public point");
    EC_POINT_free(point);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(builder, "group", "SM2", 0);
    OSSL_PARAM_BLD_push_octet_string(builder, "pub", encoded, sizeof encoded);
    if (with_private)
        OSSL_PARAM_BLD_push_BN(builder, "priv", d);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "SM2", props);
    must(EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &key, with_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) == 1,
         "fromdata");
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    if (!key)
        exit(2);
    return key;
}

static int tell(EVP_PKEY_CTX *context, const char *digest, const char *query)
{
    OSSL_PARAM params[3], *next = params;
    *next++ = OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)digest, 0);
    if (query)
        *next++ = OSSL_PARAM_construct_utf8_string("properties", (char *)(uintptr_t)query, 0);
    *next = OSSL_PARAM_construct_end();
    return EVP_PKEY_CTX_set_params(context, params);
}

struct answer {
    int status, told;
    size_t size, len;
    unsigned char bytes[ROOM];
    char errors[512], before[64], after[64];
};

struct question {
    const char *digest, *query;
    int decrypts, copied, asks_size, in_place;
    size_t room;
};

static void name_digest(EVP_PKEY_CTX *context, char *name)
{
    OSSL_PARAM params[] = {OSSL_PARAM_utf8_string("digest", name, 64), OSSL_PARAM_END};
    must(EVP_PKEY_CTX_get_params(context, params) == 1, "digest told");
}

static void run(int side, const struct key *key, const struct question *question, const struct bytes *input, struct answer *answer)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, properties[side]);
    int (*crypt)(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t) = question->decrypts ? EVP_PKEY_decrypt : EVP_PKEY_encrypt;
    memset(answer, 0, sizeof *answer);
    memset(answer->bytes, UNTOUCHED, sizeof answer->bytes);
    answer->status = question->decrypts ? EVP_PKEY_decrypt_init(context) : EVP_PKEY_encrypt_init(context);
    must(strcmp(serving(context), provider_names[side]) == 0, "%s: served by %s", key->label, serving(context));
    if (question->digest)
        answer->told = tell(context, question->digest, question->query);
    if (question->copied) {
        EVP_PKEY_CTX *copy = EVP_PKEY_CTX_dup(context);
        must(copy != NULL, "copy");
        EVP_PKEY_CTX_free(context);
        context = copy;
    }
    name_digest(context, answer->before);
    if (question->asks_size && answer->status > 0) {
        answer->size = ROOM;
        answer->status = crypt(context, NULL, &answer->size, input->at, input->len);
    }
    answer->len = question->room;
    if (question->in_place)
        memcpy(answer->bytes, input->at, input->len);
    if (answer->status > 0)
        answer->status = crypt(context, answer->bytes, &answer->len, question->in_place ? answer->bytes : input->at, input->len);
    name_digest(context, answer->after);
    EVP_PKEY_CTX_free(context);
    errors(answer->errors, sizeof answer->errors);
}

/* Our device knows the digest. */
static int known(const char *digest)
{
    return strncmp(digest, "BLAKE", 5) && strncmp(digest, "SHAKE", 5) && digest[0];
}

static void same(const char *what, const struct key *key, const struct question *question, const struct bytes *input, const struct answer *answers)
{
    const struct answer *ours = &answers[OURS], *stock = &answers[STOCK];
    must(ours->status == stock->status && ours->told == stock->told && ours->size == stock->size && strcmp(ours->errors, stock->errors) == 0 &&
             strcmp(ours->before, stock->before) == 0 && strcmp(ours->after, stock->after) == 0,
         "%s, %s, %s/%s, %zu into %zu, copied %d, in place %d: status %d and %d, told %d and %d, sizes %zu and %zu, digests %s and %s, %s and %s, errors %s and %s",
         what, key->label, question->digest ? question->digest : "-", question->query ? question->query : "-", input->len, question->room,
         question->copied, question->in_place, ours->status, stock->status, ours->told, stock->told, ours->size, stock->size, ours->before,
         stock->before, ours->after, stock->after, ours->errors, stock->errors);
    /* OpenSSL fills the whole room before it writes into it. An encryption that fails may leave some of its random numbers there. */
    size_t from = ours->status <= 0 ? question->decrypts ? 0 : ROOM : ours->len > stock->len ? ours->len : stock->len;
    must(from >= ROOM || memcmp(ours->bytes + from, stock->bytes + from, ROOM - from) == 0, "%s, %s: %zu into %zu: other bytes behind %zu, %02x and %02x",
         what, key->label, input->len, question->room, from, ours->bytes[from], stock->bytes[from]);
}

/* Both decrypt; gives the default provider's status. */
static int decrypt(const char *what, const struct key *key, const struct question *asked, const struct bytes *sealed, const struct bytes *message)
{
    static struct answer answers[SIDES];
    static struct parts parts;
    struct question question = *asked;
    question.decrypts = 1;
    ERR_clear_error();
    for (int side = 0; side < SIDES; side++)
        run(side, key, &question, sealed, &answers[side]);
    same(what, key, &question, sealed, answers);
    int good = answers[STOCK].status > 0;
    must(answers[OURS].len == answers[STOCK].len, "%s, %s: lengths %zu and %zu", what, key->label, answers[OURS].len, answers[STOCK].len);
    if (good) {
        must(memcmp(answers[OURS].bytes, answers[STOCK].bytes, answers[STOCK].len) == 0, "%s, %s: another message", what, key->label);
        must(!message || (answers[STOCK].len == message->len && memcmp(answers[STOCK].bytes, message->at, message->len) == 0),
             "%s, %s: not the message that was sealed", what, key->label);
    }
    EVP_MD *digest = EVP_MD_fetch(NULL, answers[STOCK].after[0] ? answers[STOCK].after : "SM3", "provider=default");
    int device = key->takes_private && known(answers[STOCK].after) && take_apart(sealed, &parts) && on_curve(&parts) && digest &&
                 parts.string[0].len == (size_t)EVP_MD_get_size(digest) && parts.string[1].len > 0 && parts.string[1].len <= question.room &&
                 !question.in_place && (answers[STOCK].status > 0 || !question.asks_size || answers[STOCK].size > 0);
    EVP_MD_free(digest);
    if (device && good && zero_stream)
        decrypt_zero++;
    else if (device && good)
        decrypt_hardware++;
    else if (device)
        decrypt_refused++;
    else if (good)
        decrypt_software++;
    return good;
}

static void damage(const struct key *key, const struct question *question, const struct bytes *sealed)
{
    static struct parts parts;
    static struct bytes spoilt, contents;
    struct question asked = *question;
    const char *what = "as it is";
    spoilt = *sealed;
    must(take_apart(sealed, &parts), "%s: a ciphertext that is no strict DER", key->label);
    struct bytes *x = &parts.number[0], *hash = &parts.string[0], *text = &parts.string[1];
    asked.room = text->len + dice(2) * dice(300);
    asked.copied = dice(4) == 0;
    asked.asks_size = dice(3) == 0;
    unsigned kind = dice(24);
    if (kind >= 8 && kind < 18)
        what = "a part";
    switch (kind) {
    case 0:
        spoilt.at[dice((unsigned)spoilt.len)] ^= (unsigned char)(1 << dice(8));
        what = "a bit";
        break;
    case 1:
        spoilt.len = dice((unsigned)spoilt.len);
        what = "cut";
        break;
    case 2:
        spoilt.len += 1 + dice(3);
        what = "bytes behind";
        break;
    case 3:
        asked.room = dice((unsigned)text->len);
        what = "a small room";
        break;
    case 4:
        asked.in_place = 1;
        asked.room = ROOM;
        what = "in place";
        break;
    case 5:
    case 6: {
        /* The numbers as OpenSSL takes them, not as they are written. */
        size_t zero = kind == 5 ? 1 : 0;
        contents.len = 0;
        for (int i = 0; i < 2; i++) {
            struct bytes *number = &parts.number[i];
            int signed_one = number->at[0] == 0 && number->len > 1;
            memmove(number->at + zero, number->at + (zero ? 0 : signed_one), number->len);
            if (zero)
                number->at[0] = 0;
            number->len = zero ? number->len + 1 : number->len - (size_t)signed_one;
            add(&contents, 2, number->at, number->len);
        }
        add(&contents, 4, hash->at, hash->len);
        add(&contents, 4, text->at, text->len);
        enclose(&spoilt, &contents);
        what = zero ? "zeros in front" : "no signs";
        break;
    }
    case 7:
        /* The whole in a length of four bytes. */
        contents.len = sealed->len - (sealed->at[1] < 128 ? 2 : 2 + (sealed->at[1] & 15u));
        memcpy(contents.at, sealed->at + (sealed->len - contents.len), contents.len);
        spoilt.at[0] = 0x30;
        spoilt.at[1] = 0x84;
        for (int i = 0; i < 4; i++)
            spoilt.at[2 + i] = (unsigned char)(contents.len >> (24 - 8 * i));
        memcpy(spoilt.at + 6, contents.at, contents.len);
        spoilt.len = contents.len + 6;
        what = "a long length";
        break;
    case 8:
    case 9:
        hash->at[dice((unsigned)hash->len)] ^= (unsigned char)(1 << dice(8));
        break;
    case 10:
    case 11:
        text->at[dice((unsigned)text->len)] ^= (unsigned char)(1 << dice(8));
        break;
    case 12:
        text->len = dice((unsigned)text->len + 1);
        break;
    case 13:
        hash->len = dice(2) ? hash->len - 1 : hash->len + 1;
        break;
    case 14:
        x->at[x->len - 1] ^= (unsigned char)(1 << dice(8));
        break;
    case 15: {
        /* Too long for a coordinate, or not below the prime. */
        x->len = dice(2) ? 33 : 41;
        memset(x->at, 0xff, sizeof x->at);
        x->at[0] = 0;
        break;
    }
    case 16:
    case 17: {
        /* Another point of the curve: nothing but the hash shows it. */
        EC_POINT *point = EC_POINT_new(group);
        BIGNUM *k = BN_new(), *at[2] = {BN_new(), BN_new()};
        BN_set_word(k, 2 + dice(1000000));
        must(EC_POINT_mul(group, point, k, NULL, NULL, NULL) == 1 && EC_POINT_get_affine_coordinates(group, point, at[0], at[1], NULL) == 1, "point");
        for (int i = 0; i < 2; i++) {
            unsigned char sign = (unsigned char)(BN_num_bits(at[i]) % 8 == 0);
            parts.number[i].at[0] = 0;
            parts.number[i].len = (size_t)BN_bn2bin(at[i], parts.number[i].at + sign) + sign;
            BN_free(at[i]);
        }
        BN_free(k);
        EC_POINT_free(point);
        break;
    }
    case 18:
        asked.digest = dice(2) ? "SHA256" : "SHA1";
        what = "another digest";
        break;
    default:;
    }
    if (strcmp(what, "a part") == 0) {
        static const char *const parts_of[] = {"hash", "hash", "text", "text", "a shorter text", "hash length", "x", "no coordinate", "point", "point"};
        what = parts_of[kind - 8];
        build(&parts, &spoilt);
    }
    decrypt(what, key, &asked, &spoilt, NULL);
}

static void ask(const struct key *keys, size_t count)
{
    static const char *const digests[] = {NULL, NULL, NULL, NULL, "SM3", "SM3", "SM3", "1.2.156.10197.1.401", "SHA256", "sha1", "MD5", "SHA2-512", "SHA3-384", "RIPEMD160",
                                          "MD5-SHA1", "BLAKE2s256", "SHAKE256", "no-such-digest"};
    static const size_t usual[] = {0, 1, 2, 3, 15, 16, 19, 31, 32, 33, 48, 63, 64, 65, 96, 100, 127, 128, 255, 256, 511, 512, 513, 1000, 4096, MOST};
    static struct answer answers[SIDES];
    static struct bytes message, sealed[SIDES];
    const struct key *key = &keys[dice((unsigned)count)];
    struct question question = {.digest = digests[dice(sizeof digests / sizeof *digests)], .copied = dice(4) == 0, .asks_size = dice(2), .room = ROOM};
    question.query = question.digest && dice(8) == 0 ? (dice(2) ? "provider=default" : "provider=nobody") : NULL;
    message.len = dice(3) ? usual[dice(sizeof usual / sizeof *usual)] : dice(MOST + 1);
    for (size_t i = 0; i < message.len; i++)
        message.at[i] = (unsigned char)(dice(20) ? dice(256) : 0);
    int in_place = dice(40) == 0, small = dice(12) == 0;
    if (small)
        question.room = dice((unsigned)message.len + 90);
    question.in_place = in_place;
    ERR_clear_error();
    for (int side = 0; side < SIDES; side++)
        run(side, key, &question, &message, &answers[side]);
    same("encryption", key, &question, &message, answers);
    if (answers[OURS].status > 0) {
        /* Software finds out that a room is too small after it has drawn a number, or (3.0.20) never; a key stream of zeros is drawn again
         * there. */
        int device = key->takes_public && known(answers[STOCK].after) && !in_place && !small;
        if (device && message.len <= 3)
            encrypt_either++;
        else if (device)
            encrypt_hardware++;
        else
            encrypt_software++;
    }
    if (answers[OURS].status <= 0 || answers[STOCK].status <= 0)
        return;
    question.in_place = 0;
    question.asks_size = 0;
    question.room = ROOM;
    for (int side = 0; side < SIDES; side++) {
        must(answers[side].len >= message.len + 80 && answers[side].len <= ROOM, "length %zu", answers[side].len);
        memcpy(sealed[side].at, answers[side].bytes, answers[side].len);
        sealed[side].len = answers[side].len;
        /* OpenSSL clears the room before it looks at the message. */
        int opened = decrypt("what was sealed", key, &question, &sealed[side], in_place ? NULL : &message);
        must(opened || strstr(key->label, "public"), "%s, %s: what %s sealed does not open", key->label, question.digest ? question.digest : "-",
             provider_names[side]);
        if (opened)
            damage(key, &question, &sealed[side]);
    }
}

/* Published: the example of GB/T 32918.5 annex C, with its curve; and what OpenSSL's own tests decrypt. */
static void vectors(void)
{
    static const struct {
        const char *d, *x, *y, *hash, *text, *message;
    } published[] = {
        {"3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8", "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73",
         "00e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0", "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766",
         "21886ca989ca9c7d58087307ca93092d651efa", "encryption standard"},
        {"d09156733017bdad809fd9bbd8c693f60230593169b6f94aaf1c8ee138cc99b5", "466be2ef5c11782ec77864a0055417f407a5afc11d653c6bce69e417bb1d05b6",
         "62b572e21ff0ddf5c726bd3f9ff2eae56e6294713a607e9b9525628965f62cc8", "3c1b5713b5db2728eb7bf775e44f4689fc32668bdc564f52ea45b09e8df2a5f4",
         "084a9d0cc2997092b7d3c404fce95956eb604d732b2307a8e5b8900ed6608ca5b197", "The floofy bunnies hop at midnight"},
        {"d09156733017bdad809fd9bbd8c693f60230593169b6f94aaf1c8ee138cc99b5", "70dad60cda7c30d64cf4f278a849003581223f5324bfec9bb329229bffad21a6",
         "18afab2b35459d2643243b242be4ea80c6fa5071d2d847340cc57eb9309e5d", "0b772e4db664b2601e3b85e39c4aa8c2c1910308be13b331e009c5a9258c29fd",
         "6d588be9260a94da18e0e6", "Hello World"},
        {"d09156733017bdad809fd9bbd8c693f60230593169b6f94aaf1c8ee138cc99b5", "00cd49634bbcb21cafffa6d33669a5a867231cb2a942a14352ef4caf6dc3344d54",
         "00c35b41d4debb3a2735efee821b9eba566bd86900176a0c06672e30ee5cc04e93", "c4190a3d80d86c4bd20e99f7e4b59bf6427c6808793533eea9591d1188ec56b5",
         "747295470e81d951bed279ac1b86a1afe388cd2833fa9632799ec199c7d364e5663d5a94888bb2358cfcbf6283184de0cbc41ccea91d24746e99d231a1da77afd83cdf9"
         "08190ed628b7369724494568a27c782a1d1d7294bcad80c34569ed22859896301128a8118f48924d8ccd43e998d9533",
         "Some longer plaintext for testing SM2 decryption. Blah blah blah blah blah blah blah blah blah blah blah blah blah."},
    };
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        static struct parts parts;
        static struct bytes sealed, message;
        struct question question = {.digest = i % 2 ? "SM3" : NULL, .room = ROOM};
        const char *const texts[] = {published[i].x, published[i].y, published[i].hash, published[i].text};
        for (int part = 0; part < 4; part++) {
            struct bytes *to = part < 2 ? &parts.number[part] : &parts.string[part - 2];
            must(OPENSSL_hexstr2buf_ex(to->at, ROOM, &to->len, texts[part], 0) == 1, "digits");
        }
        message.len = strlen(published[i].message);
        memcpy(message.at, published[i].message, message.len);
        build(&parts, &sealed);
        BIGNUM *d = NULL;
        BN_hex2bn(&d, published[i].d);
        struct key key = {.label = "published", .takes_private = 1, .takes_public = 1, .key = from_numbers(properties[i % SIDES], d, 1)};
        must(decrypt("published", &key, &question, &sealed, &message), "published %zu does not open", i);
        EVP_PKEY_free(key.key);
        BN_free(d);
    }
}

/* One byte, sealed with the first number whose key stream begins with a zero. */
static void seal_with_zero(const BIGNUM *d, unsigned char letter, struct bytes *sealed)
{
    static struct parts parts;
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *k = BN_new(), *kd = BN_new(), *at[2] = {BN_new(), BN_new()};
    BN_CTX *context = BN_CTX_new();
    unsigned char shared[65 + 4], stream[32], message[65];
    memset(shared, 0, sizeof shared);
    shared[sizeof shared - 1] = 1;
    BN_set_word(k, 1 + dice(1000000));
    do {
        BN_add_word(k, 1);
        must(BN_mod_mul(kd, k, d, EC_GROUP_get0_order(group), context) == 1 && EC_POINT_mul(group, point, kd, NULL, NULL, NULL) == 1 &&
                 EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, shared, 65, NULL) == 65 &&
                 EVP_Q_digest(NULL, "SM3", properties[STOCK], shared + 1, 68, stream, NULL) == 1,
             "key stream");
    } while (stream[0] != 0);
    memcpy(message, shared + 1, 32);
    message[32] = letter;
    memcpy(message + 33, shared + 33, 32);
    parts.string[0].len = 32;
    parts.string[1].len = 1;
    parts.string[1].at[0] = letter;
    must(EVP_Q_digest(NULL, "SM3", properties[STOCK], message, 65, parts.string[0].at, NULL) == 1 && EC_POINT_mul(group, point, k, NULL, NULL, NULL) == 1 &&
             EC_POINT_get_affine_coordinates(group, point, at[0], at[1], NULL) == 1,
         "ciphertext");
    for (int i = 0; i < 2; i++) {
        unsigned char sign = (unsigned char)(BN_num_bits(at[i]) % 8 == 0);
        parts.number[i].at[0] = 0;
        parts.number[i].len = (size_t)BN_bn2bin(at[i], parts.number[i].at + sign) + sign;
        BN_free(at[i]);
    }
    build(&parts, sealed);
    BN_CTX_free(context);
    BN_free(k);
    BN_free(kd);
    EC_POINT_free(point);
}

static void zeros(void)
{
    static struct bytes sealed, message;
    for (int i = 0; i < 4; i++) {
        struct question question = {.room = ROOM};
        BIGNUM *d = NULL;
        EVP_PKEY *born = EVP_PKEY_Q_keygen(NULL, properties[STOCK], "SM2");
        must(EVP_PKEY_get_bn_param(born, "priv", &d) == 1, "private number");
        struct key key = {.label = "whole", .takes_private = 1, .takes_public = 1, .key = from_numbers(properties[i % SIDES], d, 1)};
        message.len = 1;
        message.at[0] = (unsigned char)dice(256);
        zero_stream = 1;
        seal_with_zero(d, message.at[0], &sealed);
        decrypt("a key stream of zeros", &key, &question, &sealed, &message);
        zero_stream = 0;
        /* The device is trusted as before. */
        message.len = 100;
        static struct answer answer;
        run(STOCK, &key, &question, &message, &answer);
        must(answer.status == 1, "seal");
        memcpy(sealed.at, answer.bytes, answer.len);
        sealed.len = answer.len;
        must(decrypt("a good one behind it", &key, &question, &sealed, &message), "does not open");
        EVP_PKEY_free(born);
        EVP_PKEY_free(key.key);
        BN_clear_free(d);
    }
}

static double microseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

/* A fresh context each time, as programs do. */
static void measure(int operations, size_t len)
{
    enum { TURNS = 5 };
    static struct bytes message, sealed;
    static unsigned char opened[ROOM];
    double took[2][SIDES][2][TURNS];
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, properties[STOCK], "SM2");
    message.len = len;
    for (int turn = 0; turn < TURNS; turn++)
        for (int decrypts = 0; decrypts < 2; decrypts++)
            for (int side = 0; side < SIDES; side++) {
                double processor = microseconds(CLOCK_THREAD_CPUTIME_ID), wall = microseconds(CLOCK_MONOTONIC);
                for (int i = 0; i < operations; i++) {
                    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[side]);
                    size_t opened_len = ROOM;
                    if (!decrypts) {
                        sealed.len = ROOM;
                        must(EVP_PKEY_encrypt_init(context) == 1 && EVP_PKEY_encrypt(context, sealed.at, &sealed.len, message.at, len) == 1, "seal");
                    } else {
                        must(EVP_PKEY_decrypt_init(context) == 1 && EVP_PKEY_decrypt(context, opened, &opened_len, sealed.at, sealed.len) == 1, "open");
                    }
                    EVP_PKEY_CTX_free(context);
                }
                took[decrypts][side][0][turn] = (microseconds(CLOCK_THREAD_CPUTIME_ID) - processor) / operations;
                took[decrypts][side][1][turn] = (microseconds(CLOCK_MONOTONIC) - wall) / operations;
            }
    for (int decrypts = 0; decrypts < 2; decrypts++)
        for (int side = 0; side < SIDES; side++) {
            for (int clock = 0; clock < 2; clock++)
                qsort(took[decrypts][side][clock], TURNS, sizeof(double), by_size);
            printf("%s by %s: processor %.1f us, wall %.1f us\n", decrypts ? "decryption" : "encryption", provider_names[side],
                   took[decrypts][side][0][TURNS / 2], took[decrypts][side][1][TURNS / 2]);
        }
    EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
    static struct key keys[24];
    size_t count = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    group = EC_GROUP_new_by_curve_name(NID_sm2);
    if (argc == 2 && strcmp(argv[1], "vectors") == 0) {
        vectors();
    } else if (argc == 2 && strcmp(argv[1], "zeros") == 0) {
        zeros();
    } else if (argc == 4 && strcmp(argv[1], "times") == 0 && atoi(argv[3]) > 0 && atoi(argv[3]) <= MOST) {
        measure(atoi(argv[2]), (size_t)atoi(argv[3]));
        EC_GROUP_free(group);
        return end();
    } else if (argc == 3) {
        dice_state = strtoull(argv[1], NULL, 10);
        /* Numbers at the edges: below 0, from the order down. With 2, -2, -4 and -1 the points of an encryption cannot be told apart. */
        static const int edges[] = {1, 2, 3, 4, -1, -2, -3, -4, -5};
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            BIGNUM *d = BN_new();
            BN_copy(d, EC_GROUP_get0_order(group));
            if (edges[i] > 0)
                BN_set_word(d, (BN_ULONG)edges[i]);
            else
                BN_sub_word(d, (BN_ULONG)-edges[i]);
            int degenerate = edges[i] == 2 || edges[i] == -2 || edges[i] == -4 || edges[i] == -1;
            keys[count] = (struct key){.key = from_numbers(properties[dice(SIDES)], d, 1), .takes_private = edges[i] != 1, .takes_public = !degenerate};
            snprintf(keys[count++].label, 60, "private %d", edges[i]);
            BN_free(d);
        }
        for (int i = 0; i < 12; i++) {
            int born = (int)dice(SIDES), only_public = i % 4 == 3;
            EVP_PKEY *whole = EVP_PKEY_Q_keygen(NULL, properties[born], "SM2");
            keys[count] = (struct key){.key = whole, .takes_private = !only_public, .takes_public = 1};
            if (only_public) {
                BIGNUM *d = NULL;
                must(EVP_PKEY_get_bn_param(whole, "priv", &d) == 1, "private number");
                keys[count].key = from_numbers(properties[born], d, 0);
                EVP_PKEY_free(whole);
                BN_clear_free(d);
            }
            snprintf(keys[count++].label, 60, "%s key %d, born in %s", only_public ? "public" : "whole", i, provider_names[born]);
        }
        for (int left = atoi(argv[2]); left > 0; left--)
            ask(keys, count);
        for (size_t i = 0; i < count; i++)
            EVP_PKEY_free(keys[i].key);
    } else {
        return 2;
    }
    EC_GROUP_free(group);
    printf("sm2-encrypt hardware %lu\nsm2-encrypt software %lu\nsm2-encrypt either %lu\n", encrypt_hardware, encrypt_software, encrypt_either);
    printf("sm2-decrypt hardware %lu\nsm2-decrypt software %lu\nsm2-decrypt refused %lu\nsm2-decrypt zero %lu\n", decrypt_hardware, decrypt_software,
           decrypt_refused, decrypt_zero);
    return end();
}
