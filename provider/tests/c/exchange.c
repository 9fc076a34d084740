/* Key exchange: groups, parameters, key derivation functions, buffer sizes, calls out of order, on both sides. Prints at the end,
 * per row of the counters, how many secrets our side gave that a device can compute: "ROW hardware N".
 * Usage: exchange SEED ROUNDS */
#include "pair.h"
#include <openssl/dh.h>
#include <openssl/ec.h>

static const struct group {
    const char *type, *name, *row;
} groups[] = {
    {"X25519", NULL, "x25519"},
    {"X448", NULL, "x448"},
    {"EC", "P-256", "ecdh-p-256"},
    {"EC", "P-384", "ecdh-p-384"},
    {"EC", "P-521", "ecdh-p-521"},
    {"EC", "P-224", "ecdh-p-224"},
    {"EC", "prime192v1", "ecdh-p-192"},
    {"EC", "secp256k1", "ecdh-secp256k1"},
    {"EC", "brainpoolP256r1", "ecdh-brainpool-256"},
    {"EC", "brainpoolP320r1", "ecdh-brainpool-320"},
    {"EC", "brainpoolP384r1", "ecdh-brainpool-384"},
    {"EC", "brainpoolP512r1", "ecdh-brainpool-512"},
    {"EC", "secp112r2", NULL},
    {"EC", "brainpoolP256t1", NULL},
    {"EC", "sect233k1", NULL},
    {"DH", "ffdhe2048", "dh-2048"},
    {"DH", "ffdhe3072", "dh-3072"},
    {"DH", "modp_1536", "dh-1536"},
    {"DH", "modp_2048", "dh-2048"},
    /* The groups of RFC 2409, given by their numbers. */
    {"DH", "768", "dh-768"},
    {"DH", "1024", "dh-1024"},
};
enum { GROUPS = sizeof groups / sizeof *groups };
static unsigned long computed[GROUPS];

static EVP_PKEY *numbered(const struct group *group, int side)
{
    EVP_PKEY *parameters = NULL, *key = NULL;
    BIGNUM *p = strcmp(group->name, "768") == 0 ? BN_get_rfc2409_prime_768(NULL) : BN_get_rfc2409_prime_1024(NULL), *g = BN_new();
    BN_set_word(g, dice(2) ? 2 : 5);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(builder, "p", p);
    OSSL_PARAM_BLD_push_BN(builder, "g", g);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, group->type, properties[side]);
    must(EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &parameters, EVP_PKEY_KEY_PARAMETERS, params) == 1, "parameters");
    EVP_PKEY_CTX_free(context);
    context = EVP_PKEY_CTX_new_from_pkey(NULL, parameters, properties[side]);
    must(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_generate(context, &key) == 1, "key over a template");
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(parameters);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(p);
    BN_free(g);
    return key;
}

static EVP_PKEY *fresh(const struct group *group, int side)
{
    EVP_PKEY *key = NULL;
    if (group->name && group->name[0] >= '0' && group->name[0] <= '9')
        return numbered(group, side);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, group->type, properties[side]);
    int good = context && EVP_PKEY_keygen_init(context) == 1 && (!group->name || EVP_PKEY_CTX_set_group_name(context, group->name) == 1) &&
               EVP_PKEY_generate(context, &key) == 1;
    must(good, "%s %s: generate", group->type, group->name);
    EVP_PKEY_CTX_free(context);
    if (!key)
        exit(2);
    return key;
}

/* The public half alone, as it comes out of a certificate or a handshake. */
static EVP_PKEY *public_half(EVP_PKEY *key, int side)
{
    EVP_PKEY *half = EVP_PKEY_new();
    unsigned char *encoded = NULL;
    size_t len = EVP_PKEY_get1_encoded_public_key(key, &encoded);
    if (dice(2)) {
        OSSL_PARAM *params = NULL;
        EVP_PKEY_free(half);
        half = NULL;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, EVP_PKEY_get0_type_name(key), properties[side]);
        must(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params) == 1 && EVP_PKEY_fromdata_init(context) == 1 &&
                 EVP_PKEY_fromdata(context, &half, EVP_PKEY_PUBLIC_KEY, params) == 1,
             "public half");
        EVP_PKEY_CTX_free(context);
        OSSL_PARAM_free(params);
    } else
        must(EVP_PKEY_copy_parameters(half, key) == 1 && EVP_PKEY_set1_encoded_public_key(half, encoded, len) == 1, "encoded public key");
    OPENSSL_free(encoded);
    return half;
}

struct answer {
    char text[6000];
    size_t at;
};

__attribute__((format(printf, 2, 3))) static void note(struct answer *answer, const char *format, ...)
{
    char queue[512];
    va_list arguments;
    va_start(arguments, format);
    answer->at += (size_t)vsnprintf(answer->text + answer->at, sizeof answer->text - answer->at, format, arguments);
    va_end(arguments);
    errors(queue, sizeof queue);
    answer->at += (size_t)snprintf(answer->text + answer->at, sizeof answer->text - answer->at, " | %s; ", queue);
    if (answer->at >= sizeof answer->text)
        exit(2);
}

/* One parameter of an exchange context, chosen by `choice`. Gives whether a device can still compute what follows. */
static int tell(struct answer *answer, EVP_PKEY_CTX *context, const struct group *group, unsigned choice, int *derives)
{
    unsigned number = choice / 16 % 3;
    int signed_number = (int)(choice / 16 % 5) - 1;
    size_t len = 1 + choice / 16 % 70;
    unsigned char ukm[20] = "some more material";
    OSSL_PARAM params[5] = {OSSL_PARAM_END, OSSL_PARAM_END, OSSL_PARAM_END, OSSL_PARAM_END, OSSL_PARAM_END};
    int is_dh = group->type[0] == 'D';
    const char *kdf = is_dh ? "X942KDF-ASN1" : "X963KDF";
    switch (choice % 10) {
    case 0:
    case 1:
        params[0] = choice & 512 ? OSSL_PARAM_construct_uint("pad", &number) : OSSL_PARAM_construct_int("pad", &signed_number);
        break;
    case 2:
        params[0] = OSSL_PARAM_construct_int("ecdh-cofactor-mode", &signed_number);
        break;
    case 3:
        params[0] = OSSL_PARAM_construct_utf8_string("kdf-type", (char *)(uintptr_t)kdf, 0);
        params[1] = OSSL_PARAM_construct_utf8_string("kdf-digest", choice & 256 ? "SHA256" : "SHA1", 0);
        params[2] = OSSL_PARAM_construct_size_t("kdf-outlen", &len);
        params[3] = is_dh ? OSSL_PARAM_construct_utf8_string("cekalg", "id-aes128-wrap", 0) : (OSSL_PARAM)OSSL_PARAM_END;
        break;
    case 4:
        params[0] = OSSL_PARAM_construct_utf8_string("kdf-type", choice & 256 ? "" : "nonsense", 0);
        break;
    case 5:
        params[0] = OSSL_PARAM_construct_octet_string("kdf-ukm", ukm, sizeof ukm);
        break;
    case 6:
        params[0] = OSSL_PARAM_construct_utf8_string("kdf-digest", "no-such-digest", 0);
        break;
    case 7:
        params[0] = OSSL_PARAM_construct_utf8_string("pad", "text", 0);
        break;
    default:
        return 1;
    }
    int status = EVP_PKEY_CTX_set_params(context, params);
    note(answer, "tell %u %d", choice % 10, status);
    if (choice % 10 == 3)
        *derives = 1;
    if (choice % 10 == 4 && (choice & 256) && status > 0)
        *derives = 0;
    return 1;
}

static void told(struct answer *answer, EVP_PKEY_CTX *context)
{
    char type[64] = "-", digest[64] = "-";
    size_t len = 77;
    int mode = 77;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("kdf-type", type, sizeof type), OSSL_PARAM_construct_utf8_string("kdf-digest", digest, sizeof digest),
                           OSSL_PARAM_construct_size_t("kdf-outlen", &len), OSSL_PARAM_construct_int("ecdh-cofactor-mode", &mode), OSSL_PARAM_END};
    int status = EVP_PKEY_CTX_get_params(context, params);
    note(answer, "told %d %s %s %zu %d", status, type, digest, len, mode);
    for (const OSSL_PARAM *one = EVP_PKEY_CTX_gettable_params(context); one && one->key; one++)
        note(answer, "%s", one->key);
    for (const OSSL_PARAM *one = EVP_PKEY_CTX_settable_params(context); one && one->key; one++)
        note(answer, "%s", one->key);
}

static void derive(struct answer *answer, EVP_PKEY_CTX *context, size_t room, int side, unsigned long *counted)
{
    unsigned char secret[1100];
    size_t len = room;
    memset(secret, 0xa5, sizeof secret);
    int status = EVP_PKEY_derive(context, secret, &len);
    unsigned long long sum = 0;
    for (size_t i = 0; i < sizeof secret; i++)
        sum = sum * 1099511628211u + secret[i];
    note(answer, "derive into %zu: %d %zu %llx", room, status, status > 0 ? len : 0, status > 0 ? sum : 0);
    if (side == OURS && status > 0 && counted)
        (*counted)++;
}

static void round_of(unsigned which, unsigned round)
{
    static struct answer answers[SIDES];
    const struct group *group = &groups[which];
    unsigned other = dice(GROUPS);
    EVP_PKEY *key = fresh(group, (int)dice(SIDES)), *peer_whole = fresh(group, (int)dice(SIDES)),
             *foreign = fresh(dice(4) ? group : &groups[other], (int)dice(SIDES));
    EVP_PKEY *peer = public_half(peer_whole, (int)dice(SIDES));
    unsigned plan[24];
    for (size_t i = 0; i < sizeof plan / sizeof *plan; i++)
        plan[i] = dice(65536);
    int plain = dice(2) == 0;
    cases++;
    ERR_clear_error();
    for (int side = 0; side < SIDES; side++) {
        struct answer *to = &answers[side];
        unsigned next = 0;
        int derives = 0;
        to->at = 0;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties[side]);
        int status;
        if (plain) {
            unsigned pad = plan[next++] & 1;
            OSSL_PARAM params[] = {OSSL_PARAM_construct_uint("pad", &pad), OSSL_PARAM_END};
            size_t room = 0;
            status = EVP_PKEY_derive_init_ex(context, group->type[0] == 'D' ? params : NULL);
            must(strcmp(serving(context), provider_names[side]) == 0, "served by %s", serving(context));
            note(to, "init %d", status);
            status = EVP_PKEY_derive_set_peer_ex(context, peer, plan[next++] & 1);
            note(to, "peer %d", status);
            status = EVP_PKEY_derive(context, NULL, &room);
            note(to, "size %d %zu", status, room);
            derive(to, context, room, side, &computed[which]);
            derive(to, context, room + 5, side, &computed[which]);
        } else {
            if (plan[next++] & 1) {
                status = EVP_PKEY_derive_set_peer(context, peer);
                note(to, "peer before init %d", status);
                derive(to, context, 1000, side, NULL);
            }
            status = EVP_PKEY_derive_init(context);
            note(to, "init %d", status);
            for (unsigned step = 0; step < 9; step++) {
                unsigned choice = plan[next++];
                switch (choice % 7) {
                case 0:
                    status = EVP_PKEY_derive_set_peer(context, peer);
                    note(to, "peer %d", status);
                    break;
                case 1:
                    status = EVP_PKEY_derive_set_peer(context, foreign);
                    note(to, "foreign peer %d", status);
                    break;
                case 2: {
                    EVP_PKEY_CTX *copy = EVP_PKEY_CTX_dup(context);
                    note(to, "copy %d", copy != NULL);
                    if (copy) {
                        EVP_PKEY_CTX_free(context);
                        context = copy;
                    }
                    break;
                }
                case 3: {
                    size_t room = 0;
                    status = EVP_PKEY_derive(context, NULL, &room);
                    note(to, "size %d %zu", status, room);
                    break;
                }
                case 4:
                    if (choice / 7 % 4 == 0) {
                        status = EVP_PKEY_derive_init(context);
                        note(to, "init again %d", status);
                    } else {
                        static const size_t rooms[] = {1000, 256, 66, 32, 31, 1, 0, 28, 128, 64, 56, 55};
                        derive(to, context, rooms[choice / 28 % (sizeof rooms / sizeof *rooms)], side, NULL);
                    }
                    break;
                default:
                    tell(to, context, group, choice / 7, &derives);
                }
            }
            told(to, context);
            derive(to, context, 1000, side, NULL);
        }
        EVP_PKEY_CTX_free(context);
    }
    must(strcmp(answers[OURS].text, answers[STOCK].text) == 0, "%s %s round %u:\n  ours  %s\n  stock %s", group->type, group->name ? group->name : "", round,
         answers[OURS].text, answers[STOCK].text);
    EVP_PKEY_free(key);
    EVP_PKEY_free(peer_whole);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(foreign);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    dice_state = strtoull(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsigned rounds = (unsigned)atoi(argv[2]);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned which = 0; which < GROUPS; which++)
            round_of(which, round);
    for (unsigned which = 0; which < GROUPS; which++)
        if (groups[which].row)
            printf("%s hardware %lu\n", groups[which].row, computed[which]);
    return end();
}
