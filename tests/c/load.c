/* Load: THREADS threads each sign and compress ROUNDS times. A line "round" on stdout after each round of any thread, so
 * that a test knows how far it is. Exit status 0 only if every result was right.
 * Usage: load KEY.pem THREADS ROUNDS */
#include "work.h"

#include <pthread.h>
#include <stdatomic.h>

static EVP_PKEY *key;
static int rounds;
static atomic_int wrong;

static void *work(void *argument)
{
    size_t len = 300000;
    unsigned char *data = malloc(len);
    for (int round = 0; round < rounds; round++) {
        fill(data, len, (uint32_t)(uintptr_t)argument * 65537u + (uint32_t)round);
        if (!sign(key, data, len) || !compress_and_inflate(data, len))
            wrong++;
        if (write(STDOUT_FILENO, "round\n", 6) != 6)
            wrong++;
    }
    free(data);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    key = read_key(argv[1]);
    int threads = atoi(argv[2]);
    rounds = atoi(argv[3]);
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)(i + 1)) != 0)
            return 2;
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    free(ids);
    EVP_PKEY_free(key);
    return wrong ? 1 : 0;
}
