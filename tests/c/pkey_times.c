/* One operation with one key, COUNT times: what it costs the caller. Nothing here knows of warpdrive; the same program serves every
 * provider. Prints the processor time of the COUNT operations in microseconds, user and system, start-up and one warm-up round
 * left out. Signatures of the same bytes with RSA are the same, and so are secrets: one that differs ends the program.
 * For scripts/bench-pkey and scripts/bench-no-device, which also counts instructions: the difference of two COUNTs.
 *
 * Usage: pkey_times sign|verify|derive|public KEY.pem COUNT [PEER.pem]
 *   sign     the digest of a message: EVP_PKEY_sign; SM2: EVP_DigestSign
 *   verify   such a signature
 *   derive   with the peer's key: EVP_PKEY_derive
 *   public   RSA: opens a signature, EVP_PKEY_verify_recover without padding
 * Each operation has a context of its own, as in TLS. */
#include "work.h"

#include <openssl/rsa.h>
#include <sys/resource.h>

static EVP_PKEY *key, *peer;

static void must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s failed\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static size_t sign_digest(unsigned char *out, size_t room)
{
    static const unsigned char digest[32] = {1, 2, 3};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    must(context && EVP_PKEY_sign_init(context) == 1 && EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
             EVP_PKEY_sign(context, out, &room, digest, sizeof digest) == 1,
         "sign");
    EVP_PKEY_CTX_free(context);
    return room;
}

static size_t sign_message(unsigned char *out, size_t room)
{
    static const unsigned char message[100] = {1, 2, 3};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context && EVP_DigestSignInit_ex(context, NULL, "SM3", NULL, NULL, key, NULL) == 1 &&
             EVP_DigestSign(context, out, &room, message, sizeof message) == 1,
         "sign");
    EVP_MD_CTX_free(context);
    return room;
}

/* The signature that is verified. */
static unsigned char signature[1024];
static size_t signature_len;

static size_t verify_digest(unsigned char *out, size_t room)
{
    static const unsigned char digest[32] = {1, 2, 3};
    if (signature_len == 0)
        signature_len = sign_digest(signature, sizeof signature);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    must(context && EVP_PKEY_verify_init(context) == 1 && EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
             EVP_PKEY_verify(context, signature, signature_len, digest, sizeof digest) == 1,
         "verify");
    EVP_PKEY_CTX_free(context);
    (void)out, (void)room;
    return 0;
}

static size_t verify_message(unsigned char *out, size_t room)
{
    static const unsigned char message[100] = {1, 2, 3};
    if (signature_len == 0)
        signature_len = sign_message(signature, sizeof signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context && EVP_DigestVerifyInit_ex(context, NULL, "SM3", NULL, NULL, key, NULL) == 1 &&
             EVP_DigestVerify(context, signature, signature_len, message, sizeof message) == 1,
         "verify");
    EVP_MD_CTX_free(context);
    (void)out, (void)room;
    return 0;
}

static size_t derive(unsigned char *out, size_t room)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    must(context && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, peer) == 1 &&
             EVP_PKEY_derive(context, out, &room) == 1,
         "derive");
    EVP_PKEY_CTX_free(context);
    return room;
}

static size_t open_signature(unsigned char *out, size_t room)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    size_t len = (size_t)EVP_PKEY_get_size(key);
    memset(signature, 0x2b, sizeof signature);
    must(context && EVP_PKEY_verify_recover_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1 &&
             EVP_PKEY_verify_recover(context, out, &room, signature, len) == 1,
         "open");
    EVP_PKEY_CTX_free(context);
    return room;
}

static double processor_time_us(void)
{
    struct rusage usage;
    must(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    enum { WARM_UP = 20 };
    unsigned char first[1024], out[1024];
    if (argc < 4)
        return 2;
    key = read_key(argv[2]);
    long count = atol(argv[3]);
    size_t (*once)(unsigned char *, size_t) = sign_digest;
    int same = EVP_PKEY_is_a(key, "RSA");
    int sm2 = EVP_PKEY_is_a(key, "SM2");
    if (strcmp(argv[1], "sign") == 0)
        once = sm2 ? sign_message : sign_digest;
    else if (strcmp(argv[1], "verify") == 0)
        once = sm2 ? verify_message : verify_digest;
    else if (strcmp(argv[1], "public") == 0)
        once = open_signature;
    else if (strcmp(argv[1], "derive") == 0) {
        if (argc != 5)
            return 2;
        peer = read_key(argv[4]);
        once = derive;
        same = 1;
    } else
        return 2;
    size_t first_len = once(first, sizeof first);
    for (int i = 1; i < WARM_UP; i++)
        once(out, sizeof out);
    double before = processor_time_us();
    for (; count > 0; count--) {
        size_t len = once(out, sizeof out);
        must(!same || (len == first_len && memcmp(out, first, len) == 0), "the same answer as before");
    }
    printf("%.0f\n", processor_time_us() - before);
    EVP_PKEY_free(key);
    EVP_PKEY_free(peer);
    return 0;
}
