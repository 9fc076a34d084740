/* What a signature context is told late, in part or in vain: the same calls on both sides, and what each answered is written down and
 * compared, with what the signatures verify as. Prints how many signatures our side finished ("done N"). Usage: told */
#include "pair.h"

static unsigned long done;

/* What one side answered, in words. */
struct record {
    char text[8192];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct record *record, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record->len += (size_t)vsnprintf(record->text + record->len, sizeof record->text - record->len, format, arguments);
    va_end(arguments);
    char queue[512];
    errors(queue, sizeof queue);
    record->len += (size_t)snprintf(record->text + record->len, sizeof record->text - record->len, " [%s] ", queue);
}

/* A digest-sign of "abc", as far as it is. */
struct run {
    int side;
    EVP_PKEY *key;
    const char *digest;
    EVP_MD_CTX *context;
    EVP_PKEY_CTX *inner;
    unsigned char signature[600];
    size_t len;
    struct record *record;
};

static struct run begin(int side, EVP_PKEY *key, const char *digest, const OSSL_PARAM *params, struct record *record)
{
    struct run run = {.side = side, .key = key, .digest = digest, .context = EVP_MD_CTX_new(), .record = record};
    say(record, "init %d", EVP_DigestSignInit_ex(run.context, &run.inner, digest, NULL, properties[side], key, params));
    must(strcmp(serving(run.inner), provider_names[side]) == 0, "served by %s", serving(run.inner));
    return run;
}

static void update(struct run *run)
{
    say(run->record, "update %d", EVP_DigestSignUpdate(run->context, "abc", 3));
}

static void ask_size(struct run *run)
{
    size_t len = 0;
    int status = EVP_DigestSignFinal(run->context, NULL, &len);
    say(run->record, "size %d %zu", status, len);
}

static void tell(struct run *run, const OSSL_PARAM *params)
{
    say(run->record, "told %d", EVP_PKEY_CTX_set_params(run->inner, params));
}

static int verify(const struct run *run, const char *digest, const void *identity, size_t identity_len, int times)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *inner = NULL;
    int status = EVP_DigestVerifyInit_ex(context, &inner, digest, NULL, properties[STOCK], run->key, NULL);
    if (status == 1 && identity_len)
        status = EVP_PKEY_CTX_set1_id(inner, identity, (int)identity_len);
    int padding = 0;
    if (status == 1 && EVP_PKEY_is_a(run->key, "RSA") && EVP_PKEY_CTX_get_rsa_padding(run->inner, &padding) == 1)
        EVP_PKEY_CTX_set_rsa_padding(inner, padding);
    while (status == 1 && times-- > 0)
        status = EVP_DigestVerifyUpdate(context, "abc", 3);
    if (status == 1)
        status = EVP_DigestVerifyFinal(context, run->signature, run->len);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return status;
}

static void finish(struct run *run)
{
    run->len = sizeof run->signature;
    int status = EVP_DigestSignFinal(run->context, run->signature, &run->len);
    done += run->side == OURS && status == 1;
    say(run->record, "final %d", status);
    for (int times = 0; status == 1 && times < 3; times++)
        say(run->record, "%d times abc as %s: %d", times, run->digest, verify(run, run->digest, NULL, 0, times));
}

static void drop(struct run *run)
{
    EVP_MD_CTX_free(run->context);
}

/* Nonces made from key and message, asked for after the init; where OpenSSL does not know them both signatures differ. */
static void nonce_type(int side, EVP_PKEY *key, const void *unused, struct record *record)
{
    (void)unused;
    unsigned deterministic = 1;
    OSSL_PARAM params[] = {OSSL_PARAM_uint("nonce-type", &deterministic), OSSL_PARAM_END};
    struct run runs[2];
    for (int i = 0; i < 2; i++) {
        runs[i] = begin(side, key, "SHA384", NULL, record);
        tell(&runs[i], params);
        update(&runs[i]);
        finish(&runs[i]);
    }
    int same = runs[0].len == runs[1].len && memcmp(runs[0].signature, runs[1].signature, runs[0].len) == 0;
    say(record, "the same again: %d", same);
    for (size_t i = 0; same && i < runs[0].len; i++)
        say(record, "%02x", runs[0].signature[i]);
    for (int i = 0; i < 2; i++)
        drop(&runs[i]);
}

static void digest_size(int side, EVP_PKEY *key, const void *wanted, struct record *record)
{
    size_t size = *(const size_t *)wanted;
    OSSL_PARAM params[] = {OSSL_PARAM_size_t("digest-size", &size), OSSL_PARAM_END};
    struct run run = begin(side, key, "SHA256", NULL, record);
    update(&run);
    tell(&run, params);
    ask_size(&run);
    tell(&run, params);
    finish(&run);
    drop(&run);
}

/* Query strings that count only with the digest they are for. */
static void query(int side, EVP_PKEY *key, const void *name, struct record *record)
{
    char nobody[] = "provider=nobody", standard[] = "provider=default", digest[] = "SHA256";
    int is_mask = strncmp(name, "mgf1", 4) == 0;
    OSSL_PARAM alone[] = {OSSL_PARAM_utf8_string((const char *)name, nobody, sizeof nobody - 1), OSSL_PARAM_END};
    OSSL_PARAM both[] = {OSSL_PARAM_utf8_string((const char *)name, standard, sizeof standard - 1),
                         OSSL_PARAM_utf8_string(is_mask ? "mgf1-digest" : "digest", digest, sizeof digest - 1), OSSL_PARAM_END};
    for (int with_init = 0; with_init < 2; with_init++) {
        struct run run = begin(side, key, "SHA256", with_init && !is_mask ? alone : NULL, record);
        if (EVP_PKEY_is_a(key, "RSA") && is_mask)
            say(record, "padding %d", EVP_PKEY_CTX_set_rsa_padding(run.inner, RSA_PKCS1_PSS_PADDING));
        tell(&run, alone);
        update(&run);
        finish(&run);
        drop(&run);
        run = begin(side, key, "SHA256", NULL, record);
        if (EVP_PKEY_is_a(key, "RSA") && is_mask)
            say(record, "padding %d", EVP_PKEY_CTX_set_rsa_padding(run.inner, RSA_PKCS1_PSS_PADDING));
        tell(&run, both);
        update(&run);
        tell(&run, alone);
        finish(&run);
        drop(&run);
    }
}

/* Another digest, or the same again, before the end and after the size was asked for; alone, or beside something that is refused. */
static void change(int side, EVP_PKEY *key, const void *name, struct record *record)
{
    char *digest = (char *)(uintptr_t)name, nothing[] = "no-such-digest";
    OSSL_PARAM alone[] = {OSSL_PARAM_utf8_string("digest", digest, strlen(digest)), OSSL_PARAM_END};
    OSSL_PARAM refused[] = {OSSL_PARAM_utf8_string("digest", digest, strlen(digest)), OSSL_PARAM_utf8_string("mgf1-digest", nothing, sizeof nothing - 1),
                            OSSL_PARAM_octet_string("digest-size", nothing, 3), OSSL_PARAM_END};
    for (int way = 0; way < 8; way++) {
        struct run run = begin(side, key, "SHA256", NULL, record);
        if (way & 1)
            ask_size(&run);
        update(&run);
        if (way & 2)
            ask_size(&run);
        tell(&run, way & 4 ? refused : alone);
        finish(&run);
        update(&run);
        finish(&run);
        say(record, "again %d", EVP_DigestSignInit_ex(run.context, NULL, "SHA256", NULL, NULL, NULL, NULL));
        update(&run);
        finish(&run);
        drop(&run);
    }
}

/* Identities at the limit of what OpenSSL takes. */
static void long_identity(int side, EVP_PKEY *key, const void *wanted, struct record *record)
{
    static unsigned char identity[9000];
    size_t len = *(const size_t *)wanted;
    memset(identity, 'a', sizeof identity);
    for (int updates = 0; updates < 3; updates++) {
        struct run run = begin(side, key, "SM3", NULL, record);
        say(record, "identity %d", EVP_PKEY_CTX_set1_id(run.inner, identity, (int)len));
        for (int i = 0; i < updates; i++)
            update(&run);
        finish(&run);
        for (int times = 0; times < 3; times++)
            say(record, "with the identity: %d", verify(&run, "SM3", identity, len, times));
        finish(&run);
        drop(&run);
    }
}

/* An identity beside a digest that is refused. */
static void half_identity(int side, EVP_PKEY *key, const void *unused, struct record *record)
{
    (void)unused;
    char alice[] = "alice", other[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string("distid", alice, 5), OSSL_PARAM_utf8_string("digest", other, sizeof other - 1), OSSL_PARAM_END};
    for (int way = 0; way < 4; way++) {
        struct run run = begin(side, key, "SM3", NULL, record);
        if (way == 1)
            update(&run);
        tell(&run, params);
        if (way == 2)
            say(record, "identity %d", EVP_PKEY_CTX_set1_id(run.inner, "bob", 3));
        if (way == 3)
            say(record, "again %d", EVP_DigestSignInit_ex(run.context, NULL, "SM3", NULL, NULL, NULL, NULL));
        update(&run);
        finish(&run);
        for (int times = 1; times < 3; times++)
            say(record, "alice's %d, bob's %d", verify(&run, "SM3", alice, 5, times), verify(&run, "SM3", "bob", 3, times));
        drop(&run);
    }
}

static void compare(const char *what, void (*play)(int, EVP_PKEY *, const void *, struct record *), EVP_PKEY *key, const void *argument)
{
    static struct record records[SIDES];
    cases++;
    ERR_clear_error();
    for (int side = 0; side < SIDES; side++) {
        records[side].len = 0;
        play(side, key, argument, &records[side]);
    }
    must(strcmp(records[OURS].text, records[STOCK].text) == 0, "%s:\n ours  %s\n stock %s", what, records[OURS].text, records[STOCK].text);
}

int main(void)
{
    static const size_t sizes[] = {0, 20, 32, 48}, lens[] = {8189, 8190, 8191, 8192, 9000};
    static const char *const digests[] = {"SHA256", "sha2-256", "SHA384", "SM3", "BLAKE2s256", "no-such-digest"};
    EVP_PKEY *rsa = generate(properties[STOCK], 2048, 2, 0), *sm2 = EVP_PKEY_Q_keygen(NULL, properties[STOCK], "SM2");
    EVP_PKEY *curves[] = {EVP_PKEY_Q_keygen(NULL, properties[STOCK], "EC", "P-256"), EVP_PKEY_Q_keygen(NULL, properties[STOCK], "EC", "P-384")};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < 2; i++) {
        compare("nonce-type", nonce_type, curves[i], NULL);
        for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++)
            compare("digest-size", digest_size, curves[i], &sizes[size]);
        compare("properties", query, curves[i], "properties");
    }
    compare("properties", query, rsa, "properties");
    compare("mgf1-properties", query, rsa, "mgf1-properties");
    for (size_t digest = 0; digest < sizeof digests / sizeof *digests; digest++) {
        compare(digests[digest], change, rsa, digests[digest]);
        compare(digests[digest], change, curves[0], digests[digest]);
        compare(digests[digest], change, sm2, digests[digest]);
    }
    for (size_t len = 0; len < sizeof lens / sizeof *lens; len++)
        compare("identity", long_identity, sm2, &lens[len]);
    compare("half an identity", half_identity, sm2, NULL);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(sm2);
    for (int i = 0; i < 2; i++)
        EVP_PKEY_free(curves[i]);
    printf("done %lu\n", done);
    return end();
}
