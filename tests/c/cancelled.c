/* Threads that are cancelled while they compress and sign. zlib and libcrypto are no cancellation points, so a thread ends where it
 * asks to (pthread_testcancel), having finished what it was at, and the process goes on. Prints how many were cancelled.
 *
 * Usage: cancelled KEY.pem COUNT */
#include "work.h"

#include <pthread.h>

static EVP_PKEY *key;
static unsigned char plain[1 << 20];

static void *work(void *started)
{
    static __thread unsigned char packed[2 << 20];
    for (;;) {
        uLongf len = sizeof packed;
        if (compress2(packed, &len, plain, sizeof plain, 1) != Z_OK)
            return "compress2 failed";
        unsigned char signature[1024];
        size_t signature_len = sizeof signature;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        int good = context && EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
                   EVP_DigestSign(context, signature, &signature_len, plain, 32) == 1;
        EVP_MD_CTX_free(context);
        if (!good)
            return "the signature failed";
        __atomic_store_n((int *)started, 1, __ATOMIC_RELEASE);
        pthread_testcancel();
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 || !(key = read_key(argv[1])))
        return 2;
    fill(plain, sizeof plain, 7);
    int count = atoi(argv[2]), cancelled = 0;
    for (int round = 0; round < count; round++) {
        pthread_t thread;
        int started = 0;
        void *end;
        if (pthread_create(&thread, NULL, work, &started) != 0)
            return 2;
        while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
            sched_yield();
        if (pthread_cancel(thread) != 0 || pthread_join(thread, &end) != 0)
            return 2;
        if (end == PTHREAD_CANCELED)
            cancelled++;
        else
            fprintf(stderr, "%s\n", (const char *)end);
    }
    printf("%d\n", cancelled);
    return 0;
}
