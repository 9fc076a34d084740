/* A device that is removed, and its mapped memory with it: what touches it gets the SIGBUS that the kernel's would give. */
#include "queue.h"
#include <setjmp.h>
#include <signal.h>

static sigjmp_buf back;
static siginfo_t told;

static void caught(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told = *info;
    siglongjmp(back, 1);
}

#define BUS_ERROR(at, access)                                                          \
    do {                                                                               \
        if (sigsetjmp(back, 1) == 0) {                                                 \
            access;                                                                    \
            CHECK(!"no SIGBUS");                                                       \
        }                                                                              \
        CHECK(told.si_signo == SIGBUS && told.si_code == BUS_ADRERR);                  \
        CHECK(told.si_addr == (void *)(at));                                           \
    } while (0)

int main(int count, char **arguments) {
    struct queue queue;
    struct request request;
    open_queue(&queue);
    use_queue(&queue, 5);
    struct pollfd poll_fd = {.fd = queue.fd, .events = POLLIN};
    poll(&poll_fd, 1, 0);
    *queue.doorbell = write_request(&queue, &request, 6);
    while (access(NODE, F_OK) == 0)
        usleep(1000);
    FAILS(ioctl(queue.fd, START), ENXIO);
    FAILS(mmap(NULL, queue.registers_len, PROT_READ, MAP_SHARED, queue.fd, 0), ENXIO);
    CHECK(poll(&poll_fd, 1, 0) == 0);
    if (count == 2) {
        sigset_t all;
        sigfillset(&all);
        if (strcmp(arguments[1], "blocked") == 0)
            CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
        if (strcmp(arguments[1], "read") == 0)
            return queue.rings[0];
        *queue.doorbell = queue.number;
        return 0;
    }
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
    volatile unsigned char *last = queue.rings + queue.rings_len - 4;
    for (int turn = 0; turn < 3; turn++) {
        BUS_ERROR(queue.rings, (void)*(volatile unsigned char *)queue.rings);
        BUS_ERROR(last, *last = 1);
        BUS_ERROR(queue.doorbell, *queue.doorbell = queue.number);
    }
    CHECK(munmap(queue.rings, queue.rings_len) == 0 && munmap(queue.registers, queue.registers_len) == 0);
    CHECK(close(queue.fd) == 0);
    puts("done");
    return 0;
}
