/* Queues beside other processes: one case per run, named by the argument. */
#include "queue.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static struct queue queue;
static char *self;

static void ended_well(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forked(void) {
    open_queue(&queue);
    use_queue(&queue, 2);
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            struct queue own;
            /* The inherited descriptor is the parent's queue, started already; the mappings did not come along. */
            FAILS(ioctl(queue.fd, START), EINVAL);
            FAILS(mmap(NULL, queue.registers_len, PROT_READ, MAP_SHARED, queue.fd, 0), EEXIST);
            open_queue(&own);
            for (unsigned n = 2; n < 100; n++)
                use_queue(&own, n);
            pid_t grandchild = fork();
            CHECK(grandchild >= 0);
            if (grandchild == 0) {
                struct queue third;
                open_queue(&third);
                use_queue(&third, 9);
                close_queue(&third);
                _exit(0);
            }
            ended_well(grandchild);
            use_queue(&own, 8);
            close_queue(&own);
            _exit(0);
        }
        for (unsigned n = 2; n < 100; n++)
            use_queue(&queue, n);
        ended_well(child);
    }
    close_queue(&queue);
}

static void double_forked(void) {
    /* The first process ends at once; what it left goes on. */
    if (fork() > 0)
        return;
    usleep(50000);
    open_queue(&queue);
    use_queue(&queue, 7);
    close_queue(&queue);
    FILE *answer = fopen(getenv("ANSWER"), "w");
    CHECK(answer && fputs("served", answer) >= 0 && fclose(answer) == 0);
    _exit(0);
}

static void on_fault(int signal) { _exit(signal + 100); }

static void spawned(void) {
    char *arguments[] = {"sh", "-c", "test $(cat /sys/class/uacce/hisi_hpre-0/available_instances) -lt 64 && "
                                     "test -z \"$(find /proc/self/fd -lname 'socket:*')\"", NULL};
    open_queue(&queue);
    signal(SIGSEGV, on_fault);
    for (int i = 0; i < 3; i++) {
        pid_t child = vfork();
        CHECK(child >= 0);
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);
            execv("/bin/sh", arguments);
            _exit(97);
        }
        ended_well(child);
        use_queue(&queue, 3);
        CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
        ended_well(child);
        use_queue(&queue, 4);
        CHECK(system("test -e /dev/hisi_hpre-0") == 0);
        char answer[32] = "";
        FILE *pipe = popen("cat /sys/class/uacce/hisi_hpre-0/algorithms", "r");
        CHECK(pipe && fgets(answer, sizeof answer, pipe) && strncmp(answer, "rsa", 3) == 0 && pclose(pipe) == 0);
        use_queue(&queue, 5);
    }
    /* What the vfork child said of SIGSEGV was said for itself. */
    CHECK(signal(SIGSEGV, SIG_DFL) == on_fault);
    close_queue(&queue);
}

static void handed_over(void) {
    char number[16];
    int fd = open(NODE, O_RDWR);
    CHECK(fd >= 0);
    snprintf(number, sizeof number, "%d", dup(fd));
    close(fd);
    execl(self, self, "inherited", number, NULL);
    CHECK(!"exec failed");
}

static void inherited(int fd) {
    struct request request;
    queue.fd = fd;
    map_queue(&queue);
    start_queue(&queue);
    /* The queue translates for the image that opened it, which is gone: the request ends, but not with a result. */
    *queue.doorbell = write_request(&queue, &request, 7);
    wait_completion(&queue);
    *queue.doorbell = completion_word(&queue, 0);
    CHECK(request.output[127] == 0xAA);
    close_queue(&queue);
}

static void *outlives(void *argument) {
    pthread_join(*(pthread_t *)argument, NULL);
    use_queue(&queue, 5);
    struct queue own;
    open_queue(&own);
    for (unsigned i = 2; i < 100; i++)
        use_queue(&own, i), use_queue(&queue, i);
    close_queue(&own);
    close_queue(&queue);
    puts("done");
    exit(0);
}

static void main_thread_ends(void) {
    static pthread_t leader, thread;
    leader = pthread_self();
    open_queue(&queue);
    CHECK(pthread_create(&thread, NULL, outlives, &leader) == 0);
    pthread_exit(NULL);
}

static void killed(void) {
    static struct request requests[1000];
    open_queue(&queue);
    uint64_t word = 0;
    for (unsigned i = 0; i < 1000; i++)
        word = write_request(&queue, &requests[i], i + 2);
    *queue.doorbell = word;
    kill(getpid(), SIGKILL);
}

static void *ask(void *argument) {
    unsigned char info[16];
    (void)argument;
    while (ioctl(queue.fd, SHOW_INFO, info) == 0)
        continue;
    CHECK(errno == ENODEV);
    return NULL;
}

static void *wait_ready(void *argument) {
    struct pollfd poll_fd = {.fd = queue.fd, .events = POLLIN};
    (void)argument;
    CHECK(poll(&poll_fd, 1, 60000) == 1);
    return NULL;
}

static void daemon_ends(void) {
    char path[256];
    int daemon;
    pthread_t threads[4];
    snprintf(path, sizeof path, "%s/pid", getenv("UACCE_SIM_ROOT"));
    FILE *file = fopen(path, "r");
    CHECK(file && fscanf(file, "%d", &daemon) == 1 && fclose(file) == 0);
    open_queue(&queue);
    struct queue unmapped = {.fd = open(NODE, O_RDWR)};
    use_queue(&queue, 2);
    *queue.doorbell = completion_word(&queue, 1);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, i < 2 ? ask : wait_ready, NULL) == 0);
    usleep(20000);
    CHECK(kill(daemon, SIGKILL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    FAILS(ioctl(queue.fd, START), ENODEV);
    FAILS(ioctl(queue.fd, PUT_QUEUE), ENODEV);
    FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, unmapped.fd, 0), ENODEV);
    FAILS(open(NODE, O_RDWR), ENXIO);
    CHECK(open("/dev/hisi_hpre-9", O_RDWR) == -1 && errno == ENOENT);
    struct request request;
    for (unsigned i = 0; i < 100; i++) {
        *queue.doorbell = write_request(&queue, &request, 2);
        *queue.doorbell = completion_word(&queue, 1);
    }
    CHECK(munmap(queue.registers, queue.registers_len) == 0 && munmap(queue.rings, queue.rings_len) == 0);
    CHECK(close(queue.fd) == 0 && close(unmapped.fd) == 0);
}

static void no_daemon(void) {
    CHECK(open(NODE, O_RDWR) == -1 && (errno == ENXIO || errno == ENOENT));
    CHECK(open("/sys/class/uacce/hisi_hpre-0/api", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(access("/etc/passwd", R_OK) == 0 && chdir("/sys/class") == 0);
}

static void exhausted(void) {
    struct queue queues[64];
    for (int i = 0; i < 64; i++)
        open_queue(&queues[i]);
    FAILS(open(NODE, O_RDWR), EBUSY);
    CHECK(attribute("available_instances") == 0);
    for (int i = 0; i < 64; i++)
        use_queue(&queues[i], 5);
    close_queue(&queues[0]);
    open_queue(&queues[0]);
    for (int i = 0; i < 64; i++)
        close_queue(&queues[i]);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"forked", forked}, {"double_forked", double_forked}, {"spawned", spawned}, {"handed_over", handed_over},
    {"main_thread_ends", main_thread_ends}, {"killed", killed}, {"daemon_ends", daemon_ends},
    {"no_daemon", no_daemon}, {"exhausted", exhausted},
};

int main(int count, char **arguments) {
    self = arguments[0];
    if (count == 3) {
        inherited(atoi(arguments[2]));
        puts("done");
        return 0;
    }
    for (unsigned i = 0; count == 2 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(arguments[1], cases[i].name) == 0) {
            cases[i].run();
            puts("done");
            return 0;
        }
    return 98;
}
