/* The errno tables of uacce-qm §2.4 and §2.5, and what may be done to the mappings. */
#include "queue.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Runs in a child that must die of this signal (0: end well). The child touches memory, so it needs its own queue. */
static void dies(int signal, void (*act)(void)) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        act();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(signal ? WIFSIGNALED(status) && WTERMSIG(status) == signal : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void calls(void) {
    struct queue queue = {.fd = open(NODE, O_RDWR | O_CLOEXEC)};
    CHECK(queue.fd >= 0);
    FAILS(ioctl(queue.fd, 0x5799), EINVAL);
    FAILS(ioctl(queue.fd, 0x80085703, &queue), EINVAL);
    FAILS(ioctl(queue.fd, SET_CONTEXT, (void *)8), EFAULT);
    FAILS(ioctl(queue.fd, SHOW_INFO, (void *)8), EFAULT);
    void *read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(ioctl(queue.fd, SHOW_INFO, read_only), EFAULT);
    uint16_t bad_class[2] = {0, 7};
    FAILS(ioctl(queue.fd, SET_CONTEXT, bad_class), EINVAL);
    struct {
        uint32_t descriptor;
        uint16_t depths[2];
        uint64_t reserved;
    } info = {.reserved = 0x1122334455667788};
    CHECK(ioctl(queue.fd, SHOW_INFO, &info) == 0);
    CHECK(info.descriptor == 64 && info.depths[0] == 1024 && info.depths[1] == 1024 && info.reserved == 0x1122334455667788);
    size_t page = (size_t)getpagesize(), rings = (size_t)attribute("region_dus_size");
    int both = PROT_READ | PROT_WRITE;
    FAILS(mmap(NULL, rings - page, both, MAP_SHARED, queue.fd, (long)page), EINVAL);
    FAILS(mmap(NULL, rings + page, both, MAP_SHARED, queue.fd, (long)page), EINVAL);
    FAILS(mmap(NULL, 1 << 20, both, MAP_SHARED, queue.fd, 0), EINVAL);
    FAILS(mmap(NULL, page, both, MAP_SHARED, queue.fd, 7 * (long)page), EINVAL);
    FAILS(mmap(NULL, 0, both, MAP_SHARED, queue.fd, 0), EINVAL);
    map_queue(&queue);
    FAILS(mmap(NULL, queue.registers_len, both, MAP_SHARED, queue.fd, 0), EEXIST);
    start_queue(&queue);
    FAILS(ioctl(queue.fd, START), EINVAL);
    use_queue(&queue, 5);
    FAILS(mremap(queue.registers, queue.registers_len, 2 * queue.registers_len, MREMAP_MAYMOVE), EPERM);
    CHECK(ioctl(queue.fd, PUT_QUEUE) == 0);
    FAILS(ioctl(queue.fd, START), ENXIO);
    munmap(queue.registers, queue.registers_len);
    munmap(queue.rings, queue.rings_len);
    CHECK(close(queue.fd) == 0);
    FAILS(ioctl(queue.fd, START), EBADF);
    int reader = open(NODE, O_RDONLY);
    FAILS(mmap(NULL, page, both, MAP_SHARED, reader, 0), EACCES);
    close(reader);
    /* A stranger's socket, and a file, are what they were. */
    int pair[2];
    CHECK(socketpair(1, 1, 0, pair) == 0);
    FAILS(ioctl(pair[0], START), ENOTTY);
    FAILS(mmap(NULL, page, PROT_READ, MAP_SHARED, pair[0], 0), ENODEV);
    int null = open("/dev/null", O_RDWR);
    FAILS(ioctl(null, START), ENOTTY);
    close(pair[0]), close(pair[1]), close(null);
}

static struct queue queue;

static void store_first_page(void) { *(volatile uint64_t *)queue.registers = 1; }
static void store_doorbell(void) { *queue.doorbell = completion_word(&queue, 0); }
static void load_doorbell(void) { (void)*queue.doorbell; }

static void own(void (*prepare)(void), int signal, void (*act)(void)) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        open_queue(&queue);
        use_queue(&queue, 3);
        if (prepare)
            prepare();
        fflush(stdout);
        if (signal == 0)
            use_queue(&queue, 4);
        act();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(signal ? WIFSIGNALED(status) && WTERMSIG(status) == signal : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void unmap_first(void) { CHECK(munmap(queue.registers, 4096) == 0); }
static void unmap_second(void) { CHECK(munmap(queue.registers + 4096, 4096) == 0); }
static void unmap_all(void) { CHECK(munmap(queue.registers, 8192) == 0); }
static void fixed_over(void) {
    void *at = queue.registers + 4096;
    CHECK(mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
    *queue.doorbell = 0x1234;
    CHECK(*queue.doorbell == 0x1234);
    CHECK(mprotect(at, 4096, PROT_READ) == 0);
}
static void fixed_rings_over(void) {
    /* A region of the device itself, mapped over the doorbell page. */
    int fd = open(NODE, O_RDWR);
    unsigned char *space = mmap(NULL, 4 * queue.rings_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(queue.registers, queue.registers_len) == 0);
    unsigned char *registers =
        mmap(space + 4096, queue.registers_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    CHECK(registers == space + 4096);
    *(volatile uint64_t *)(registers + 8) = 77;
    CHECK(*(volatile uint64_t *)(registers + 8) == 77);
    unsigned char *rings = mmap(space, queue.rings_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 4096);
    CHECK(rings == space);
    /* Protected, it is the program's own fault to write there, no doorbell. */
    CHECK(mprotect(space + 8192, 4096, PROT_READ) == 0);
    queue.doorbell = (volatile uint64_t *)(space + 8192);
}
static void moved_over(void) {
    void *from = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *at = queue.registers + 4096;
    CHECK(mremap(from, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
}
static void protect_none(void) { CHECK(mprotect(queue.registers, 8192, PROT_NONE) == 0); }
static void protect_read(void) { CHECK(mprotect(queue.registers, 8192, PROT_READ) == 0); }
static void protect_back(void) {
    protect_none();
    CHECK(mprotect(queue.registers, 8192, PROT_READ | PROT_WRITE) == 0);
    CHECK(mprotect(queue.rings + 65536, queue.rings_len - 65536, PROT_READ) == 0);
}
static void kept_for_children(void) {
    /* Forked, the addresses are nobody's; the parent's go on. */
    dies(SIGSEGV, store_doorbell);
    dies(SIGSEGV, load_doorbell);
    use_queue(&queue, 6);
}
static void duplicated(void) {
    int other = dup(queue.fd);
    CHECK(other >= 0 && close(queue.fd) == 0);
    int stranger = open("/dev/null", O_RDONLY);
    CHECK(stranger == queue.fd);
    queue.fd = other;
    struct pollfd poll_fd = {.fd = other, .events = POLLIN};
    /* What completed before and was never polled for is told once. */
    CHECK(poll(&poll_fd, 1, 0) == 1 && poll(&poll_fd, 1, 0) == 0);
    for (unsigned i = 0; i < 20; i++) {
        struct request request;
        *queue.doorbell = completion_word(&queue, 1);
        *queue.doorbell = write_request(&queue, &request, i + 2);
        CHECK(poll(&poll_fd, 1, 60000) == 1);
        wait_completion(&queue);
        *queue.doorbell = completion_word(&queue, 0);
        CHECK(poll(&poll_fd, 1, 0) == 0);
        check_result(&request, i + 2);
    }
    FAILS(ioctl(other, START), EINVAL);
    close(stranger);
}
static void closed(void) {
    CHECK(close(queue.fd) == 0);
    for (unsigned i = 2; i < 50; i++)
        use_queue(&queue, i);
}
static void closed_with_all(void) {
    closefrom(3);
    for (unsigned i = 2; i < 50; i++)
        use_queue(&queue, i);
    int null = open("/dev/null", O_RDONLY);
    CHECK(null == 3);
}
static void nothing(void) {}

int main(void) {
    calls();
    own(NULL, 0, nothing);
    own(unmap_first, 0, nothing);
    own(unmap_first, SIGSEGV, store_first_page);
    own(unmap_second, SIGSEGV, store_doorbell);
    own(unmap_second, SIGSEGV, load_doorbell);
    own(unmap_all, SIGSEGV, store_doorbell);
    own(fixed_over, SIGSEGV, store_doorbell);
    own(fixed_rings_over, SIGSEGV, store_doorbell);
    own(moved_over, SIGSEGV, store_doorbell);
    own(protect_none, SIGSEGV, load_doorbell);
    own(protect_read, SIGSEGV, store_doorbell);
    own(protect_back, 0, load_doorbell);
    own(kept_for_children, 0, nothing);
    own(duplicated, 0, nothing);
    own(closed, 0, nothing);
    own(closed_with_all, 0, nothing);
    puts("done");
    return 0;
}
