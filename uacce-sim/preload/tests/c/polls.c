/* poll() as each kernel's driver answers it (uacce-qm §2.7): the kernel's name is the argument. */
#include "queue.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static struct queue queue;
static struct request requests[4];
static int edge;

static int polled(int timeout) {
    struct pollfd all[2] = {{.fd = -1, .events = POLLIN}, {.fd = queue.fd, .events = POLLIN}};
    int result = poll(all, 2, timeout);
    CHECK(result == 0 || (result == 1 && all[1].revents == POLLIN));
    CHECK(all[0].revents == 0 && (result == 1 || all[1].revents == 0));
    return result;
}

static int polled_exactly(void) {
    struct pollfd one = {.fd = queue.fd, .events = POLLIN | POLLRDNORM};
    struct timespec none = {0, 0};
    sigset_t all;
    sigfillset(&all);
    int result = ppoll(&one, 1, &none, &all);
    CHECK(result == 0 || one.revents == (POLLIN | POLLRDNORM));
    return result;
}

static void submit(unsigned index) {
    *queue.doorbell = write_request(&queue, &requests[index], index + 2);
}

static void consumed(int arm) {
    wait_completion(&queue);
    *queue.doorbell = completion_word(&queue, arm);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    edge = strcmp(arguments[1], "mainline") == 0;
    open_queue(&queue);
    CHECK(polled(0) == 0);
    /* Armed by START: told once, whether consumed or not. */
    submit(0);
    CHECK(polled(60000) == 1);
    CHECK(polled(0) == 0 && polled_exactly() == 0);
    consumed(0);
    CHECK(polled(0) == 0);
    /* Not armed: mainline looks at the ring whenever it is asked, the vendors count interrupts. */
    submit(1);
    wait_completion(&queue);
    CHECK(polled_exactly() == edge && polled(0) == 0);
    *queue.doorbell = completion_word(&queue, 0);
    /* Armed while a completion waits: an event at once. */
    submit(2);
    consumed(0);
    submit(3);
    wait_completion(&queue);
    CHECK(polled(0) == edge);
    queue.head--;
    *queue.doorbell = completion_word(&queue, 1);
    queue.head++;
    /* One that mainline has passed over already wakes nobody there. */
    CHECK(polled(edge ? 50 : 60000) == !edge);
    CHECK(polled(0) == 0);
    *queue.doorbell = completion_word(&queue, 1);
    /* Armed, completed, consumed, never polled for: told afterwards all the same. */
    submit(0);
    consumed(1);
    if (!edge)
        CHECK(polled(60000) == 1);
    else
        CHECK(polled(0) == 1);
    CHECK(polled(0) == 0);
    /* Other ways to wait go by the token, which a completion doorbell takes away. */
    fd_set set;
    struct timeval none = {0, 0};
    int waiter = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(waiter >= 0 && epoll_ctl(waiter, EPOLL_CTL_ADD, queue.fd, &event) == 0);
    CHECK(epoll_wait(waiter, &event, 1, 0) == 0);
    submit(1);
    CHECK(epoll_wait(waiter, &event, 1, 60000) == 1);
    FD_ZERO(&set);
    FD_SET(queue.fd, &set);
    CHECK(select(queue.fd + 1, &set, NULL, NULL, &none) == 1);
    consumed(0);
    CHECK(epoll_wait(waiter, &event, 1, 0) == 0);
    /* One event is left over: the vendors' count goes with the number to its next owner, mainline's does not. */
    munmap(queue.rings, queue.rings_len);
    munmap(queue.registers, queue.registers_len);
    close(queue.fd), close(waiter);
    for (queue.fd = -1; queue.fd < 0;)
        queue.fd = open(NODE, O_RDWR | O_CLOEXEC);
    map_queue(&queue);
    start_queue(&queue);
    CHECK(polled(0) == !edge && polled(0) == 0);
    /* A queue that was put tells nothing, hang-ups included. */
    submit(0);
    wait_completion(&queue);
    CHECK(ioctl(queue.fd, PUT_QUEUE) == 0);
    CHECK(polled(20) == (strcmp(arguments[1], "openeuler") == 0));
    puts("done");
    return 0;
}
