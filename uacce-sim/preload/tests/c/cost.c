/* What one doorbell store costs its caller. `bare`: the fault, a handler that only steps over the store, and the way back, on a page of
 * this program's own. `rings`: completion doorbells of a started queue, through whatever the simulator does with them. Prints
 * nanoseconds of wall time and of this process's processor time per store. */
#include "queue.h"
#include <signal.h>
#include <time.h>
#include <ucontext.h>

static void store(volatile uint64_t *at, uint64_t word) {
#if defined __x86_64__
    /* Three bytes, which the handler below steps over. */
    __asm__ volatile("movq %%rcx, (%%rax)" : : "a"(at), "c"(word) : "memory");
#else
    __asm__ volatile("str %1, [%0]" : : "r"(at), "r"(word) : "memory");
#endif
}

static void step_over(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
#if defined __x86_64__
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3;
#else
    ((ucontext_t *)context)->uc_mcontext.pc += 4;
#endif
}

static double nanoseconds(clockid_t clock) {
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(volatile uint64_t *at, uint64_t word, long count) {
    for (long i = 0; i < count / 10; i++)
        store(at, word);
    double wall = nanoseconds(CLOCK_MONOTONIC), cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < count; i++)
        store(at, word);
    cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall = nanoseconds(CLOCK_MONOTONIC) - wall;
    printf("%.1f %.1f\n", wall / (double)count, cpu / (double)count);
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    long stores = strtol(arguments[2], NULL, 10);
    CHECK(stores >= 10);
    if (strcmp(arguments[1], "bare") == 0) {
        struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO | SA_NODEFER};
        CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
        void *page = mmap(NULL, (size_t)getpagesize(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(page != MAP_FAILED);
        measure(page, 1, stores);
        return 0;
    }
    CHECK(strcmp(arguments[1], "rings") == 0);
    struct queue queue;
    open_queue(&queue);
    /* Until a request went through, nothing says that the doorbell leads anywhere. */
    use_queue(&queue, 65);
    measure(queue.doorbell, completion_word(&queue, 0), stores);
    use_queue(&queue, 66);
    close_queue(&queue);
    return 0;
}
