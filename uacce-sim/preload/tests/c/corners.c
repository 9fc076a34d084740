/* Rare calls: each must end as it would on the kernel's device. One case by name per run. */
#include "queue.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ATTRIBUTES "/sys/class/uacce/hisi_hpre-0/"

static struct queue queue;

/* A doorbell store with no work behind it: the tail stays where it is. */
static void ring(void) {
    *queue.doorbell = queue.number | (uint64_t)queue.tail << 32;
}

/* Nothing is created in sysfs. */
static void create(void) {
    FAILS(open(ATTRIBUTES "none", O_WRONLY | O_CREAT, 0600), EACCES);
    FAILS(openat(AT_FDCWD, ATTRIBUTES "none", O_WRONLY | O_CREAT | O_EXCL, 0600), EACCES);
    FAILS(open(ATTRIBUTES "none/api", O_WRONLY | O_CREAT, 0600), ENOENT);
    FAILS(open(ATTRIBUTES "api", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(creat(ATTRIBUTES "none", 0600), EACCES);
    errno = 0;
    CHECK(!fopen(ATTRIBUTES "none", "w") && errno == EACCES);
    CHECK(!fopen(ATTRIBUTES "none", "a+e") && errno == EACCES);
    CHECK(!fopen(ATTRIBUTES "none", "r") && errno == ENOENT);
    CHECK(access(ATTRIBUTES "none", F_OK) != 0);
    int found = open(ATTRIBUTES "api", O_RDONLY | O_CREAT, 0600);
    char text[32] = "";
    CHECK(found >= 0 && read(found, text, sizeof text - 1) > 0 && strncmp(text, "hisi_qm_v", 9) == 0);
}

/* A stream that cannot be made leaves no descriptor, and so no queue, behind. */
static void stream(void) {
    int lowest = open("/dev/null", O_RDONLY);
    CHECK(lowest >= 0 && close(lowest) == 0);
    errno = 0;
    CHECK(!fopen(NODE, "z") && errno == EINVAL);
    CHECK(!fopen(NODE, "wx") && errno == EEXIST);
    CHECK(open("/dev/null", O_RDONLY) == lowest);
    FILE *opened = fopen(NODE, "r+e");
    CHECK(opened && fcntl(fileno(opened), F_GETFD) == FD_CLOEXEC);
    CHECK(ioctl(fileno(opened), PUT_QUEUE) == 0 && fclose(opened) == 0);
}

/* Commands of other drivers: EINVAL from this one, ENOTTY from a file or another socket. */
static void commands(void) {
    int device = open(NODE, O_RDWR), null = open("/dev/null", O_RDWR);
    FAILS(ioctl(device, 0x5401, 0), EINVAL);
    FAILS(ioctl(device, 0x1234, 0), EINVAL);
    FAILS(ioctl(device, 0x5763, 0), EINVAL);
    FAILS(ioctl(null, 0x5401, 0), ENOTTY);
    FAILS(ioctl(null, START, 0), ENOTTY);
}

/* Mapped for reading, made writable later. */
static void writable_later(void) {
    queue.fd = open(NODE, O_RDWR);
    queue.registers = mmap(NULL, 8192, PROT_READ, MAP_SHARED, queue.fd, 0);
    CHECK(queue.registers != MAP_FAILED);
    queue.doorbell = (volatile uint64_t *)(queue.registers + 0x1000);
    start_queue(&queue);
    pid_t child = fork();
    CHECK(child >= 0);
    int status;
    CHECK(child || (ring(), 0));
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(mprotect(queue.registers, 8192, PROT_READ | PROT_WRITE) == 0);
    ring();
}

static void *ring_in_thread(void *semaphore) {
    CHECK(!semaphore || sem_wait(semaphore) == 0);
    ring();
    return NULL;
}

/* A thread that begins with every signal blocked. */
static void attribute_mask(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    open_queue(&queue);
    sigfillset(&all);
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setsigmask_np(&attributes, &all) == 0);
    CHECK(pthread_create(&thread, &attributes, ring_in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static volatile sig_atomic_t rung;

/* What both forms of sigpause are made of; the header shows only the one that takes a signal. */
extern int __sigpause(int mask_or_signal, int is_signal);

static void ring_in_handler(int signal) {
    (void)signal;
    ring();
    rung = 1;
}

/* A handler that rings while sigpause holds the rest back. The kernel's own mask, so it cannot come too early. */
static void pausing(void) {
    sigset_t one;
    open_queue(&queue);
    CHECK(signal(SIGUSR1, ring_in_handler) != SIG_ERR);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &one, NULL) == 0 && raise(SIGUSR1) == 0);
    CHECK(__sigpause(1 << (SIGSEGV - 1), 0) == -1 && errno == EINTR && rung);
}

/* Begun with SIGSEGV blocked by whoever executed us, and a thread made before the queue. */
static void inherited(void) {
    pthread_t thread;
    sem_t go;
    CHECK(sem_init(&go, 0, 0) == 0 && pthread_create(&thread, NULL, ring_in_thread, &go) == 0);
    open_queue(&queue);
    CHECK(sem_post(&go) == 0 && pthread_join(thread, NULL) == 0);
}

static void inherit(const char *program) {
    unsigned long mask = 1ul << (SIGSEGV - 1);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, sizeof mask) == 0);
    execl(program, program, "inherited", (char *)NULL);
}

/* No handler of anybody's for SIGSEGV, and requests served. */
static void polled(void) {
    struct sigaction action;
    open_queue(&queue);
    for (unsigned input = 2; input < 12; input++)
        use_queue(&queue, input);
    CHECK(mprotect(queue.registers, queue.registers_len, PROT_READ) == 0);
    CHECK(mprotect(queue.registers, queue.registers_len, PROT_READ | PROT_WRITE) == 0);
    use_queue(&queue, 12);
    CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    close_queue(&queue);
}

/* Offsets are bit patterns; anonymous memory has none. */
static void offsets(void) {
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, -4096) != MAP_FAILED);
    FAILS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1), EINVAL);
}

int main(int count, char **arguments) {
    struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"create", create},     {"stream", stream},           {"commands", commands},
        {"offsets", offsets},   {"polled", polled},    {"pausing", pausing},         {"writable_later", writable_later},
        {"inherited", inherited}, {"attribute_mask", attribute_mask},
    };
    CHECK(count == 2);
    if (strcmp(arguments[1], "inherit") == 0)
        inherit(arguments[0]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(arguments[1], cases[i].name) == 0) {
            cases[i].run();
            puts("done");
            return 0;
        }
    return 98;
}
