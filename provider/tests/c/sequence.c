/* Random sequences of calls on one context of each side, in step: right ones and wrong ones, copies at any point, sizes asked
 * for, rooms too small, parameters changed at the wrong time, new inits with and without a key. Prints at the end how many
 * private operations our side finished ("rsa-2048-private done N"). Usage: sequence SEED SEQUENCES [BITS] */
#include "pair.h"

/* RSA, and RSA-PSS without restrictions, with some, with all. */
static const struct {
    const char *type, *digest, *mask;
    int salt;
} kinds[] = {{"RSA", NULL, NULL, -1}, {"RSA-PSS", NULL, NULL, -1}, {"RSA-PSS", "SHA256", NULL, 20}, {"RSA-PSS", "SHA2-512", "sha1", 0}};
enum { KINDS = sizeof kinds / sizeof *kinds };
static EVP_PKEY *keys[KINDS], *key;
static unsigned long done;
static char history[4096];
static unsigned char data[600];

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list arguments;
    size_t at = strlen(history);
    va_start(arguments, format);
    vsnprintf(history + at, sizeof history - at, format, arguments);
    va_end(arguments);
}

static int pss_now;
/* The digest was ended in place. Some versions let it be ended again, and sign whatever that gives. */
static int ended;

static void same(const int status[SIDES], const size_t lens[SIDES], unsigned char bytes[SIDES][600])
{
    char text[SIDES][512] = {{0}};
    /* Both sides' errors are in one queue, ours first, with a mark of our own between them. */
    size_t at[SIDES] = {0};
    int side = OURS;
    for (unsigned long error; (error = ERR_get_error()) != 0;) {
        if (ERR_GET_LIB(error) == ERR_LIB_USER) {
            side = STOCK;
            continue;
        }
        at[side] += (size_t)snprintf(text[side] + at[side], sizeof text[side] - at[side], "%d:%d ", ERR_GET_LIB(error), ERR_GET_REASON(error));
    }
    int equal = status[OURS] == status[STOCK] && strcmp(text[OURS], text[STOCK]) == 0;
    if (lens)
        equal = equal && lens[OURS] == lens[STOCK];
    if (bytes && equal && status[OURS] > 0 && !pss_now && !ended)
        equal = memcmp(bytes[OURS], bytes[STOCK], lens[OURS]) == 0;
    must(equal, "%s: %d and %d, %zu and %zu, errors %s and %s", history, status[OURS], status[STOCK], lens ? lens[OURS] : 0,
         lens ? lens[STOCK] : 0, text[OURS], text[STOCK]);
}

#define BOTH(call)                                                                                                                 \
    for (int side = 0; side < SIDES; side++) {                                                                                     \
        status[side] = (call);                                                                                                     \
        if (side == OURS)                                                                                                          \
            ERR_raise(ERR_LIB_USER, 1);                                                                                            \
    }

static const char *const digests[] = {"SHA256", "sha1", "SHA2-512", "MD5", "SHA3-256", "no-such-digest"};

/* Digest-sign or digest-verify. */
static void digest_sequence(int verify)
{
    EVP_MD_CTX *context[SIDES] = {EVP_MD_CTX_new(), EVP_MD_CTX_new()};
    EVP_PKEY_CTX *inner[SIDES] = {NULL, NULL};
    int status[SIDES], live = 0, in_place = (int)dice(2);
    const char *digest = digests[dice(5)];
    strcpy(history, verify ? "verify" : in_place ? "sign in place" : "sign");
    ended = 0;
    if (in_place)
        for (int side = 0; side < SIDES; side++)
            EVP_MD_CTX_set_flags(context[side], EVP_MD_CTX_FLAG_FINALISE);
    for (unsigned step = 0, steps = 3 + dice(12); step < steps; step++) {
        unsigned what = live ? dice(14) : 0;
        unsigned char out[SIDES][600];
        size_t lens[SIDES];
        switch (what) {
        case 0:
        case 1:
            digest = dice(10) ? digests[dice(6)] : NULL;
            EVP_PKEY *with = live && dice(3) == 0 ? NULL : key;
            note(" init(%s%s)", digest ? digest : "-", with ? "" : ", no key");
            BOTH(verify ? EVP_DigestVerifyInit_ex(context[side], &inner[side], digest, NULL, properties[side], with, NULL)
                        : EVP_DigestSignInit_ex(context[side], &inner[side], digest, NULL, properties[side], with, NULL));
            same(status, NULL, NULL);
            live = status[STOCK] > 0 && status[OURS] > 0;
            ended = 0;
            if (live && with)
                must(strcmp(serving(inner[OURS]), "warpdrive") == 0, "served by %s", serving(inner[OURS]));
            break;
        case 2:
        case 3:
        case 4: {
            size_t len = dice(3) ? dice(sizeof data) : 0;
            note(" update(%zu)", len);
            BOTH(verify ? EVP_DigestVerifyUpdate(context[side], data, len) : EVP_DigestSignUpdate(context[side], data, len));
            same(status, NULL, NULL);
            break;
        }
        case 5:
            if (verify)
                break;
            note(" size");
            lens[OURS] = lens[STOCK] = 600;
            BOTH(EVP_DigestSignFinal(context[side], NULL, &lens[side]));
            same(status, lens, NULL);
            break;
        case 6:
        case 7:
            lens[OURS] = lens[STOCK] = dice(4) ? 600 : dice(257);
            note(" final(%zu)", lens[0]);
            if (verify) {
                BOTH(EVP_DigestVerifyFinal(context[side], data, lens[side]));
            } else {
                BOTH(EVP_DigestSignFinal(context[side], out[side], &lens[side]));
                done += status[OURS] > 0;
            }
            int padding = 0;
            ERR_set_mark();
            EVP_PKEY_CTX_get_rsa_padding(inner[STOCK], &padding);
            ERR_pop_to_mark();
            pss_now = padding == RSA_PKCS1_PSS_PADDING;
            same(status, lens, verify ? NULL : out);
            ended = in_place;
            break;
        case 8: {
            int padding = (int)dice(8);
            note(" padding(%d)", padding);
            BOTH(EVP_PKEY_CTX_set_rsa_padding(inner[side], padding));
            same(status, NULL, NULL);
            break;
        }
        case 9: {
            int salt = (int)dice(40) - 6;
            note(" salt(%d)", salt);
            BOTH(EVP_PKEY_CTX_set_rsa_pss_saltlen(inner[side], salt));
            same(status, NULL, NULL);
            break;
        }
        case 10: {
            const char *changed = digests[dice(6)];
            note(" digest(%s)", changed);
            OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)changed, 0), OSSL_PARAM_END};
            BOTH(EVP_PKEY_CTX_set_params(inner[side], params));
            same(status, NULL, NULL);
            break;
        }
        case 11: {
            const char *changed = digests[dice(6)];
            note(" mask(%s)", changed);
            BOTH(EVP_PKEY_CTX_set_rsa_mgf1_md_name(inner[side], changed, dice(2) ? NULL : "provider=default"));
            same(status, NULL, NULL);
            break;
        }
        case 12: {
            note(" dup");
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
            same(status, NULL, NULL);
            live = status[OURS] == 1 && status[STOCK] == 1;
            if (!live)
                step = steps;
            break;
        }
        default: {
            char names[SIDES][2][64] = {{"", ""}, {"", ""}};
            unsigned char identifier[SIDES][600];
            int numbers[SIDES][2] = {{0, 0}, {0, 0}};
            size_t identifier_lens[SIDES] = {0, 0};
            note(" get");
            for (int side = 0; side < SIDES; side++) {
                OSSL_PARAM params[] = {OSSL_PARAM_int("pad-mode", &numbers[side][0]),
                                       OSSL_PARAM_int("saltlen", &numbers[side][1]),
                                       OSSL_PARAM_utf8_string("digest", names[side][0], 64),
                                       OSSL_PARAM_utf8_string("mgf1-digest", names[side][1], 64),
                                       OSSL_PARAM_octet_string("algorithm-id", identifier[side], 600),
                                       OSSL_PARAM_END};
                status[side] = EVP_PKEY_CTX_get_params(inner[side], params);
                identifier_lens[side] = params[4].return_size;
                if (side == OURS)
                    ERR_raise(ERR_LIB_USER, 1);
            }
            same(status, identifier_lens, NULL);
            must(memcmp(names[OURS], names[STOCK], sizeof names[0]) == 0 && memcmp(numbers[OURS], numbers[STOCK], sizeof numbers[0]) == 0,
                 "%s: parameters differ", history);
            if (status[STOCK] > 0 && identifier_lens[STOCK] <= 600)
                must(memcmp(identifier[OURS], identifier[STOCK], identifier_lens[STOCK]) == 0, "%s: identifiers differ", history);
        }
        }
    }
    for (int side = 0; side < SIDES; side++)
        EVP_MD_CTX_free(context[side]);
    ERR_clear_error();
}

/* Sign, verify and recover of values that are there already, the operation changing on one context. */
static void bare_sequence(void)
{
    EVP_PKEY_CTX *context[SIDES];
    int status[SIDES];
    strcpy(history, "bare");
    ended = 0;
    for (int side = 0; side < SIDES; side++)
        context[side] = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[side]);
    for (unsigned step = 0, steps = 3 + dice(12); step < steps; step++) {
        unsigned char out[SIDES][600];
        size_t lens[SIDES];
        unsigned what = step == 0 ? dice(3) : dice(12);
        int padding = 0;
        switch (what) {
        case 0:
            note(" sign_init");
            BOTH(EVP_PKEY_sign_init(context[side]));
            same(status, NULL, NULL);
            break;
        case 1:
            note(" verify_init");
            BOTH(EVP_PKEY_verify_init(context[side]));
            same(status, NULL, NULL);
            break;
        case 2:
            note(" recover_init");
            BOTH(EVP_PKEY_verify_recover_init(context[side]));
            same(status, NULL, NULL);
            break;
        case 3:
        case 4: {
            static const size_t sizes[] = {32, 20, 0, 256, 64, 245, 246, 255, 257, 600};
            size_t len = sizes[dice(10)];
            lens[OURS] = lens[STOCK] = dice(4) ? 600 : dice(257);
            int query = dice(5) == 0;
            note(" sign(%zu into %zu%s)", len, lens[0], query ? ", size" : "");
            data[0] = dice(2) ? 0 : 0xff;
            BOTH(EVP_PKEY_sign(context[side], query ? NULL : out[side], &lens[side], data, len));
            done += status[OURS] > 0 && !query;
            ERR_set_mark();
            EVP_PKEY_CTX_get_rsa_padding(context[STOCK], &padding);
            ERR_pop_to_mark();
            pss_now = padding == RSA_PKCS1_PSS_PADDING;
            same(status, lens, query ? NULL : out);
            break;
        }
        case 5: {
            size_t len = dice(2) ? 256 : dice(300);
            note(" verify(%zu)", len);
            BOTH(EVP_PKEY_verify(context[side], data, len, data, 32));
            same(status, NULL, NULL);
            break;
        }
        case 6: {
            size_t len = dice(2) ? 256 : dice(300);
            data[0] = 0;
            lens[OURS] = lens[STOCK] = dice(4) ? 600 : dice(257);
            note(" recover(%zu into %zu)", len, lens[0]);
            BOTH(EVP_PKEY_verify_recover(context[side], out[side], &lens[side], data, len));
            pss_now = 0;
            same(status, status[STOCK] > 0 ? lens : NULL, NULL);
            break;
        }
        case 7:
        case 8:
            padding = (int)dice(8);
            note(" padding(%d)", padding);
            BOTH(EVP_PKEY_CTX_set_rsa_padding(context[side], padding));
            same(status, NULL, NULL);
            break;
        case 9: {
            const char *changed = digests[dice(6)];
            note(" digest(%s)", changed);
            OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)changed, 0), OSSL_PARAM_END};
            BOTH(EVP_PKEY_CTX_set_params(context[side], params));
            same(status, NULL, NULL);
            break;
        }
        case 10: {
            int salt = (int)dice(40) - 6;
            note(" salt(%d)", salt);
            BOTH(EVP_PKEY_CTX_set_rsa_pss_saltlen(context[side], salt));
            same(status, NULL, NULL);
            break;
        }
        default:
            note(" dup");
            for (int side = 0; side < SIDES; side++) {
                EVP_PKEY_CTX *copy = EVP_PKEY_CTX_dup(context[side]);
                status[side] = copy != NULL;
                if (side == OURS)
                    ERR_raise(ERR_LIB_USER, 1);
                if (copy) {
                    EVP_PKEY_CTX_free(context[side]);
                    context[side] = copy;
                }
            }
            same(status, NULL, NULL);
            if (status[OURS] != status[STOCK])
                step = steps;
        }
    }
    for (int side = 0; side < SIDES; side++)
        EVP_PKEY_CTX_free(context[side]);
    ERR_clear_error();
}

/* A key of each kind. */
static void generate_all(size_t bits)
{
    for (int i = 0; i < KINDS; i++) {
        EVP_PKEY_free(keys[i]);
        keys[i] = NULL;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kinds[i].type, properties[i & 1 ? OURS : STOCK]);
        OSSL_PARAM params[5], *next = params;
        int salt = kinds[i].salt;
        *next++ = OSSL_PARAM_construct_size_t("bits", &bits);
        if (kinds[i].digest)
            *next++ = OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)kinds[i].digest, 0);
        if (kinds[i].mask)
            *next++ = OSSL_PARAM_construct_utf8_string("mgf1-digest", (char *)(uintptr_t)kinds[i].mask, 0);
        if (salt >= 0)
            *next++ = OSSL_PARAM_construct_int("saltlen", &salt);
        *next = OSSL_PARAM_construct_end();
        must(context && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_params(context, params) == 1 &&
                 EVP_PKEY_generate(context, &keys[i]) == 1,
             "key %d", i);
        EVP_PKEY_CTX_free(context);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return 2;
    size_t bits = argc > 3 ? strtoull(argv[3], NULL, 10) : 2048;
    dice_state = strtoull(argv[1], NULL, 10);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)dice(256);
    for (int i = 0, sequences = atoi(argv[2]); i < sequences; i++) {
        if (i % 1000 == 0)
            generate_all(bits);
        key = keys[dice(2) ? 0 : dice(KINDS)];
        if (!key)
            continue;
        cases++;
        switch (dice(3)) {
        case 0:
            digest_sequence(0);
            break;
        case 1:
            digest_sequence(1);
            break;
        default:
            bare_sequence();
        }
    }
    for (int i = 0; i < KINDS; i++)
        EVP_PKEY_free(keys[i]);
    printf("rsa-%zu-private done %lu\n", bits, done);
    return end();
}
