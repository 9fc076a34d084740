/* AES-256-CBC, calls in any order, right and wrong ones, with texts in one piece and in many, in place, apart and overlapping, on
 * contexts that are copied under way. Both sides must answer the same to each call: status, length, errors, every byte in and
 * around the buffers, and what the context tells of itself. Prints at the end how many runs our side handed to the core
 * ("runs N"): what a run is, is laid down here once more.
 * Usage: symmetric SEED SEQUENCES LONGEST-MIB */
#include "pair.h"

enum { BLOCK = 16, KEY = 32, MIB = 1 << 20, GUARD = 64, TEXT = 200 };

static EVP_CIPHER *ciphers[SIDES];
static unsigned char *arena[SIDES];
static unsigned long runs, calls, refused;
static size_t longest;

/* One context on each side, and what decides where ours sends a call. */
struct pair {
    EVP_CIPHER_CTX *context[SIDES];
    int encrypts, key_encrypts, has_key;
    /* Bytes taken and not answered; -1: not known. */
    int kept;
};

/* What the sides answered to one call. */
struct answers {
    int status[SIDES], len[SIDES];
    char errors[SIDES][TEXT];
};

static void random_bytes(unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
        uint64_t word = dice_state ^ dice_state >> 29;
        memcpy(bytes + i, &word, len - i < 8 ? len - i : 8);
    }
}

/* What a context tells, as text. */
static unsigned tell(EVP_CIPHER_CTX *context, char *text)
{
    unsigned char iv[BLOCK] = {0}, updated[BLOCK] = {0};
    unsigned num = 77, padding = 77;
    size_t keylen = 77, ivlen = 77;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string("iv", iv, sizeof iv),
                           OSSL_PARAM_construct_octet_string("updated-iv", updated, sizeof updated),
                           OSSL_PARAM_construct_uint("padding", &padding),
                           OSSL_PARAM_construct_uint("num", &num),
                           OSSL_PARAM_construct_size_t("keylen", &keylen),
                           OSSL_PARAM_construct_size_t("ivlen", &ivlen),
                           OSSL_PARAM_construct_end()};
    /* OpenSSL 3.5 tries each type that an answer may have, and leaves an error for the first, on either side. */
    ERR_set_mark();
    int told = EVP_CIPHER_CTX_get_params(context, params);
    ERR_pop_to_mark();
    int at = snprintf(text, TEXT, "%d: padding %u num %u keylen %zu ivlen %zu way %d", told, padding, num, keylen, ivlen, EVP_CIPHER_CTX_is_encrypting(context));
    for (int i = 0; i < BLOCK; i++)
        at += snprintf(text + at, TEXT - (size_t)at, " %02x.%02x", iv[i], updated[i]);
    return padding;
}

/* Gives the padding that both sides tell. */
static unsigned compare(const struct pair *pair, const char *what, const struct answers *answers)
{
    char told[SIDES][TEXT];
    unsigned padding = 0;
    calls++;
    refused += answers->status[STOCK] <= 0;
    must(answers->status[OURS] == answers->status[STOCK] && answers->len[OURS] == answers->len[STOCK], "%s: %d, %d bytes instead of %d, %d bytes", what,
         answers->status[OURS], answers->len[OURS], answers->status[STOCK], answers->len[STOCK]);
    must(strcmp(answers->errors[OURS], answers->errors[STOCK]) == 0, "%s: errors %s instead of %s", what, answers->errors[OURS], answers->errors[STOCK]);
    for (int side = 0; side < SIDES; side++)
        padding = tell(pair->context[side], told[side]);
    must(strcmp(told[OURS], told[STOCK]) == 0, "%s: the context tells\n%s instead of\n%s", what, told[OURS], told[STOCK]);
    ERR_clear_error();
    return padding;
}

static void init(struct pair *pair, int with_cipher)
{
    unsigned char key[KEY], iv[BLOCK];
    struct answers answers = {{0}, {0}, {{0}}};
    int has_key = with_cipher ? dice(8) != 0 : dice(3) == 0, has_iv = dice(4) != 0, way = with_cipher ? (int)dice(2) : (int)dice(3) - 1;
    unsigned padding = dice(2);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_uint("padding", &padding), OSSL_PARAM_construct_end()};
    int bad = dice(30) == 0, told = bad || dice(6) == 0;
    if (bad)
        params[0] = OSSL_PARAM_construct_octet_string("padding", key, 3);
    random_bytes(key, sizeof key);
    random_bytes(iv, sizeof iv);
    for (int side = 0; side < SIDES; side++) {
        answers.status[side] = EVP_CipherInit_ex2(pair->context[side], with_cipher ? ciphers[side] : NULL, has_key ? key : NULL, has_iv ? iv : NULL, way,
                                                  told ? params : NULL);
        errors(answers.errors[side], TEXT);
    }
    if (with_cipher)
        pair->has_key = 0;
    if (way >= 0)
        pair->encrypts = way;
    pair->kept = answers.status[OURS] == 1 ? 0 : -1;
    if (has_key) {
        pair->has_key = answers.status[OURS] == 1;
        pair->key_encrypts = pair->encrypts;
    }
    compare(pair, "init", &answers);
}

/* Runs of a call; `kept` bytes come first, and a last block that may be padded waits. */
static unsigned long runs_of(const struct pair *pair, size_t kept, size_t len, int waits, size_t in, size_t out)
{
    unsigned long found = 0;
    size_t most = (kept + len) / BLOCK * BLOCK;
    int apart = out + most <= in || in + len <= out;
    if (!pair->has_key || pair->key_encrypts != pair->encrypts || pair->kept < 0 || most == 0 || !(apart || (in == out && kept == 0)))
        return 0;
    while (len > 0) {
        size_t piece = len < 2 * MIB ? len : MIB, run = (kept + piece - (size_t)waits) / BLOCK * BLOCK;
        found += run > 0;
        kept += piece - run;
        len -= piece;
    }
    return found;
}

static size_t some_length(void)
{
    switch (dice(12)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return 1 + dice(40);
    case 3:
    case 4:
        return BLOCK * (1 + dice(8));
    case 5:
        return dice(4) ? 1 + dice(5000) : 60000 + dice(20000);
    case 6:
        return dice(60) ? 4096 : 1 + dice((unsigned)longest);
    default:
        return 1 + dice(5000);
    }
}

/* An update, or all at once beside it. */
static void text(struct pair *pair, int once)
{
    struct answers answers = {{0}, {-7, -7}, {{0}}};
    char what[TEXT], ignored[TEXT];
    size_t len = some_length(), in = 2 * GUARD, out, from, to;
    int waits = !pair->encrypts && tell(pair->context[STOCK], ignored);
    if (once && dice(4))
        len = len / BLOCK * BLOCK;
    switch (dice(8)) {
    case 0:
    case 1:
    case 2:
        out = in;
        break;
    case 3:
        out = in + 1 + dice(GUARD / 2);
        break;
    case 4:
        out = in - 1 - dice(GUARD / 2);
        break;
    case 5:
        /* In front, with nothing between. */
        out = in;
        in += (len + BLOCK) / BLOCK * BLOCK;
        break;
    default:
        out = in + len + (dice(2) ? dice(100) : 0);
    }
    from = (in < out ? in : out) - GUARD;
    to = (in < out ? out : in) + len + BLOCK + GUARD;
    random_bytes(arena[OURS] + from, to - from);
    memcpy(arena[STOCK] + from, arena[OURS] + from, to - from);
    snprintf(what, sizeof what, "%s of %zu bytes after %d, from %zu to %zu, way %d, waits %d", once ? "once" : "update", len, pair->kept, in, out, pair->encrypts, waits);
    if (once && len % BLOCK == 0)
        runs += runs_of(pair, 0, len, 0, in, out);
    else if (!once)
        runs += runs_of(pair, pair->kept < 0 ? 0 : (size_t)pair->kept, len, waits, in, out);
    for (int side = 0; side < SIDES; side++) {
        unsigned char *input = arena[side] + in, *output = arena[side] + out;
        answers.status[side] = once ? EVP_Cipher(pair->context[side], output, input, (unsigned)len)
                                    : EVP_CipherUpdate(pair->context[side], output, &answers.len[side], input, (int)len);
        errors(answers.errors[side], TEXT);
    }
    must(memcmp(arena[OURS] + from, arena[STOCK] + from, to - from) == 0, "%s: other bytes", what);
    if (!once)
        pair->kept = answers.status[OURS] == 1 && pair->kept >= 0 ? pair->kept + (int)len - answers.len[OURS] : -1;
    compare(pair, what, &answers);
}

static void finish(struct pair *pair)
{
    struct answers answers = {{0}, {-7, -7}, {{0}}};
    random_bytes(arena[OURS], GUARD);
    memcpy(arena[STOCK], arena[OURS], GUARD);
    for (int side = 0; side < SIDES; side++) {
        answers.status[side] = EVP_CipherFinal_ex(pair->context[side], arena[side] + BLOCK, &answers.len[side]);
        errors(answers.errors[side], TEXT);
    }
    must(memcmp(arena[OURS], arena[STOCK], GUARD) == 0, "final: other bytes");
    pair->kept = -1;
    compare(pair, "final", &answers);
}

/* Sets something, mostly right. */
static void set(struct pair *pair)
{
    struct answers answers = {{0}, {0}, {{0}}};
    unsigned number = dice(20), what = dice(7);
    size_t length = dice(2) ? 32 : 16;
    unsigned char bytes[BLOCK] = {0};
    OSSL_PARAM params[] = {OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
    if (what == 0)
        params[0] = OSSL_PARAM_construct_uint("num", &number);
    else if (what == 1)
        params[0] = OSSL_PARAM_construct_size_t("keylen", &length);
    else if (what == 2)
        params[0] = OSSL_PARAM_construct_octet_string("padding", bytes, 4);
    else if (what == 3)
        params[0] = OSSL_PARAM_construct_octet_string("iv", bytes, sizeof bytes);
    for (int side = 0; side < SIDES; side++) {
        answers.status[side] = what == 4   ? EVP_CIPHER_CTX_set_key_length(pair->context[side], (int)length)
                               : what >= 5 ? EVP_CIPHER_CTX_set_padding(pair->context[side], (int)(number & 1))
                                           : EVP_CIPHER_CTX_set_params(pair->context[side], params);
        errors(answers.errors[side], TEXT);
    }
    compare(pair, "set", &answers);
}

/* Goes on with a copy, or with the original. */
static void copy(struct pair *pair)
{
    struct answers answers = {{0}, {0}, {{0}}};
    int goes_on = (int)dice(2);
    for (int side = 0; side < SIDES; side++) {
        EVP_CIPHER_CTX *second = EVP_CIPHER_CTX_new();
        answers.status[side] = EVP_CIPHER_CTX_copy(second, pair->context[side]);
        errors(answers.errors[side], TEXT);
        EVP_CIPHER_CTX *unused = goes_on ? pair->context[side] : second;
        pair->context[side] = goes_on ? second : pair->context[side];
        EVP_CIPHER_CTX_free(unused);
    }
    compare(pair, "copy", &answers);
}

static void sequence(void)
{
    struct pair pair = {{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new()}, 0, 0, 0, -1};
    init(&pair, 1);
    for (unsigned left = 5 + dice(30); left > 0; left--) {
        switch (dice(16)) {
        case 0:
        case 1:
            init(&pair, 0);
            break;
        case 2:
            init(&pair, dice(4) == 0);
            break;
        case 3:
            set(&pair);
            break;
        case 4:
            copy(&pair);
            break;
        case 5:
            finish(&pair);
            break;
        case 6:
            text(&pair, 1);
            break;
        default:
            text(&pair, 0);
        }
    }
    for (int side = 0; side < SIDES; side++)
        EVP_CIPHER_CTX_free(pair.context[side]);
}

/* TLS records: sealed and opened in place, each by one update, with and without a MAC, right ones and damaged ones. */
static void records(int version, size_t mac_len)
{
    unsigned char key[KEY], iv[BLOCK];
    struct pair sealing = {{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new()}, 1, 1, 1, 0}, opening = {{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new()}, 0, 0, 1, 0};
    OSSL_PARAM params[] = {OSSL_PARAM_construct_int("tls-version", &version), OSSL_PARAM_construct_size_t("tls-mac-size", &mac_len), OSSL_PARAM_construct_end()};
    random_bytes(key, sizeof key);
    random_bytes(iv, sizeof iv);
    for (int side = 0; side < SIDES; side++)
        must(EVP_CipherInit_ex2(sealing.context[side], ciphers[side], key, iv, 1, NULL) == 1 && EVP_CIPHER_CTX_set_params(sealing.context[side], params) == 1 &&
                 EVP_CipherInit_ex2(opening.context[side], ciphers[side], key, iv, 0, params) == 1,
             "records: init");
    for (int i = 0; i < 40; i++) {
        struct answers sealed = {{0}, {-7, -7}, {{0}}}, opened = {{0}, {-7, -7}, {{0}}};
        size_t len = BLOCK + mac_len + dice(i % 4 ? 200 : 17000), at = GUARD, room = len + 3 * GUARD;
        unsigned damage = dice(6);
        random_bytes(arena[OURS], room);
        memcpy(arena[STOCK], arena[OURS], room);
        for (int side = 0; side < SIDES; side++) {
            /* An input that is not the output is an error. */
            sealed.status[side] = EVP_CipherUpdate(sealing.context[side], arena[side] + at, &sealed.len[side], arena[side] + at + (damage == 0), (int)len);
            errors(sealed.errors[side], TEXT);
        }
        must(memcmp(arena[OURS], arena[STOCK], room) == 0, "records: sealed to other bytes");
        compare(&sealing, "records: sealing", &sealed);
        if (sealed.status[OURS] != 1)
            continue;
        /* What a wrong padding opens to is random where there is a MAC to hide it. */
        for (int side = 0; side < SIDES; side++) {
            const unsigned char *mac = NULL;
            OSSL_PARAM ask[] = {OSSL_PARAM_construct_octet_ptr("tls-mac", (void **)&mac, 0), OSSL_PARAM_construct_end()};
            if (damage == 1 && mac_len == 0)
                arena[side][at + (size_t)sealed.len[side] - 1] ^= 1;
            int piece = sealed.len[side] - (damage == 2 ? 5 : 0);
            opened.status[side] = EVP_CipherUpdate(opening.context[side], arena[side] + at, &opened.len[side], arena[side] + at, piece);
            errors(opened.errors[side], TEXT);
            if (opened.status[side] == 1 && mac_len) {
                must(EVP_CIPHER_CTX_get_params(opening.context[side], ask) == 1 && mac != NULL, "records: no MAC");
                memcpy(arena[side] + room, mac, mac_len);
            } else {
                memset(arena[side] + room, 0, mac_len);
            }
        }
        must(memcmp(arena[OURS], arena[STOCK], room + mac_len) == 0, "records: opened to other bytes");
        compare(&opening, "records: opening", &opened);
        if (opened.status[OURS] != 1)
            break;
    }
    for (int side = 0; side < SIDES; side++) {
        EVP_CIPHER_CTX_free(sealing.context[side]);
        EVP_CIPHER_CTX_free(opening.context[side]);
    }
}

/* What is told of the cipher itself, and what its contexts can tell and be told. */
static void described(void)
{
    for (int list = 0; list < 3; list++) {
        const OSSL_PARAM *told[SIDES];
        for (int side = 0; side < SIDES; side++)
            told[side] = list == 0   ? EVP_CIPHER_gettable_params(ciphers[side])
                         : list == 1 ? EVP_CIPHER_gettable_ctx_params(ciphers[side])
                                     : EVP_CIPHER_settable_ctx_params(ciphers[side]);
        for (must(told[OURS] && told[STOCK], "list %d", list); told[STOCK]->key; told[OURS]++, told[STOCK]++)
            must(told[OURS]->key && strcmp(told[OURS]->key, told[STOCK]->key) == 0 && told[OURS]->data_type == told[STOCK]->data_type, "list %d: %s", list,
                 told[STOCK]->key);
        must(!told[OURS]->key, "list %d is longer", list);
    }
    const EVP_CIPHER *ours = ciphers[OURS], *stock = ciphers[STOCK];
    must(EVP_CIPHER_get_key_length(ours) == KEY && EVP_CIPHER_get_iv_length(ours) == BLOCK && EVP_CIPHER_get_block_size(ours) == BLOCK &&
             EVP_CIPHER_get_mode(ours) == EVP_CIPH_CBC_MODE && EVP_CIPHER_get_flags(ours) == EVP_CIPHER_get_flags(stock) &&
             EVP_CIPHER_get_type(ours) == EVP_CIPHER_get_type(stock),
         "constants");
    static const char *const names[] = {"AES-256-CBC", "aes256", "2.16.840.1.101.3.4.1.42"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        EVP_CIPHER *same = EVP_CIPHER_fetch(NULL, names[i], properties[OURS]);
        must(same && strcmp(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(same)), "warpdrive") == 0, "%s", names[i]);
        EVP_CIPHER_free(same);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    dice_state = strtoull(argv[1], NULL, 10);
    longest = strtoull(argv[3], NULL, 10) * MIB;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int side = 0; side < SIDES; side++) {
        ciphers[side] = EVP_CIPHER_fetch(NULL, "AES-256-CBC", properties[side]);
        arena[side] = malloc(2 * longest + MIB);
        if (!ciphers[side] || !arena[side])
            return 2;
        const char *serving = OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(ciphers[side]));
        must(strcmp(serving, provider_names[side]) == 0, "served by %s", serving);
    }
    described();
    records(0x301, 0);
    for (int version = 0x302; version <= 0x303; version++)
        for (size_t mac_len = 0; mac_len <= 48; mac_len += 24)
            records(version, mac_len);
    for (int left = atoi(argv[2]); left > 0 && wrong < 5; left--)
        sequence();
    for (int side = 0; side < SIDES; side++) {
        EVP_CIPHER_free(ciphers[side]);
        free(arena[side]);
    }
    printf("calls %lu\nrefused %lu\nruns %lu\n", calls, refused, runs);
    return end();
}
