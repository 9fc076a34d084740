/* Keys of every type we offer, right, damaged and nonsensical: made from the same numbers on both sides, then asked everything
 * that can be asked of a key. Usage: keys SEED ROUNDS [TYPE] */
#include "pair.h"
#include <openssl/dh.h>
#include <openssl/encoder.h>

struct kind {
    const char *name;
    int has_exchange;
    /* Group by name, or bits where that is 0. */
    const char *groups[12];
    unsigned bits;
};
static const struct kind kinds[] = {
    {"RSA", 0, {NULL}, 1024},
    {"RSA", 0, {NULL}, 2048},
    {"RSA", 0, {NULL}, 512},
    {"RSA-PSS", 0, {NULL}, 1024},
    {"DH", 1, {"ffdhe2048", "modp_1536", "ffdhe2048", NULL}, 0},
    {"EC", 1, {"P-256", "P-224", "P-384", "P-521", "prime192v1", "secp256k1", "brainpoolP320r1", "secp112r2", "sect163k1", "brainpoolP256t1", NULL}, 0},
    {"X25519", 1, {NULL}, 0},
    {"X448", 1, {NULL}, 0},
    {"SM2", 0, {NULL}, 0},
};

static int has_parameters(const struct kind *kind)
{
    return kind->groups[0] || strcmp(kind->name, "SM2") == 0;
}

/* What a key answered, line by line. */
struct answers {
    char text[60000];
    size_t at;
};

__attribute__((format(printf, 2, 3))) static void note(struct answers *answers, const char *format, ...)
{
    char queue[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(answers->text + answers->at, sizeof answers->text - answers->at, format, arguments);
    va_end(arguments);
    answers->at += (size_t)len;
    errors(queue, sizeof queue);
    if (answers->at < sizeof answers->text)
        answers->at += (size_t)snprintf(answers->text + answers->at, sizeof answers->text - answers->at, " | %s\n", queue);
    if (answers->at >= sizeof answers->text) {
        printf("too much is answered\n");
        exit(2);
    }
}

static unsigned long long hash(const void *bytes, size_t len)
{
    unsigned long long value = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        value = (value ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return value;
}

static void list(struct answers *answers, const char *what, const OSSL_PARAM *params)
{
    char text[4000];
    size_t at = 0;
    text[0] = 0;
    for (; params && params->key; params++)
        at += (size_t)snprintf(text + at, sizeof text - at, " %s/%u/%zu/%zd", params->key, params->data_type, params->data_size,
                               (ssize_t)params->return_size);
    note(answers, "%s%s", what, text);
}

static void all_parameters(struct answers *answers, const EVP_PKEY *key)
{
    static unsigned char room[8192];
    list(answers, "gettable", EVP_PKEY_gettable_params(key));
    list(answers, "settable", EVP_PKEY_settable_params(key));
    for (const OSSL_PARAM *one = EVP_PKEY_gettable_params(key); one && one->key; one++) {
        OSSL_PARAM params[2] = {*one, OSSL_PARAM_END};
        memset(room, 0, sizeof room);
        params[0].data = room;
        params[0].data_size = one->data_type == OSSL_PARAM_INTEGER ? sizeof(int) : 1100;
        params[0].return_size = OSSL_PARAM_UNMODIFIED;
        int status = EVP_PKEY_get_params(key, params);
        size_t len = params[0].return_size;
        note(answers, "%s %d %zd %llx", one->key, status, (ssize_t)len, len < sizeof room ? hash(room, sizeof room) : 0);
        /* Size query. */
        params[0].data = NULL;
        params[0].data_size = 0;
        params[0].return_size = OSSL_PARAM_UNMODIFIED;
        status = EVP_PKEY_get_params(key, params);
        note(answers, "%s? %d %zd", one->key, status, (ssize_t)params[0].return_size);
    }
}

static void checks(struct answers *answers, EVP_PKEY *key, const char *props)
{
    static const struct {
        const char *name;
        int (*check)(EVP_PKEY_CTX *);
    } all[] = {{"public", EVP_PKEY_public_check},   {"public quick", EVP_PKEY_public_check_quick}, {"parameters", EVP_PKEY_param_check},
               {"parameters quick", EVP_PKEY_param_check_quick}, {"private", EVP_PKEY_private_check}, {"pairwise", EVP_PKEY_pairwise_check},
               {"whole", EVP_PKEY_check}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, props);
        int status = context ? all[i].check(context) : -9;
        note(answers, "%s check %d", all[i].name, status);
        EVP_PKEY_CTX_free(context);
    }
}

static void exports(struct answers *answers, const struct kind *kind, EVP_PKEY *key)
{
    static const int selections[] = {1, 2, 3, 4, 0x84, 0x86, 0x87};
    for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
        OSSL_PARAM *params = NULL;
        /* Exception: an RSA key without its numbers is not handed out; OpenSSL's encoders would crash on it. */
        if (strncmp(kind->name, "RSA", 3) == 0 && !(selections[i] & EVP_PKEY_KEYPAIR & ~EVP_PKEY_KEY_PARAMETERS))
            continue;
        int status = EVP_PKEY_todata(key, selections[i], &params);
        char text[2000];
        size_t at = 0;
        text[0] = 0;
        for (OSSL_PARAM *one = params; one && one->key; one++)
            at += (size_t)snprintf(text + at, sizeof text - at, " %s/%u/%zu/%llx", one->key, one->data_type, one->data_size,
                                   hash(one->data, one->data_size));
        note(answers, "export %x %d%s", (unsigned)selections[i], status, text);
        OSSL_PARAM_free(params);
    }
}

static void written(struct answers *answers, const char *what, int status, BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    /* Exception: foreign keys are exported to the encoder's provider first; what fails, fails there, for that provider's reasons. */
    ERR_clear_error();
    note(answers, "%s %d %ld %llx", what, status, status == 1 ? len : 0, status == 1 ? hash(bytes, len > 0 ? (size_t)len : 0) : 0);
    BIO_free(bio);
}

static int has_number(EVP_PKEY *key, const char *name, int odd)
{
    BIGNUM *number = NULL;
    int has = EVP_PKEY_get_bn_param(key, name, &number) == 1 && (!odd || BN_is_odd(number));
    BN_clear_free(number);
    ERR_clear_error();
    return has;
}

static void encodings(struct answers *answers, const struct kind *kind, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int status = EVP_PKEY_print_private(bio, key, 0, NULL);
    written(answers, "print private", status, bio);
    status = EVP_PKEY_print_public(bio = BIO_new(BIO_s_mem()), key, 0, NULL);
    written(answers, "print public", status, bio);
    /* Exception: printing the parameters of a key type that has none works on the encoder's own keys only. */
    status = EVP_PKEY_print_params(bio = BIO_new(BIO_s_mem()), key, 0, NULL);
    if (has_parameters(kind))
        written(answers, "print parameters", status, bio);
    else
        BIO_free(bio);
    ERR_clear_error();
    status = PEM_write_bio_PrivateKey(bio = BIO_new(BIO_s_mem()), key, NULL, NULL, 0, NULL, NULL);
    written(answers, "PKCS#8", status, bio);
    status = PEM_write_bio_PUBKEY(bio = BIO_new(BIO_s_mem()), key);
    written(answers, "SubjectPublicKeyInfo", status, bio);
    status = PEM_write_bio_Parameters(bio = BIO_new(BIO_s_mem()), key);
    written(answers, "parameters", status, bio);
    unsigned char *encoded = NULL;
    size_t len = EVP_PKEY_get1_encoded_public_key(key, &encoded);
    note(answers, "encoded %zu %llx", len, hash(encoded, encoded ? len : 0));
    OPENSSL_free(encoded);
    char name[100] = "";
    size_t name_len = 0;
    status = EVP_PKEY_get_group_name(key, name, sizeof name, &name_len);
    note(answers, "group %d %s %zu", status, name, name_len);
    status = EVP_PKEY_get_default_digest_name(key, name, sizeof name);
    note(answers, "digest %d %s", status, name);
}

static void exchange(struct answers *answers, EVP_PKEY *key, EVP_PKEY *peer, const char *props, int checked)
{
    unsigned char secret[2048] = {0};
    size_t len = sizeof secret;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, props);
    int status = context ? EVP_PKEY_derive_init(context) : -9;
    note(answers, "derive init %d", status);
    if (status > 0) {
        status = EVP_PKEY_derive_set_peer_ex(context, peer, checked);
        note(answers, "set peer %d", status);
    }
    if (status > 0) {
        status = EVP_PKEY_derive(context, secret, &len);
        note(answers, "derive %d %zu %llx", status, status > 0 ? len : 0, status > 0 ? hash(secret, sizeof secret) : 0);
    }
    EVP_PKEY_CTX_free(context);
}

static void verified(struct answers *answers, EVP_PKEY *key, const char *props, const OSSL_PARAM *params, const unsigned char *signature, size_t len,
                     const unsigned char *digest, const char *whose)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, props);
    int status = context ? EVP_PKEY_verify_init_ex(context, params) : -9;
    if (status > 0)
        status = EVP_PKEY_verify(context, signature, len, digest, 32);
    note(answers, "verify %s %d", whose, status);
    EVP_PKEY_CTX_free(context);
}

/* Signs and verifies, encrypts and decrypts. What is random is left out: signatures but for PKCS#1's, ciphertexts, and whatever
 * comes out otherwise the second time: with exponents that do not belong together, blinding does not cancel out. */
static void uses(struct answers *answers, const struct kind *kind, EVP_PKEY *key, const char *props)
{
    static const unsigned char digest[32] = {0x17, 1, 2, 3};
    static unsigned char out[4096], again[4096], garbage[4096];
    int is_rsa = strncmp(kind->name, "RSA", 3) == 0, pkcs1 = RSA_PKCS1_PADDING, oaep = RSA_PKCS1_OAEP_PADDING, none = RSA_NO_PADDING,
        pss = RSA_PKCS1_PSS_PADDING;
    OSSL_PARAM with[][2] = {
        {OSSL_PARAM_construct_int("pad-mode", &pkcs1), OSSL_PARAM_END},
        {OSSL_PARAM_construct_int("pad-mode", &pss), OSSL_PARAM_END},
        {OSSL_PARAM_construct_int("pad-mode", &none), OSSL_PARAM_END},
        {OSSL_PARAM_construct_int("pad-mode", &oaep), OSSL_PARAM_END},
    };
    size_t whole = (size_t)EVP_PKEY_get_size(key);
    if (whole > sizeof out)
        return;
    memset(garbage, 0x2b, sizeof garbage);
    garbage[0] = 0;
    for (int i = 0; i < (is_rsa ? 3 : 1); i++) {
        size_t len = sizeof out, again_len = sizeof again;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, props);
        int status = context ? EVP_PKEY_sign_init_ex(context, is_rsa ? with[i] : NULL) : -9;
        note(answers, "sign init %d %d", i, status);
        if (status > 0) {
            status = EVP_PKEY_sign(context, out, &len, i == 2 ? garbage : digest, i == 2 ? whole : 32);
            note(answers, "sign %d %d %zu", i, status, status > 0 && is_rsa ? len : 0);
            int steady = status > 0 && EVP_PKEY_sign(context, again, &again_len, i == 2 ? garbage : digest, i == 2 ? whole : 32) > 0 &&
                         len == again_len && memcmp(out, again, len) == 0;
            note(answers, "signature %llx", steady ? hash(out, len) : 0);
        }
        EVP_PKEY_CTX_free(context);
        if (status > 0)
            verified(answers, key, props, is_rsa ? with[i] : NULL, out, len, digest, "its own");
        verified(answers, key, props, is_rsa ? with[i] : NULL, garbage, whole, digest, "nonsense");
        verified(answers, key, props, is_rsa ? with[i] : NULL, garbage, 7, digest, "too short");
    }
    for (int i = 0; i < (is_rsa ? 4 : 1); i++) {
        size_t len = sizeof out;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, props);
        int status = i != 1 && context ? EVP_PKEY_encrypt_init_ex(context, is_rsa ? with[i] : NULL) : -9;
        note(answers, "encrypt init %d %d", i, status);
        if (status > 0) {
            status = EVP_PKEY_encrypt(context, out, &len, i == 2 ? garbage : digest, i == 2 ? whole : 32);
            /* An encryption to SM2 is as long as its numbers happen to be. */
            note(answers, "encrypt %d %d %zu", i, status, status > 0 && is_rsa ? len : 0);
        }
        EVP_PKEY_CTX_free(context);
        for (int good = status > 0; good >= 0 && i != 1; good--) {
            size_t plain_len = sizeof out, again_len = sizeof again, cipher_len = good ? len : whole;
            static unsigned char plain[sizeof out];
            int steady = 0;
            context = EVP_PKEY_CTX_new_from_pkey(NULL, key, props);
            status = context ? EVP_PKEY_decrypt_init_ex(context, is_rsa ? with[i] : NULL) : -9;
            if (status > 0) {
                status = EVP_PKEY_decrypt(context, plain, &plain_len, good ? out : garbage, cipher_len);
                note(answers, "first decryption");
                steady = EVP_PKEY_decrypt(context, again, &again_len, good ? out : garbage, cipher_len) > 0 && plain_len == again_len &&
                         memcmp(plain, again, plain_len) == 0;
                /* What newer versions make up when a padding is wrong depends on the ciphertext, which is random. */
                if (good && i != 2 && (plain_len != 32 || memcmp(plain, digest, 32) != 0))
                    steady = 0;
                note(answers, "second decryption");
            }
            note(answers, "decrypt %d %d %zu %llx", i, status, status > 0 && steady ? plain_len : 0, status > 0 && steady ? hash(plain, plain_len) : 0);
            EVP_PKEY_CTX_free(context);
        }
    }
}

static void examine(struct answers *answers, const struct kind *kind, EVP_PKEY *key, EVP_PKEY *partner, const char *props, int can_exchange)
{
    note(answers, "bits %d security %d size %d type %s", EVP_PKEY_get_bits(key), EVP_PKEY_get_security_bits(key), EVP_PKEY_get_size(key),
         EVP_PKEY_get0_type_name(key));
    all_parameters(answers, key);
    checks(answers, key, props);
    exports(answers, kind, key);
    /* OpenSSL 3.0 itself crashes when it prints an RSA key without these. */
    if (strncmp(kind->name, "RSA", 3) != 0 || (has_number(key, "n", 0) && has_number(key, "e", 0))) {
        encodings(answers, kind, key);
        uses(answers, kind, key, props);
    }
    /* And when it computes modulo an even number. */
    if (strcmp(kind->name, "DH") == 0 && !has_number(key, "p", 1))
        can_exchange = 0;
    note(answers, "missing parameters %d, equal to itself %d, to another %d, parameters %d", EVP_PKEY_missing_parameters(key), EVP_PKEY_eq(key, key),
         EVP_PKEY_eq(key, partner), EVP_PKEY_parameters_eq(key, partner));
    EVP_PKEY *copy = EVP_PKEY_dup(key);
    note(answers, "duplicate %d", copy != NULL);
    if (copy) {
        note(answers, "equal %d", EVP_PKEY_eq(key, copy));
        exports(answers, kind, copy);
        EVP_PKEY_free(copy);
    }
    copy = EVP_PKEY_new();
    int status = EVP_PKEY_copy_parameters(copy, key);
    note(answers, "copy parameters %d", status);
    if (status == 1) {
        exports(answers, kind, copy);
        unsigned char *encoded = NULL;
        size_t len = EVP_PKEY_get1_encoded_public_key(partner, &encoded);
        status = len ? EVP_PKEY_set1_encoded_public_key(copy, encoded, len) : -9;
        note(answers, "set public %d", status);
        exports(answers, kind, copy);
        if (len) {
            status = EVP_PKEY_set1_encoded_public_key(copy, encoded, len - 1);
            note(answers, "set short public %d", status);
            encoded[len / 2] ^= 1;
            status = EVP_PKEY_set1_encoded_public_key(copy, encoded, len);
            note(answers, "set damaged public %d", status);
            status = EVP_PKEY_set1_encoded_public_key(copy, encoded, 0);
            note(answers, "set empty public %d", status);
        }
        if (can_exchange)
            exchange(answers, key, copy, props, 1);
        OPENSSL_free(encoded);
    }
    EVP_PKEY_free(copy);
    if (can_exchange) {
        exchange(answers, key, partner, props, 1);
        exchange(answers, partner, key, props, 1);
        /* And when the peer has no public value and nobody checked. */
        unsigned char *public = NULL;
        size_t public_len = EVP_PKEY_get1_encoded_public_key(key, &public);
        OPENSSL_free(public);
        ERR_clear_error();
        if (public_len) {
            exchange(answers, partner, key, props, 0);
            exchange(answers, key, key, props, 0);
        }
    }
}

static void differ(const char *label, const struct answers *ours, const struct answers *stock)
{
    if (strcmp(ours->text, stock->text) == 0)
        return;
    const char *a = ours->text, *b = stock->text;
    while (*a && *b) {
        size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");
        if (la != lb || memcmp(a, b, la) != 0)
            break;
        a += la + 1;
        b += lb + 1;
    }
    complain("%s:\n  ours  %.*s\n  stock %.*s", label, (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

static EVP_PKEY *from_data(const struct kind *kind, int side, int selection, OSSL_PARAM *params, int *status)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind->name, properties[side]);
    *status = context && EVP_PKEY_fromdata_init(context) == 1 ? EVP_PKEY_fromdata(context, &key, selection, params) : -9;
    EVP_PKEY_CTX_free(context);
    if (key)
        must(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), provider_names[side]) == 0, "%s: key of %s", kind->name,
             OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)));
    return key;
}

static EVP_PKEY *fresh(const struct kind *kind, int side, const char *group)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind->name, properties[side]);
    OSSL_PARAM params[3] = {OSSL_PARAM_END, OSSL_PARAM_END, OSSL_PARAM_END};
    size_t bits = kind->bits;
    if (group)
        params[0] = OSSL_PARAM_construct_utf8_string("group", (char *)(uintptr_t)group, 0);
    else if (bits)
        params[0] = OSSL_PARAM_construct_size_t("bits", &bits);
    int good = context && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_params(context, params) == 1 &&
               EVP_PKEY_generate(context, &key) == 1;
    must(good, "%s %s: generate on side %d", kind->name, group ? group : "", side);
    EVP_PKEY_CTX_free(context);
    if (!key)
        exit(2);
    must(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), provider_names[side]) == 0, "%s: born elsewhere", kind->name);
    return key;
}

/* p, p - 1, p + 1, the order and its neighbours, or zero, one, two: whatever the key's group has of these. */
static const char *edge(EVP_PKEY *key, unsigned char *room, size_t len)
{
    static char what[40];
    const char *names[] = {"p", "order", "q"}, *name = names[dice(3)];
    int by = (int)dice(3) - 1;
    BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1)
        name = "zero";
    ERR_clear_error();
    if (!number)
        number = BN_new();
    if (by < 0)
        BN_sub_word(number, 1);
    else if (by > 0)
        BN_add_word(number, 1);
    BN_set_negative(number, 0);
    if (BN_bn2lebinpad(number, room, (int)len) < 0)
        memset(room, 0, len);
    BN_clear_free(number);
    snprintf(what, sizeof what, "%s %+d", name, by);
    return what;
}

/* One parameter made wrong, in memory of its own. Gives what was done. */
static const char *damage(OSSL_PARAM *params, unsigned count, EVP_PKEY *key, const OSSL_PARAM *partner, unsigned char *room, size_t room_size)
{
    OSSL_PARAM *one = &params[dice(count)];
    static char what[200];
    const char *how;
    size_t len = one->data_size;
    memset(room, 0, room_size);
    if (one->data && len <= room_size)
        memcpy(room, one->data, len);
    unsigned choice = dice(22);
    switch (choice) {
    case 0: {
        how = "missing";
        snprintf(what, sizeof what, "%s %s", one->key, how);
        memmove(one, one + 1, sizeof *one * (size_t)(params + count - one));
        return what;
    }
    case 1:
        how = "zero";
        memset(room, 0, room_size);
        break;
    case 2:
        how = "one";
        memset(room, 0, room_size);
        room[0] = 1;
        break;
    case 3:
        how = "minus one";
        for (size_t i = 0; i < len && room[i]-- == 0; i++)
            ;
        break;
    case 4:
        how = "all ones";
        memset(room, 0xff, len);
        break;
    case 5:
        how = "short";
        len = len ? len - 1 : 0;
        break;
    case 6:
        how = "long";
        room[len++] = 1;
        break;
    case 7:
        how = "empty";
        len = 0;
        break;
    case 8:
        how = "huge";
        len = room_size;
        memset(room, 0x5a, len);
        break;
    case 9:
        how = "wrong type";
        one->data_type = one->data_type == OSSL_PARAM_UNSIGNED_INTEGER ? OSSL_PARAM_OCTET_STRING : OSSL_PARAM_UNSIGNED_INTEGER;
        break;
    case 10:
        how = "text";
        one->data_type = OSSL_PARAM_UTF8_STRING;
        break;
    case 11:
        how = "negative";
        one->data_type = OSSL_PARAM_INTEGER;
        memset(room, 0xff, len);
        break;
    case 12:
        how = "plus one";
        for (size_t i = 0; i < len && ++room[i] == 0; i++)
            ;
        break;
    case 13:
    case 14:
        how = edge(key, room, len);
        break;
    case 15:
    case 16:
    case 17: {
        /* Halves that do not belong together, and with another group's name all numbers are foreign. */
        const OSSL_PARAM *theirs = OSSL_PARAM_locate_const(partner, one->key);
        how = "the partner's";
        if (theirs && theirs->data_size <= room_size) {
            len = theirs->data_size;
            memcpy(room, theirs->data, len);
        }
        break;
    }
    default:
        how = "one bit";
        if (len)
            room[dice((unsigned)len)] ^= (unsigned char)(1 << dice(8));
    }
    one->data = room;
    one->data_size = len;
    snprintf(what, sizeof what, "%s %s", one->key, how);
    return what;
}

static void round_of(const struct kind *kind, unsigned round)
{
    static struct answers answers[SIDES];
    static unsigned char room[2][1200];
    unsigned groups = 0;
    while (kind->groups[groups])
        groups++;
    const char *group = groups ? kind->groups[round % 3 ? dice(groups) : round / 3 % groups] : NULL;
    /* Every third key is a right one, group after group. */
    EVP_PKEY *whole = fresh(kind, (int)dice(SIDES), group), *partner_source = fresh(kind, (int)dice(SIDES), dice(4) || !groups ? group : kind->groups[dice(groups)]);
    OSSL_PARAM *params = NULL, *partner_params = NULL;
    must(EVP_PKEY_todata(whole, EVP_PKEY_KEYPAIR, &params) == 1 && EVP_PKEY_todata(partner_source, EVP_PKEY_KEYPAIR, &partner_params) == 1, "%s: export", kind->name);
    OSSL_PARAM changed[64];
    unsigned count = 0;
    for (OSSL_PARAM *one = params; one->key && count < 60; one++)
        changed[count++] = *one;
    changed[count] = (OSSL_PARAM)OSSL_PARAM_END;
    char label[500];
    size_t at = (size_t)snprintf(label, sizeof label, "%s %s round %u", kind->name, group ? group : "", round);
    for (unsigned i = 0, damages = round % 3 ? dice(3) : 0; i < damages && count > 1; i++) {
        const char *what = damage(changed, count, whole, partner_params, room[i], sizeof room[i]);
        at += (size_t)snprintf(label + at, sizeof label - at, ", %s", what);
        for (count = 0; changed[count].key; count++)
            ;
    }
    static const int selections[] = {EVP_PKEY_KEYPAIR, EVP_PKEY_KEYPAIR, EVP_PKEY_PUBLIC_KEY, EVP_PKEY_KEY_PARAMETERS, 0x87, 0x01, 0x80};
    int selection = round % 3 ? selections[dice(7)] : EVP_PKEY_KEYPAIR;
    snprintf(label + at, sizeof label - at, ", selection %x", (unsigned)selection);
    cases++;
    ERR_clear_error();
    for (int side = 0; side < SIDES; side++) {
        struct answers *to = &answers[side];
        int status;
        to->at = 0;
        EVP_PKEY *key = from_data(kind, side, selection, changed, &status);
        note(to, "from data %d", status);
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind->name, properties[side]);
        EVP_PKEY_fromdata_init(context);
        list(to, "importable", EVP_PKEY_fromdata_settable(context, selection));
        EVP_PKEY_CTX_free(context);
        if (status == 1) {
            EVP_PKEY *partner = from_data(kind, side, EVP_PKEY_KEYPAIR, partner_params, &status);
            note(to, "partner %d", status);
            if (partner)
                examine(to, kind, key, partner, properties[side], kind->has_exchange);
            EVP_PKEY_free(partner);
        }
        EVP_PKEY_free(key);
    }
    differ(label, &answers[OURS], &answers[STOCK]);
    OSSL_PARAM_free(params);
    OSSL_PARAM_free(partner_params);
    EVP_PKEY_free(whole);
    EVP_PKEY_free(partner_source);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    dice_state = strtoull(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsigned rounds = (unsigned)atoi(argv[2]);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (argc > 3 && strcmp(argv[3], kinds[i].name) != 0)
            continue;
        for (unsigned round = 0; round < rounds; round++)
            round_of(&kinds[i], round);
        printf("%s examined %u\n", kinds[i].name, rounds);
    }
    return end();
}
