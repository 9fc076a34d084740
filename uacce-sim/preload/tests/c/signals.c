/* The program's own dealings with signals beside doorbells: one case per run, named by the argument. */
#include "queue.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

static struct queue queue;
static sigjmp_buf back;
/* What libc admits. */
#if defined __aarch64__
#define SMALLEST_STACK 131072
#else
#define SMALLEST_STACK 16384
#endif

static volatile sig_atomic_t caught, on_alternate_stack;
static void *volatile seen_address;
static char *volatile nowhere = (char *)0x1230;
static unsigned char alternate[65536];

static void crash(void) { *nowhere = 1; }

static void on_fault(int signal, siginfo_t *info, void *context) {
    char here;
    CHECK(signal == SIGSEGV && context);
    caught++;
    seen_address = info->si_addr;
    on_alternate_stack = &here >= (char *)alternate && &here < (char *)alternate + sizeof alternate;
    siglongjmp(back, 1);
}

static void on_simple(int signal) {
    CHECK(signal == SIGSEGV);
    caught++;
    siglongjmp(back, 1);
}

static void set_action(void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
}

/* A real crash reaches the program's handler, doorbells before and after it are served. */
static void crash_and_go_on(void) {
    int before = caught;
    use_queue(&queue, 10);
    if (sigsetjmp(back, 1) == 0) {
        crash();
        CHECK(!"the crash came back");
    }
    CHECK(caught == before + 1);
    use_queue(&queue, 11);
}

static void shows(void *handler) {
    struct sigaction action;
    CHECK(sigaction(SIGSEGV, NULL, &action) == 0);
    CHECK((void *)action.sa_sigaction == handler);
}

static void before(void) {
    set_action(on_fault, 0);
    open_queue(&queue);
    crash_and_go_on();
    crash_and_go_on();
    CHECK(seen_address == (void *)nowhere);
    shows((void *)on_fault);
}

static void after(void) {
    open_queue(&queue);
    shows((void *)SIG_DFL);
    set_action(on_fault, SA_NODEFER);
    crash_and_go_on();
    crash_and_go_on();
    CHECK(seen_address == (void *)nowhere);
    shows((void *)on_fault);
}

static void by_signal(void) {
    CHECK(signal(SIGSEGV, on_simple) == SIG_DFL);
    open_queue(&queue);
    crash_and_go_on();
    CHECK(signal(SIGSEGV, SIG_DFL) == on_simple);
    use_queue(&queue, 3);
    CHECK(signal(SIGSEGV, on_simple) == SIG_DFL);
    crash_and_go_on();
    CHECK(sigset(SIGSEGV, on_simple) == on_simple);
    crash_and_go_on();
    CHECK(sigset(SIGSEGV, SIG_HOLD) == on_simple);
    use_queue(&queue, 4);
    CHECK(siginterrupt(SIGSEGV, 1) == 0);
    CHECK(sigignore(SIGSEGV) == 0);
    shows((void *)SIG_IGN);
    CHECK(raise(SIGSEGV) == 0);
    use_queue(&queue, 5);
    CHECK(sysv_signal(SIGSEGV, on_simple) == SIG_IGN);
    crash_and_go_on();
    shows((void *)SIG_DFL);
}

static volatile sig_atomic_t rung;

/* A doorbell inside another signal's handler. */
static void rings(int signal) {
    (void)signal;
    use_queue(&queue, 20);
    rung++;
}

static void block_all(int signal) {
    struct sigaction action = {.sa_handler = rings};
    sigfillset(&action.sa_mask);
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void masks(void) {
    sigset_t all, none, was;
    sigfillset(&all);
    sigemptyset(&none);
    block_all(SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    open_queue(&queue);
    use_queue(&queue, 2);
    CHECK(sigprocmask(SIG_SETMASK, &all, &was) == 0 && sigismember(&was, SIGUSR1) && !sigismember(&was, SIGSEGV));
    use_queue(&queue, 3);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
    use_queue(&queue, 4);
    sigblock(~0), use_queue(&queue, 5), sigsetmask(~0), use_queue(&queue, 6), sighold(SIGSEGV);
    use_queue(&queue, 7);
    CHECK(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
    block_all(SIGUSR2);
    raise(SIGUSR1), raise(SIGUSR2);
    CHECK(rung == 2);
    /* Calls that wait with a mask of their own let the signal through; its handler rings. */
    CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
    sigdelset(&all, SIGUSR1);
    struct timespec long_time = {60, 0};
    struct epoll_event event;
    int poller = epoll_create1(EPOLL_CLOEXEC);
    raise(SIGUSR1);
    FAILS(ppoll(NULL, 0, &long_time, &all), EINTR);
    raise(SIGUSR1);
    FAILS(pselect(0, NULL, NULL, NULL, &long_time, &all), EINTR);
    raise(SIGUSR1);
    FAILS(epoll_pwait(poller, &event, 1, 60000, &all), EINTR);
    raise(SIGUSR1);
    FAILS(epoll_pwait2(poller, &event, 1, &long_time, &all), EINTR);
    raise(SIGUSR1);
    FAILS(sigsuspend(&all), EINTR);
    CHECK(rung == 7);
}

static void *on_thread(void *argument) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    if (argument)
        CHECK(sigaltstack(&stack, NULL) == 0);
    for (unsigned i = 2; i < 200; i++)
        use_queue(&queue, i);
    return NULL;
}

static void threads(void) {
    pthread_t thread;
    pthread_attr_t small;
    sigset_t all;
    sigfillset(&all);
    open_queue(&queue);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
    CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, SMALLEST_STACK) == 0);
    for (int with_stack = 0; with_stack < 2; with_stack++) {
        CHECK(pthread_create(&thread, &small, on_thread, with_stack ? alternate : NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static int overflow(volatile char *above) {
    volatile char frame[4096];
    frame[0] = above ? above[0] : 1;
    return overflow(frame) + frame[1];
}

static void alternate_stack(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    CHECK(sigaltstack(&stack, NULL) == 0);
    set_action(on_fault, SA_ONSTACK);
    open_queue(&queue);
    crash_and_go_on();
    CHECK(on_alternate_stack);
    if (sigsetjmp(back, 1) == 0)
        overflow(NULL);
    CHECK(caught == 2 && on_alternate_stack);
    use_queue(&queue, 12);
}

static char *volatile page;

static void repair(int signal, siginfo_t *info, void *context) {
    sigset_t now;
    (void)signal, (void)context;
    CHECK(info->si_addr == page && mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    caught++;
}

static void repaired(void) {
    sigset_t now;
    struct sigaction action = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGUSR2);
    open_queue(&queue);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 7;
    CHECK(caught == 1 && *page == 7);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR2) && !sigismember(&now, SIGSEGV));
    use_queue(&queue, 13);
}

static void once(void) {
    open_queue(&queue);
    set_action(on_fault, SA_RESETHAND);
    crash_and_go_on();
    shows((void *)SIG_DFL);
    fputs("once\n", stderr);
    crash();
}

static void fatal(void) {
    open_queue(&queue);
    use_queue(&queue, 2);
    crash();
}

static void fatal_ignored(void) {
    open_queue(&queue);
    signal(SIGSEGV, SIG_IGN);
    use_queue(&queue, 2);
    crash();
}

static void fatal_sent(void) {
    open_queue(&queue);
    use_queue(&queue, 2);
    raise(SIGSEGV);
}

static void fatal_in_handler(void) {
    /* The second fault finds the signal blocked, as without a simulator: no endless loop. */
    open_queue(&queue);
    set_action((void (*)(int, siginfo_t *, void *))(void *)crash, 0);
    crash();
}

static void sent(void) {
    open_queue(&queue);
    set_action(on_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        raise(SIGSEGV);
    CHECK(caught == 1);
    use_queue(&queue, 2);
}

/* The kernel's own call, as a runtime without libc makes it. */
static void raw_action(void (*handler)(int, siginfo_t *, void *)) {
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        unsigned long mask;
    } action = {(void *)handler, SA_SIGINFO, NULL, 0};
    struct sigaction model = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    (void)model;
    CHECK(syscall(SYS_rt_sigaction, SIGSEGV, &action, NULL, 8) == 0);
}

static void raw_before(void) {
    raw_action(on_fault);
    open_queue(&queue);
    crash_and_go_on();
}

static void raw_after(void) {
    queue.fd = open(NODE, O_RDWR | O_CLOEXEC);
    map_queue(&queue);
    raw_action(on_fault);
    /* START sees it and says so once. */
    start_queue(&queue);
    crash_and_go_on();
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"before", before}, {"after", after}, {"by_signal", by_signal}, {"masks", masks}, {"threads", threads},
    {"alternate_stack", alternate_stack}, {"repaired", repaired}, {"once", once}, {"fatal", fatal},
    {"fatal_ignored", fatal_ignored}, {"fatal_sent", fatal_sent}, {"fatal_in_handler", fatal_in_handler},
    {"sent", sent}, {"raw_before", raw_before}, {"raw_after", raw_after},
};

int main(int count, char **arguments) {
    for (unsigned i = 0; count == 2 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(arguments[1], cases[i].name) == 0) {
            cases[i].run();
            puts("done");
            return 0;
        }
    return 98;
}
