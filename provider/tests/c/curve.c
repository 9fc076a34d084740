/* Signatures with keys on curves, ECDSA and SM2: random sequences of calls on one context of each side, in step, right ones and
 * wrong ones; each signature is verified by both sides, as it is and spoilt. Prints at the end how many signatures our side
 * finished, per row of the counters ("ROW done N"). Usage: curve SEED SEQUENCES */
#include "pair.h"

enum { ROOM = 200 };

static struct kind {
    const char *type, *group, *row;
    unsigned long done;
    EVP_PKEY *key;
} kinds[] = {
    {"EC", "P-256", "ecdsa-p-256-sign", 0, NULL},
    {"EC", "P-384", "ecdsa-p-384-sign", 0, NULL},
    {"EC", "P-521", "ecdsa-p-521-sign", 0, NULL},
    {"EC", "P-224", "ecdsa-p-224-sign", 0, NULL},
    {"EC", "P-192", "ecdsa-p-192-sign", 0, NULL},
    {"EC", "secp256k1", "ecdsa-secp256k1-sign", 0, NULL},
    {"EC", "brainpoolP256r1", "ecdsa-brainpool-256-sign", 0, NULL},
    {"EC", "brainpoolP320r1", "ecdsa-brainpool-320-sign", 0, NULL},
    {"EC", "brainpoolP384r1", "ecdsa-brainpool-384-sign", 0, NULL},
    {"EC", "brainpoolP512r1", "ecdsa-brainpool-512-sign", 0, NULL},
    {"EC", "secp160r1", "ecdsa-other-sign", 0, NULL},
    {"EC", "sect233k1", "ecdsa-other-sign", 0, NULL},
    {"SM2", "SM2", "sm2-sign", 0, NULL},
    {"SM2", "SM2", "sm2-sign", 0, NULL},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct kind *kind;
static char history[4096];
static unsigned char data[600];
/* The message so far, and who signs it. */
static unsigned char message[8192];
static size_t message_len;
static unsigned char identity[80];
static size_t identity_len;
/* The digest was ended in place: some versions let it be ended again, over whatever that gives. */
static int ended;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list arguments;
    size_t at = strlen(history);
    va_start(arguments, format);
    vsnprintf(history + at, sizeof history - at, format, arguments);
    va_end(arguments);
}

static void same(const int status[SIDES])
{
    char text[SIDES][512] = {{0}};
    size_t at[SIDES] = {0};
    int side = OURS;
    for (unsigned long error; (error = ERR_get_error()) != 0;) {
        if (ERR_GET_LIB(error) == ERR_LIB_USER) {
            side = STOCK;
            continue;
        }
        at[side] += (size_t)snprintf(text[side] + at[side], sizeof text[side] - at[side], "%d:%d ", ERR_GET_LIB(error), ERR_GET_REASON(error));
    }
    must(status[OURS] == status[STOCK] && strcmp(text[OURS], text[STOCK]) == 0, "%s %s:%s: %d and %d, errors %s and %s", kind->type, kind->group,
         history, status[OURS], status[STOCK], text[OURS], text[STOCK]);
}

#define BOTH(call)                                                                                                                 \
    for (int side = 0; side < SIDES; side++) {                                                                                     \
        status[side] = (call);                                                                                                     \
        if (side == OURS)                                                                                                          \
            ERR_raise(ERR_LIB_USER, 1);                                                                                            \
    }

static const char *const digests[] = {"SHA256", "sha1", "SHA2-512", "SHA384", "SHA3-256", "BLAKE2s256", "no-such-digest"};

static const char *digest_name(void)
{
    if (strcmp(kind->type, "SM2") == 0)
        return dice(8) ? "SM3" : digests[dice(7)];
    return digests[dice(7)];
}

static int told_identity(EVP_PKEY_CTX *inner, const unsigned char *bytes, size_t len)
{
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string("distid", (void *)(uintptr_t)bytes, len), OSSL_PARAM_END};
    return EVP_PKEY_CTX_set_params(inner, params);
}

/* Verifies as the default provider does, and as we do. */
static void verify_message(const char *digest, const unsigned char *signature, size_t len)
{
    unsigned char spoilt[ROOM];
    memcpy(spoilt, signature, len);
    spoilt[dice((unsigned)len)] ^= (unsigned char)(1 << dice(8));
    for (int bad = 0; bad < 2; bad++) {
        int status[SIDES];
        for (int side = 0; side < SIDES; side++) {
            EVP_MD_CTX *context = EVP_MD_CTX_new();
            EVP_PKEY_CTX *inner = NULL;
            must(EVP_DigestVerifyInit_ex(context, &inner, digest, NULL, properties[side], kind->key, NULL) == 1, "%s: verify init", history);
            must(strcmp(serving(inner), provider_names[side]) == 0, "%s %s: verification served by %s", kind->type, kind->group, serving(inner));
            if (strcmp(kind->type, "SM2") == 0 && identity_len)
                must(told_identity(inner, identity, identity_len) == 1, "%s: identity", history);
            status[side] = EVP_DigestVerify(context, bad ? spoilt : signature, len, message, message_len);
            EVP_MD_CTX_free(context);
            ERR_clear_error();
        }
        must(status[OURS] == status[STOCK] && (bad || status[STOCK] == 1), "%s %s:%s: verified %d and %d, spoilt %d", kind->type, kind->group, history,
             status[OURS], status[STOCK], bad);
    }
}

static void digest_sequence(void)
{
    EVP_MD_CTX *context[SIDES] = {EVP_MD_CTX_new(), EVP_MD_CTX_new()};
    EVP_PKEY_CTX *inner[SIDES] = {NULL, NULL};
    int status[SIDES], live = 0, copied = 0, in_place = dice(3) == 0, sm2 = strcmp(kind->type, "SM2") == 0;
    strcpy(history, in_place ? " in place" : "");
    ended = 0;
    identity_len = 0;
    if (in_place)
        for (int side = 0; side < SIDES; side++)
            EVP_MD_CTX_set_flags(context[side], EVP_MD_CTX_FLAG_FINALISE);
    for (unsigned step = 0, steps = 3 + dice(10); step < steps; step++) {
        unsigned char out[SIDES][ROOM];
        size_t lens[SIDES];
        switch (live ? dice(14) : 0) {
        case 0: {
            EVP_PKEY *with = live && dice(3) == 0 ? NULL : kind->key;
            const char *digest = dice(10) ? digest_name() : NULL;
            unsigned deterministic = 1;
            OSSL_PARAM params[] = {OSSL_PARAM_uint("nonce-type", &deterministic), OSSL_PARAM_END};
            int with_nonce = !sm2 && dice(6) == 0;
            note(" init(%s%s%s)", digest ? digest : "-", with ? "" : ", no key", with_nonce ? ", deterministic" : "");
            BOTH(EVP_DigestSignInit_ex(context[side], &inner[side], digest, NULL, properties[side], with, with_nonce ? params : NULL));
            same(status);
            live = status[STOCK] > 0 && status[OURS] > 0;
            ended = 0;
            message_len = 0;
            /* An init that brings a key begins a new context of the provider's. */
            if (with)
                identity_len = 0;
            if (live && with)
                must(strcmp(serving(inner[OURS]), "warpdrive") == 0, "%s %s: served by %s", kind->type, kind->group, serving(inner[OURS]));
            break;
        }
        case 1:
        case 2:
        case 3: {
            size_t len = dice(3) ? dice(sizeof data) : 0;
            note(" update(%zu)", len);
            BOTH(EVP_DigestSignUpdate(context[side], data, len));
            same(status);
            if (status[STOCK] > 0) {
                memcpy(message + message_len, data, len);
                message_len += len;
            }
            break;
        }
        case 4:
            note(" size");
            BOTH(EVP_DigestSignFinal(context[side], NULL, &lens[side]));
            same(status);
            must(status[STOCK] <= 0 || lens[OURS] == lens[STOCK], "%s: sizes %zu and %zu", history, lens[OURS], lens[STOCK]);
            break;
        case 5:
        case 6:
        case 7: {
            lens[OURS] = lens[STOCK] = dice(4) ? ROOM : dice(150);
            note(" final(%zu)", lens[0]);
            char digest[64] = "";
            OSSL_PARAM asked[] = {OSSL_PARAM_utf8_string("digest", digest, sizeof digest), OSSL_PARAM_END};
            EVP_PKEY_CTX_get_params(inner[STOCK], asked);
            ERR_clear_error();
            BOTH(EVP_DigestSignFinal(context[side], out[side], &lens[side]));
            same(status);
            if (status[OURS] > 0) {
                kind->done++;
                for (int side = 0; side < SIDES && !ended; side++)
                    verify_message(digest, out[side], lens[side]);
            }
            ended = in_place;
            break;
        }
        case 8: {
            const char *changed = digest_name();
            note(" digest(%s)", changed);
            OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)changed, 0), OSSL_PARAM_END};
            BOTH(EVP_PKEY_CTX_set_params(inner[side], params));
            same(status);
            break;
        }
        case 9: {
            unsigned char who[sizeof identity];
            size_t len = dice(4) ? dice(sizeof who) : 0;
            if (!sm2)
                break;
            for (size_t i = 0; i < len; i++)
                who[i] = (unsigned char)dice(256);
            note(" identity(%zu)", len);
            BOTH(told_identity(inner[side], who, len));
            same(status);
            if (status[STOCK] > 0) {
                memcpy(identity, who, len);
                identity_len = len;
            }
            break;
        }
        case 10: {
            unsigned deterministic = dice(2);
            size_t size = dice(2) ? 32 : dice(70);
            int is_size = (int)dice(2);
            note(" %s(%zu)", is_size ? "digest-size" : "nonce-type", is_size ? size : deterministic);
            OSSL_PARAM params[] = {is_size ? (OSSL_PARAM)OSSL_PARAM_size_t("digest-size", &size) : (OSSL_PARAM)OSSL_PARAM_uint("nonce-type", &deterministic),
                                   OSSL_PARAM_END};
            BOTH(EVP_PKEY_CTX_set_params(inner[side], params));
            same(status);
            break;
        }
        case 11: {
            note(" dup");
            copied = 1;
            for (int side = 0; side < SIDES; side++) {
                EVP_MD_CTX *copy = EVP_MD_CTX_new();
                status[side] = EVP_MD_CTX_copy_ex(copy, context[side]);
                if (side == OURS)
                    ERR_raise(ERR_LIB_USER, 1);
                if (status[side] != 1) {
                    EVP_MD_CTX_free(copy);
                    continue;
                }
                EVP_MD_CTX_free(context[side]);
                context[side] = copy;
                inner[side] = EVP_MD_CTX_get_pkey_ctx(copy);
            }
            same(status);
            live = status[OURS] == 1 && status[STOCK] == 1;
            if (!live)
                step = steps;
            break;
        }
        default: {
            char names[SIDES][64] = {"", ""};
            unsigned char identifier[SIDES][ROOM];
            size_t identifier_lens[SIDES] = {0, 0}, sizes[SIDES] = {0, 0};
            note(" get");
            for (int side = 0; side < SIDES; side++) {
                OSSL_PARAM params[] = {OSSL_PARAM_size_t("digest-size", &sizes[side]), OSSL_PARAM_utf8_string("digest", names[side], 64),
                                       OSSL_PARAM_octet_string("algorithm-id", identifier[side], ROOM), OSSL_PARAM_END};
                status[side] = EVP_PKEY_CTX_get_params(inner[side], params);
                identifier_lens[side] = params[2].return_size;
                if (side == OURS)
                    ERR_raise(ERR_LIB_USER, 1);
            }
            same(status);
            must(strcmp(names[OURS], names[STOCK]) == 0 && sizes[OURS] == sizes[STOCK] && identifier_lens[OURS] == identifier_lens[STOCK],
                 "%s: parameters differ", history);
            /* In a copy, some versions of the default provider look for it in the original, which is gone. */
            if (status[STOCK] > 0 && identifier_lens[STOCK] <= ROOM && !copied)
                must(memcmp(identifier[OURS], identifier[STOCK], identifier_lens[STOCK]) == 0, "%s: identifiers differ", history);
        }
        }
    }
    for (int side = 0; side < SIDES; side++)
        EVP_MD_CTX_free(context[side]);
    ERR_clear_error();
}

static void bare_sequence(void)
{
    EVP_PKEY_CTX *context[SIDES];
    int status[SIDES], named = 0;
    strcpy(history, " bare");
    for (int side = 0; side < SIDES; side++)
        context[side] = EVP_PKEY_CTX_new_from_pkey(NULL, kind->key, properties[side]);
    BOTH(EVP_PKEY_sign_init(context[side]));
    same(status);
    must(strcmp(serving(context[OURS]), "warpdrive") == 0, "%s %s: served by %s", kind->type, kind->group, serving(context[OURS]));
    for (unsigned step = 0, steps = 2 + dice(6); step < steps; step++) {
        static const size_t sizes[] = {32, 20, 48, 64, 0, 28, 1, 66, 100, 512, 600};
        unsigned char out[SIDES][ROOM];
        size_t lens[SIDES], len = sizes[dice(11)];
        switch (dice(5)) {
        case 0: {
            const char *changed = digest_name();
            note(" digest(%s)", changed);
            OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)changed, 0), OSSL_PARAM_END};
            BOTH(EVP_PKEY_CTX_set_params(context[side], params));
            same(status);
            named = named || status[STOCK] > 0;
            break;
        }
        default:
            lens[OURS] = lens[STOCK] = dice(4) ? ROOM : dice(150);
            data[0] = (unsigned char)dice(256);
            if (dice(12) == 0)
                memset(data, dice(2) ? 0 : 0xff, 64);
            note(" sign(%zu into %zu)", len, lens[0]);
            BOTH(EVP_PKEY_sign(context[side], out[side], &lens[side], data, len));
            same(status);
            if (status[OURS] <= 0)
                break;
            kind->done++;
            for (int signer = 0; signer < SIDES; signer++) {
                for (int bad = 0; bad < 2; bad++) {
                    int verified[SIDES];
                    if (bad)
                        out[signer][dice((unsigned)lens[signer])] ^= (unsigned char)(1 << dice(8));
                    for (int side = 0; side < SIDES; side++) {
                        EVP_PKEY_CTX *verifier = EVP_PKEY_CTX_new_from_pkey(NULL, kind->key, properties[side]);
                        must(EVP_PKEY_verify_init(verifier) == 1, "%s: verify init", history);
                        verified[side] = EVP_PKEY_verify(verifier, out[signer], lens[signer], data, len);
                        EVP_PKEY_CTX_free(verifier);
                        ERR_clear_error();
                    }
                    must(verified[OURS] == verified[STOCK] && (bad || verified[STOCK] == 1), "%s %s:%s: signed by %s, verified %d and %d", kind->type,
                         kind->group, history, provider_names[signer], verified[OURS], verified[STOCK]);
                }
            }
        }
    }
    for (int side = 0; side < SIDES; side++)
        EVP_PKEY_CTX_free(context[side]);
    ERR_clear_error();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    dice_state = strtoull(argv[1], NULL, 10);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)dice(256);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < KINDS; i++) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kinds[i].type, properties[dice(SIDES)]);
        OSSL_PARAM params[] = {OSSL_PARAM_utf8_string("group", (char *)(uintptr_t)kinds[i].group, 0), OSSL_PARAM_END};
        must(context && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_params(context, params) == 1 &&
                 EVP_PKEY_generate(context, &kinds[i].key) == 1,
             "key on %s", kinds[i].group);
        EVP_PKEY_CTX_free(context);
    }
    for (int i = 0, sequences = atoi(argv[2]); i < sequences; i++) {
        kind = &kinds[dice(KINDS)];
        if (!kind->key)
            continue;
        cases++;
        if (dice(3))
            digest_sequence();
        else
            bare_sequence();
    }
    for (int i = 0; i < KINDS; i++) {
        for (int j = i + 1; j < KINDS; j++)
            if (strcmp(kinds[i].row, kinds[j].row) == 0) {
                kinds[i].done += kinds[j].done;
                kinds[j].done = 0;
            }
        if (kinds[i].done)
            printf("%s done %lu\n", kinds[i].row, kinds[i].done);
        EVP_PKEY_free(kinds[i].key);
    }
    return end();
}
