/* Bad pointers: a uacce client written from the hardware pages alone (uacce-qm §2-§4, zip §1, hpre §1), sharing no code with
 * warpdrive or its simulator. It sends descriptors whose addresses cannot be used and expects what an IOMMU fault gives:
 * a completion with an error status, and a queue that goes on. Prints one line per case; exit status 0 if all are right.
 * Usage: bad_pointers /dev/hisi_zip-N /dev/hisi_hpre-N */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct queue {
    int fd;
    unsigned version;
    uint32_t descriptor_len;
    uint16_t depth, number, tail, head, phase;
    uint8_t *ring, *completions;
    volatile uint64_t *doorbell;
};

static size_t page;
static int wrong;

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static unsigned long attribute(const char *device, const char *name, char *text, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "/sys/class/uacce/%s/%s", strrchr(device, '/') + 1, name);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, (int)len, file))
        fail(path);
    fclose(file);
    return strtoul(text, NULL, 10);
}

static void judge(const char *what, int good)
{
    printf("%s: %s\n", good ? "right" : "WRONG", what);
    wrong += !good;
}

static struct queue open_queue(const char *device, uint16_t class)
{
    struct queue queue = {.phase = 1};
    char text[64];
    size_t rings_len = attribute(device, "region_dus_size", text, sizeof text);
    size_t doorbell_len = attribute(device, "region_mmio_size", text, sizeof text);
    attribute(device, "api", text, sizeof text);
    queue.version = (unsigned)atoi(text + 9); /* hisi_qm_v2 */
    queue.fd = open(device, O_RDWR | O_CLOEXEC);
    if (queue.fd < 0)
        fail(device);
    queue.ring = mmap(NULL, rings_len, PROT_READ | PROT_WRITE, MAP_SHARED, queue.fd, (off_t)page);
    if (queue.ring == MAP_FAILED)
        fail("rings");
    uint8_t *registers = mmap(NULL, doorbell_len, PROT_READ | PROT_WRITE, MAP_SHARED, queue.fd, 0);
    if (registers == MAP_FAILED)
        fail("doorbell");
    uint16_t context[2] = {0, class};
    struct {
        uint32_t descriptor_len;
        uint16_t sq_depth, cq_depth;
        uint64_t reserved;
    } info = {0};
    if (ioctl(queue.fd, 0xC004480Aul, context) < 0 || ioctl(queue.fd, 0xC010480Bul, &info) < 0)
        fail("context");
    if (ioctl(queue.fd, 0x5700) < 0)
        fail("start");
    queue.number = context[0];
    queue.descriptor_len = info.descriptor_len;
    queue.depth = info.sq_depth;
    queue.completions = queue.ring + (size_t)info.descriptor_len * info.sq_depth;
    queue.doorbell = (volatile uint64_t *)(void *)(registers + 0x1000);
    judge("opening a queue leaves standard input open", fcntl(STDIN_FILENO, F_GETFD) >= 0);
    return queue;
}

static void ring_doorbell(struct queue *queue, unsigned command, uint16_t index)
{
#ifdef __aarch64__
    __asm__ volatile("dsb sy" ::: "memory");
#else
    __sync_synchronize();
#endif
    *queue->doorbell = (uint64_t)queue->number | (uint64_t)command << 12 | (uint64_t)index << 32;
}

static void submit(struct queue *queue, const void *descriptor)
{
    memcpy(queue->ring + (size_t)queue->tail * queue->descriptor_len, descriptor, queue->descriptor_len);
    queue->tail = (uint16_t)((queue->tail + 1) % queue->depth);
    ring_doorbell(queue, 0, queue->tail);
}

/* Waits for the next completion and copies its descriptor. Ten seconds without one end the program. */
static void complete(struct queue *queue, void *descriptor)
{
    uint8_t *entry = queue->completions + 16u * queue->head;
    time_t limit = time(NULL) + 10;
    while ((__atomic_load_n((uint16_t *)(void *)(entry + 14), __ATOMIC_ACQUIRE) & 1) != queue->phase) {
        if (time(NULL) > limit) {
            printf("no completion\n");
            exit(1);
        }
        sched_yield();
    }
    uint16_t slot;
    memcpy(&slot, entry + 8, sizeof slot);
    memcpy(descriptor, queue->ring + (size_t)slot * queue->descriptor_len, queue->descriptor_len);
    queue->head = (uint16_t)((queue->head + 1) % queue->depth);
    if (queue->head == 0)
        queue->phase ^= 1;
    ring_doorbell(queue, 1, queue->head);
}

static void address(uint32_t *low, const void *pointer)
{
    uint64_t value = (uint64_t)(uintptr_t)pointer;
    low[0] = (uint32_t)value;
    low[1] = (uint32_t)(value >> 32);
}

static void fill_zip(struct queue *queue, uint32_t *sqe, const void *in, uint32_t len, void *out, uint32_t room)
{
    memset(sqe, 0, 128);
    sqe[4] = len;
    sqe[7] = queue->version >= 3 ? 0x3A000000 : 0x0A000000;
    sqe[9] = queue->version >= 3 ? 0x4002 : 0x2;
    sqe[14] = room;
    address(sqe + 18, in);
    address(sqe + 20, out);
    sqe[queue->version >= 3 ? 26 : 13] = 0x5A5A;
}

/* One zlib compression; gives the status byte. */
static unsigned zip(struct queue *queue, const void *in, uint32_t len, void *out, uint32_t room)
{
    uint32_t sqe[32];
    fill_zip(queue, sqe, in, len, out, room);
    submit(queue, sqe);
    complete(queue, sqe);
    return sqe[3] & 0xff;
}

/* One RSA-2048 CRT operation; gives both error fields, or -1 if the device did not say done. */
static int rsa(struct queue *queue, const void *key, const void *in, void *out)
{
    uint32_t sqe[16] = {0x40000001, 0x1f};
    address(sqe + 2, key);
    address(sqe + 4, in);
    address(sqe + 6, out);
    submit(queue, sqe);
    complete(queue, sqe);
    return sqe[0] >> 30 == 3 ? (int)(sqe[0] >> 5 & 0x7ff) | (int)(sqe[0] >> 16 & 0x3fff) : -1;
}

static void *pages(size_t count, int protection)
{
    void *memory = mmap(NULL, count * page, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

/* Two pages of which the second is a hole. */
static uint8_t *before_a_hole(void)
{
    uint8_t *memory = pages(2, PROT_READ | PROT_WRITE);
    munmap(memory + page, page);
    return memory;
}

static void check_zip(const char *device)
{
    struct queue queue = open_queue(device, 0);
    uint32_t len = 2048;
    uint8_t *in = pages(1, PROT_READ | PROT_WRITE), *out = pages(2, PROT_READ | PROT_WRITE);
    uint8_t *hole = before_a_hole(), *none = pages(1, PROT_NONE), *fixed = pages(2, PROT_READ);
    uint8_t *gone = pages(1, PROT_READ | PROT_WRITE);
    munmap(gone, page);
    for (uint32_t i = 0, x = 1; i < len; i++) /* does not compress, so the output is longer than the input */
        in[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    const struct {
        const char *what;
        const void *in;
        uint32_t len;
        void *out;
        uint32_t room;
    } cases[] = {
        {"zip: input not mapped", gone, len, out, 8192},
        {"zip: input at no address", NULL, len, out, 8192},
        {"zip: input at an impossible address", (void *)0xdead000000000000, len, out, 8192},
        {"zip: input without permission", none, len, out, 8192},
        {"zip: input runs into a hole", hole + page - 1024, len, out, 8192},
        {"zip: input longer than memory", in, 0x7fffffff, out, 8192},
        {"zip: output not mapped", in, len, gone, 8192},
        {"zip: output at no address", in, len, NULL, 8192},
        {"zip: output read-only", in, len, fixed, 8192},
        {"zip: output runs into a hole", in, len, hole + page - 1024, 8192},
    };
    judge("zip: good addresses", zip(&queue, in, len, out, 8192) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        judge(cases[i].what, zip(&queue, cases[i].in, cases[i].len, cases[i].out, cases[i].room) != 0);
        judge("zip: good addresses afterwards", zip(&queue, in, len, out, 8192) == 0);
    }
    for (size_t i = 0; i < 2 * page; i++)
        if (fixed[i] != 0) {
            judge("zip: read-only memory stays as it is", 0);
            break;
        }
    /* Memory that goes away with requests in flight: each still completes, with either status. */
    uint32_t sqe[32];
    uint8_t *fleeting = pages(1, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 500; i++) {
        fill_zip(&queue, sqe, fleeting, len, out, 8192);
        submit(&queue, sqe);
    }
    munmap(fleeting, page);
    for (int i = 0; i < 500; i++)
        complete(&queue, sqe);
    judge("zip: memory freed in flight, good addresses afterwards", zip(&queue, in, len, out, 8192) == 0);
    close(queue.fd);
}

static void check_hpre(const char *device)
{
    struct queue queue = open_queue(device, 0);
    uint8_t *key = pages(1, PROT_READ | PROT_WRITE), *in = pages(1, PROT_READ | PROT_WRITE);
    uint8_t *out = pages(1, PROT_READ | PROT_WRITE), *fixed = pages(1, PROT_READ), *hole = before_a_hole();
    uint8_t *gone = pages(1, PROT_READ | PROT_WRITE);
    munmap(gone, page);
    /* dq, dp, q, p, qinv of a toy key, each right-aligned in 128 bytes (hpre §9.1): 2790 becomes 65. */
    static const uint8_t numbers[] = {49, 53, 53, 61, 38};
    for (size_t i = 0; i < sizeof numbers; i++)
        key[128 * i + 127] = numbers[i];
    in[254] = 2790 >> 8;
    in[255] = 2790 & 0xff;
    const struct {
        const char *what;
        const void *key, *in;
        void *out;
    } cases[] = {
        {"hpre: key not mapped", gone, in, out},
        {"hpre: key at no address", NULL, in, out},
        {"hpre: key runs into a hole", hole + page - 600, in, out},
        {"hpre: input not mapped", key, gone, out},
        {"hpre: input runs into a hole", key, hole + page - 128, out},
        {"hpre: input at an impossible address", key, (void *)0xffff800000000000, out},
        {"hpre: output not mapped", key, in, gone},
        {"hpre: output read-only", key, in, fixed},
        {"hpre: output runs into a hole", key, in, hole + page - 128},
    };
    judge("hpre: good addresses", rsa(&queue, key, in, out) == 0 && out[255] == 65);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        judge(cases[i].what, rsa(&queue, cases[i].key, cases[i].in, cases[i].out) > 0);
        memset(out, 0, 256);
        judge("hpre: good addresses afterwards", rsa(&queue, key, in, out) == 0 && out[255] == 65);
    }
    for (size_t i = 0; i < page; i++)
        if (fixed[i] != 0) {
            judge("hpre: read-only memory stays as it is", 0);
            break;
        }
    close(queue.fd);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    page = (size_t)sysconf(_SC_PAGESIZE);
    check_zip(argv[1]);
    check_hpre(argv[2]);
    return wrong != 0;
}
