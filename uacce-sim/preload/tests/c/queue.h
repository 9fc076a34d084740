/* One queue of the simulated RSA device, used as a driver would: hpre §9.2's toy key, n 3233, e 17. */
#include "check.h"
#include <poll.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define NODE "/dev/hisi_hpre-0"
#define START 0x5700
#define PUT_QUEUE 0x5701
#define SET_CONTEXT 0xC004480A
#define SHOW_INFO 0xC010480B
#define DEPTH 1024

struct queue {
    int fd;
    unsigned char *rings, *registers;
    size_t rings_len, registers_len;
    volatile uint64_t *doorbell;
    uint16_t number, tail, head, phase;
};

struct request {
    unsigned char key[256], input[128], output[128];
};

static long attribute(const char *name) {
    char path[128], text[32] = "";
    snprintf(path, sizeof path, "/sys/class/uacce/hisi_hpre-0/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0);
    return strtol(text, NULL, 10);
}

static void map_queue(struct queue *queue) {
    queue->rings_len = (size_t)attribute("region_dus_size");
    queue->registers_len = (size_t)attribute("region_mmio_size");
    queue->rings = mmap(NULL, queue->rings_len, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, getpagesize());
    CHECK(queue->rings != MAP_FAILED);
    queue->registers = mmap(NULL, queue->registers_len, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, 0);
    CHECK(queue->registers != MAP_FAILED);
    queue->doorbell = (volatile uint64_t *)(queue->registers + 0x1000);
}

static void start_queue(struct queue *queue) {
    uint16_t context[2] = {0, 0};
    CHECK(ioctl(queue->fd, SET_CONTEXT, context) == 0);
    queue->number = context[0];
    CHECK(ioctl(queue->fd, START) == 0);
    queue->tail = queue->head = 0;
    queue->phase = 1;
}

__attribute__((unused)) static void open_queue(struct queue *queue) {
    queue->fd = open(NODE, O_RDWR | O_CLOEXEC);
    CHECK(queue->fd >= 0);
    map_queue(queue);
    start_queue(queue);
}

__attribute__((unused)) static void close_queue(struct queue *queue) {
    CHECK(ioctl(queue->fd, PUT_QUEUE) == 0);
    CHECK(munmap(queue->rings, queue->rings_len) == 0);
    CHECK(munmap(queue->registers, queue->registers_len) == 0);
    CHECK(close(queue->fd) == 0);
}

/* Writes a descriptor; returns the doorbell that submits it. */
static uint64_t write_request(struct queue *queue, struct request *request, unsigned input) {
    uint32_t descriptor[16] = {1u << 30, 128 / 8 - 1};
    uint64_t addresses[3] = {(uintptr_t)request->key, (uintptr_t)request->input, (uintptr_t)request->output};
    memset(request, 0, sizeof *request);
    request->key[127] = 17;
    request->key[254] = 3233 >> 8, request->key[255] = 3233 & 255;
    request->input[126] = (unsigned char)(input >> 8), request->input[127] = (unsigned char)input;
    memset(request->output, 0xAA, sizeof request->output);
    memcpy(descriptor + 2, addresses, sizeof addresses);
    memcpy(queue->rings + queue->tail * 64, descriptor, sizeof descriptor);
    queue->tail = (uint16_t)((queue->tail + 1) % DEPTH);
    __sync_synchronize();
    return queue->number | (uint64_t)queue->tail << 32;
}

static void wait_completion(struct queue *queue) {
    volatile uint16_t *phase = (volatile uint16_t *)(queue->rings + 64 * DEPTH + queue->head * 16 + 14);
    for (long i = 0; (*phase & 1) != queue->phase; i++) {
        CHECK(i < 600000);
        if (i > 100)
            usleep(100);
    }
    __sync_synchronize();
    queue->head = (uint16_t)((queue->head + 1) % DEPTH);
    queue->phase = (uint16_t)(queue->phase ^ (queue->head == 0));
}

/* The doorbell that tells how far completions were taken. */
__attribute__((unused)) static uint64_t completion_word(const struct queue *queue, int arm) {
    return queue->number | 1u << 12 | (uint64_t)queue->head << 32 | (uint64_t)arm << 48;
}

static void check_result(struct request *request, unsigned input) {
    unsigned power = 1;
    for (int i = 0; i < 17; i++)
        power = power * input % 3233;
    CHECK(request->output[126] == power >> 8 && request->output[127] == (power & 255));
    CHECK(request->output[0] == 0);
}

/* One request from doorbell to verified result. */
__attribute__((unused)) static void use_queue(struct queue *queue, unsigned input) {
    struct request request;
    *queue->doorbell = write_request(queue, &request, input);
    wait_completion(queue);
    *queue->doorbell = completion_word(queue, 0);
    check_result(&request, input);
}
