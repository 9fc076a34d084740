/* Every way a program might write a doorbell; each rings a request and its completion. */
#include "queue.h"
#include <pthread.h>
#include <stdatomic.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void plain(volatile uint64_t *at, uint64_t word) { *at = word; }
static void released(volatile uint64_t *at, uint64_t word) { __atomic_store_n(at, word, __ATOMIC_RELEASE); }
static void sequential(volatile uint64_t *at, uint64_t word) { __atomic_store_n(at, word, __ATOMIC_SEQ_CST); }
static void exchanged(volatile uint64_t *at, uint64_t word) {
    CHECK(__atomic_exchange_n(at, word, __ATOMIC_SEQ_CST) == 0);
}
static void halves(volatile uint64_t *at, uint64_t word) {
    volatile uint32_t *half = (volatile uint32_t *)at;
    half[0] = (uint32_t)word;
    half[1] = (uint32_t)(word >> 32);
}
static void copied(volatile uint64_t *at, uint64_t word) { memcpy((void *)(uintptr_t)at, &word, sizeof word); }
static void indexed(volatile uint64_t *at, uint64_t word) {
    static volatile int index = 512;
    (at - 512)[index] = word;
}
#if defined(__x86_64__)
static void streamed(volatile uint64_t *at, uint64_t word) { _mm_stream_si64((long long *)(uintptr_t)at, (long long)word); }
static void vector(volatile uint64_t *at, uint64_t word) { __asm__ volatile("movq %1, %%xmm5\n movq %%xmm5, %0" : "=m"(*at) : "r"(word) : "xmm5"); }
static void double_word(volatile uint64_t *at, uint64_t word) { __asm__ volatile("movq %1, %%xmm12\n movsd %%xmm12, %0" : "=m"(*at) : "r"(word) : "xmm12"); }
static void swapped(volatile uint64_t *at, uint64_t word) {
    uint64_t before = word;
    __asm__ volatile("xchgq %0, %1" : "+r"(before), "+m"(*at) : : "memory");
    CHECK(before == 0);
}
__attribute__((target("avx"))) static void extended(volatile uint64_t *at, uint64_t word) {
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vmovq %1, %%xmm7\n vmovq %%xmm7, %0" : "=m"(*at) : "r"(word) : "xmm7");
    else
        *at = word;
}
/* The store lies across two pages of code. */
typedef void ring_function(volatile uint64_t *, uint64_t);
static void across_pages(volatile uint64_t *at, uint64_t word) {
    static ring_function *ring;
    static const unsigned char code[] = {0x48, 0x89, 0xb7, 0, 0, 0, 0, 0xc3}; /* mov %rsi,0(%rdi); ret */
    if (!ring) {
        unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(pages != MAP_FAILED);
        memcpy(pages + 4096 - 3, code, sizeof code);
        ring = (ring_function *)(uintptr_t)(pages + 4096 - 3);
    }
    ring(at, word);
}
#else
static void pair(volatile uint64_t *at, uint64_t word) { __asm__ volatile("stp %1, xzr, %0" : "=Q"(*at) : "r"(word)); }
static void post_indexed(volatile uint64_t *at, uint64_t word) {
    volatile uint64_t *after = at;
    __asm__ volatile("str %1, [%0], #8" : "+r"(after) : "r"(word) : "memory");
    CHECK(after == at + 1);
}
static void vector(volatile uint64_t *at, uint64_t word) { __asm__ volatile("fmov d5, %1\n str d5, %0" : "=Q"(*at) : "r"(word) : "v5"); }
#endif

static void (*const forms[])(volatile uint64_t *, uint64_t) = {
    plain, released, sequential, exchanged, halves, copied, indexed,
#if defined(__x86_64__)
    streamed, vector, double_word, swapped, extended, across_pages,
#else
    pair, post_indexed, vector,
#endif
};

static void *hammer(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    struct queue queue;
    open_queue(&queue);
    for (unsigned i = 0; i < 1500; i++)
        use_queue(&queue, seed + i % 500 + 2);
    close_queue(&queue);
    return NULL;
}

/* One queue: one thread submits, four ring completion doorbells all the time; nothing gets lost. */
static struct queue shared;
static atomic_int done;

static void *ring_completions(void *argument) {
    (void)argument;
    while (!atomic_load(&done)) {
        *shared.doorbell = shared.number | 1u << 12 | (uint64_t)shared.head << 32;
        usleep(20);
    }
    return NULL;
}

int main(void) {
    struct queue queue;
    open_queue(&queue);
    unsigned count = sizeof forms / sizeof *forms;
    for (unsigned i = 0; i < 40 * count; i++) {
        struct request request;
        errno = 4711;
        forms[i % count](queue.doorbell, write_request(&queue, &request, i + 2));
        CHECK(errno == 4711);
        wait_completion(&queue);
        errno = 4711;
        forms[i % count](queue.doorbell, completion_word(&queue, 0));
        CHECK(errno == 4711);
        check_result(&request, i + 2);
    }
    /* Elsewhere in the region: plain memory, and a foreign queue's doorbell is nobody's. */
    volatile uint32_t *other = (volatile uint32_t *)(queue.registers + 0x1100);
    *other = 0x12345678;
    CHECK(*other == 0x12345678);
    *queue.doorbell = (queue.number + 1u) | 5ull << 32;
    *queue.doorbell = queue.number | 7u << 16 | 5ull << 32;
    use_queue(&queue, 99);
    /* Armed waits, by poll; what completed before is told first, once. */
    struct pollfd poll_fd = {.fd = queue.fd, .events = POLLIN};
    CHECK(poll(&poll_fd, 1, 0) == 1);
    for (unsigned i = 0; i < 200; i++) {
        struct request request;
        *queue.doorbell = completion_word(&queue, 1);
        *queue.doorbell = write_request(&queue, &request, i + 2);
        CHECK(poll(&poll_fd, 1, 60000) == 1 && poll_fd.revents == POLLIN);
        wait_completion(&queue);
        *queue.doorbell = completion_word(&queue, 0);
        CHECK(poll(&poll_fd, 1, 0) == 0);
        check_result(&request, i + 2);
    }
    close_queue(&queue);

    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, (void *)(i * 600)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    open_queue(&shared);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, ring_completions, NULL) == 0);
    for (unsigned i = 0; i < 1500; i++) {
        struct request request;
        *shared.doorbell = write_request(&shared, &request, i % 3000 + 2);
        wait_completion(&shared);
        check_result(&request, i % 3000 + 2);
    }
    atomic_store(&done, 1);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    close_queue(&shared);
    puts("done");
    return 0;
}
