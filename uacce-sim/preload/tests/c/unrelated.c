/* Calls that have nothing to do with devices, between two marks: what does each cost? */
#include "check.h"
#include <dirent.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void handler(int signal) { (void)signal; }

static void opens(void) { close(open("/etc/passwd", O_RDONLY | O_CLOEXEC)); }
static void statuses(void) {
    struct stat status;
    CHECK(stat("/etc/passwd", &status) == 0);
}
static void maps(void) { munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096); }
static void actions(void) {
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}
static void signal_masks(void) {
    sigset_t all;
    sigfillset(&all);
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
}
static void controls(void) {
    int size;
    ioctl(0, FIONREAD, &size);
}

static const struct {
    const char *name;
    void (*run)(void);
} calls[] = {{"open", opens}, {"stat", statuses}, {"mmap+munmap", maps}, {"sigaction", actions},
             {"sigprocmask", signal_masks}, {"ioctl", controls}};

/* Not interposed anywhere, so visible as it is. */
static void mark(void) { CHECK(write(-1, "mark", 4) == -1); }

int main(int count, char **arguments) {
    if (count == 3) {
        /* One call, many times. */
        for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
            if (strcmp(calls[i].name, arguments[1]) == 0)
                for (int n = atoi(arguments[2]); n > 0; n--)
                    calls[i].run();
        return 0;
    }
    mark();
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        calls[i].run();
    char where[4096], *real = realpath("/usr/bin/../bin/env", where);
    CHECK(real && getcwd(where, sizeof where));
    DIR *list = opendir("/etc");
    CHECK(list && readdir(list) && closedir(list) == 0);
    glob_t found;
    CHECK(glob("/etc/pass*", 0, NULL, &found) == 0);
    globfree(&found);
    FILE *file = fopen("/etc/passwd", "r");
    CHECK(file && fclose(file) == 0);
    CHECK(access("/sys/class/uacce-none", F_OK) == -1 && open("/dev/hisi_none-0", O_RDWR) == -1);
    CHECK(mprotect((void *)((unsigned long)where & ~4095ul), 4096, PROT_READ | PROT_WRITE) == 0);
    CHECK(ppoll(NULL, 0, &(struct timespec){0, 1}, NULL) == 0);
    mark();
    return 0;
}
