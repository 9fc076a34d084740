/* Fork: a parent with live queues and 4 threads that never stop working forks 100 children, ten at a time; each signs and
 * compresses. No child may hang (each has an alarm) or fail, and no thread of the parent may get a wrong result or stop.
 * Children sign with a key object that no thread uses: OpenSSL itself locks a key while it blinds, and a child that inherits
 * the lock taken waits for ever, with or without us. Prints what happened. Usage: fork KEY.pem */
#include "work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { THREADS = 4, CHILDREN = 100, AT_ONCE = 10, CHILD_SECONDS = 60 };

static EVP_PKEY *threads_key, *childrens_key;
static atomic_int stop, wrong;
static atomic_long done[THREADS];

static void *work(void *argument)
{
    size_t index = (size_t)(uintptr_t)argument, len = 150000;
    unsigned char *data = malloc(len);
    while (!stop) {
        fill(data, len, (uint32_t)(index * 7919 + (size_t)done[index]));
        if (!sign(threads_key, data, len) || !compress_and_inflate(data, len))
            wrong++;
        done[index]++;
    }
    free(data);
    return NULL;
}

static int child(uint32_t seed)
{
    static unsigned char data[150000];
    alarm(CHILD_SECONDS);
    fill(data, sizeof data, seed);
    return sign(childrens_key, data, sizeof data) && compress_and_inflate(data, sizeof data) ? 0 : 1;
}

int main(int argc, char **argv)
{
    static unsigned char data[150000];
    pthread_t ids[THREADS];
    int failed = 0, hung = 0, running = 0, started = 0;
    long before[THREADS];

    if (argc != 2)
        return 2;
    threads_key = read_key(argv[1]);
    childrens_key = read_key(argv[1]);
    fill(data, sizeof data, 1);
    if (!sign(threads_key, data, sizeof data) || !sign(childrens_key, data, sizeof data) ||
        !compress_and_inflate(data, sizeof data))
        return 2;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)i) != 0)
            return 2;
    while (started < CHILDREN || running > 0) {
        if (started < CHILDREN && running < AT_ONCE) {
            pid_t pid = fork();
            if (pid == 0)
                _exit(child((uint32_t)started + 1000));
            if (pid < 0)
                return 2;
            started++;
            running++;
            continue;
        }
        int status = 0;
        if (wait(&status) < 0)
            return 2;
        running--;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
            hung++;
        else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            failed++;
    }
    /* Undisturbed: every thread still gets answers after the last child is gone. */
    for (size_t i = 0; i < THREADS; i++)
        before[i] = done[i];
    for (size_t i = 0; i < THREADS; i++)
        while (done[i] < before[i] + 2)
            sched_yield();
    stop = 1;
    long total = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        total += done[i];
    }
    EVP_PKEY_free(threads_key);
    EVP_PKEY_free(childrens_key);
    printf("children=%d failed=%d hung=%d parent_rounds=%ld parent_wrong=%d\n", started, failed, hung, total + 1, wrong);
    return failed || hung || wrong;
}
