/* The nodes in /dev, and the calls that reach devices by number instead of by name. */
#include "queue.h"
#include <dirent.h>
#include <glob.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static int listed(DIR *stream, int *nulls) {
    int nodes = 0;
    *nulls = 0;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, "hisi_hpre-0") == 0 || strcmp(entry->d_name, "hisi_zip-1") == 0) {
            CHECK(entry->d_type == DT_CHR);
            nodes++;
        }
        *nulls += strcmp(entry->d_name, "null") == 0;
    }
    CHECK(errno == 0 && !readdir(stream));
    return nodes;
}

static int chosen(const struct dirent *entry) {
    return strncmp(entry->d_name, "hisi", 4) == 0 || strcmp(entry->d_name, "null") == 0;
}

static void lists(void) {
    int nulls, directory = open("/dev", O_RDONLY | O_DIRECTORY);
    DIR *stream = opendir("/dev"), *again = fdopendir(directory), *other = opendir("/proc/self");
    CHECK(stream && again && other);
    CHECK(listed(stream, &nulls) == 2 && nulls == 1);
    CHECK(listed(other, &nulls) == 0 && nulls == 0);
    CHECK(listed(again, &nulls) == 2 && nulls == 1);
    rewinddir(stream);
    long begin = telldir(stream);
    CHECK(listed(stream, &nulls) == 2 && nulls == 1);
    seekdir(stream, begin);
    CHECK(listed(stream, &nulls) == 2 && nulls == 1);
    CHECK(closedir(stream) == 0 && closedir(again) == 0 && closedir(other) == 0);
    for (int turn = 0; turn < 100; turn++) {
        stream = opendir("//dev/../dev/.");
        CHECK(stream && listed(stream, &nulls) == 2 && closedir(stream) == 0);
    }
    struct dirent **found;
    CHECK(scandir("/dev", &found, chosen, alphasort) == 3);
    CHECK(strcmp(found[0]->d_name, "hisi_hpre-0") == 0 && strcmp(found[2]->d_name, "null") == 0);
    for (int i = 0; i < 3; i++)
        free(found[i]);
    free(found);
    CHECK(scandir("/dev", &found, NULL, NULL) > 3);
    CHECK(chdir("/dev") == 0 && scandirat(AT_FDCWD, ".", &found, chosen, NULL) == 3);
    const char *patterns[] = {"/dev/his*", "/dev/*zip*", "/dev/n*ll"};
    for (int i = 0; i < 3; i++) {
        glob_t matches = {.gl_offs = 1};
        CHECK(glob(patterns[i], GLOB_DOOFFS, NULL, &matches) == 0 && matches.gl_pathc == (i == 0 ? 2 : 1));
        CHECK(glob("/dev/hisi_zip*", GLOB_APPEND | GLOB_DOOFFS, NULL, &matches) == 0);
        CHECK(strncmp(matches.gl_pathv[1], "/dev/", 5) == 0);
        CHECK(strcmp(matches.gl_pathv[matches.gl_pathc], "/dev/hisi_zip-1") == 0);
        globfree(&matches);
    }
    glob_t none = {0};
    CHECK(glob("/dev/hisi_sec*", 0, NULL, &none) == GLOB_NOMATCH);
}

static void is_node(mode_t mode, dev_t device) {
    CHECK(S_ISCHR(mode) && major(device) == 240 && minor(device) == 1);
}

static void statuses(void) {
    struct stat status;
    struct stat64 status64;
    struct statx more;
    int dev = open("/dev", O_RDONLY | O_DIRECTORY);
    CHECK(stat("/dev/hisi_zip-1", &status) == 0); is_node(status.st_mode, status.st_rdev);
    CHECK(lstat("/dev/hisi_zip-1", &status) == 0); is_node(status.st_mode, status.st_rdev);
    CHECK(fstatat(dev, "hisi_zip-1", &status, 0) == 0); is_node(status.st_mode, status.st_rdev);
    CHECK(stat64("/dev/hisi_zip-1", &status64) == 0); is_node(status64.st_mode, status64.st_rdev);
    CHECK(statx(dev, "hisi_zip-1", 0, STATX_BASIC_STATS, &more) == 0);
    is_node(more.stx_mode, makedev(more.stx_rdev_major, more.stx_rdev_minor));
    CHECK(stat("/dev/null", &status) == 0 && major(status.st_rdev) == 1);
    CHECK(stat("/sys/class/uacce/hisi_zip-1/api", &status) == 0 && S_ISREG(status.st_mode));
}

/* Everything a driver does, by number. */
static void numbers(void) {
    char text[32] = "";
    long api = syscall(SYS_openat, AT_FDCWD, "/sys/class/uacce/hisi_hpre-0/api", O_RDONLY | O_CLOEXEC, 0);
    CHECK(api >= 0 && syscall(SYS_read, api, text, sizeof text) > 0 && strncmp(text, "hisi_qm_v", 9) == 0);
    struct stat status;
    struct statx more;
    char link[256];
    CHECK(syscall(SYS_newfstatat, AT_FDCWD, NODE, &status, 0) == 0 && S_ISCHR(status.st_mode));
    CHECK(syscall(SYS_statx, AT_FDCWD, NODE, 0, STATX_BASIC_STATS, &more) == 0 && S_ISCHR(more.stx_mode));
    CHECK(syscall(SYS_faccessat, AT_FDCWD, NODE, F_OK) == 0);
    CHECK(syscall(SYS_readlinkat, AT_FDCWD, "/sys/class/uacce/hisi_hpre-0", link, sizeof link) > 0);
#ifdef SYS_open
    CHECK(syscall(SYS_access, NODE, F_OK) == 0 && syscall(SYS_stat, NODE, &status) == 0);
    CHECK(syscall(SYS_readlink, "/sys/class/uacce/hisi_hpre-0", link, sizeof link) > 0);
    CHECK(syscall(SYS_close, syscall(SYS_open, NODE, O_RDWR, 0)) == 0);
#endif
    FAILS(syscall(SYS_openat, AT_FDCWD, "/dev/hisi_zip-9", O_RDWR, 0), ENOENT);
    FAILS(syscall(SYS_close, -1), EBADF);
    CHECK(syscall(SYS_getpid) == getpid());
    struct queue queue = {.fd = (int)syscall(SYS_openat, AT_FDCWD, NODE, O_RDWR | O_CLOEXEC, 0)};
    CHECK(queue.fd >= 0);
    queue.rings_len = (size_t)attribute("region_dus_size"), queue.registers_len = (size_t)attribute("region_mmio_size");
    queue.rings = (void *)syscall(SYS_mmap, NULL, queue.rings_len, PROT_READ | PROT_WRITE, MAP_SHARED, queue.fd, (long)getpagesize());
    queue.registers = (void *)syscall(SYS_mmap, NULL, queue.registers_len, PROT_READ | PROT_WRITE, MAP_SHARED, queue.fd, 0L);
    CHECK(queue.rings != MAP_FAILED && queue.registers != MAP_FAILED);
    queue.doorbell = (volatile uint64_t *)(queue.registers + 0x1000);
    uint16_t context[2] = {0, 0};
    CHECK(syscall(SYS_ioctl, queue.fd, SET_CONTEXT, context) == 0 && syscall(SYS_ioctl, queue.fd, START) == 0);
    queue.number = context[0], queue.phase = 1;
    for (unsigned i = 2; i < 12; i++)
        use_queue(&queue, i);
    FAILS(syscall(SYS_ioctl, queue.fd, START), EINVAL);
    FAILS(syscall(SYS_mremap, queue.registers, 4096, 8192, MREMAP_MAYMOVE), EPERM);
    CHECK(syscall(SYS_mprotect, queue.registers, queue.registers_len, PROT_READ | PROT_WRITE) == 0);
    use_queue(&queue, 13);
    CHECK(syscall(SYS_munmap, queue.registers, queue.registers_len) == 0);
    CHECK(syscall(SYS_munmap, queue.rings, queue.rings_len) == 0 && close(queue.fd) == 0);
}

/* Descriptors closed in ranges: the queue goes with them, and what was not in the range stays. */
static void ranges(void) {
    struct queue queue;
    open_queue(&queue);
    int copy = fcntl(queue.fd, F_DUPFD_CLOEXEC, 200);
    CHECK(copy >= 200 && close_range(3, 199, 0) == 0);
    FAILS(ioctl(queue.fd, START), EBADF);
    queue.fd = copy;
    use_queue(&queue, 7);
    int third = dup3(copy, 300, O_CLOEXEC);
    CHECK(third == 300 && dup2(copy, 301) == 301 && close(copy) == 0);
    queue.fd = third;
    use_queue(&queue, 8);
    close_queue(&queue);
    closefrom(3);
    FAILS(fcntl(301, F_GETFD), EBADF);
}

/* Page sizes of another machine: what the program is told, and where its regions lie. */
static void pages(void) {
    struct queue queue;
    CHECK(getpagesize() == 65536 && sysconf(_SC_PAGESIZE) == 65536 && sysconf(_SC_PAGE_SIZE) == 65536);
    CHECK(attribute("region_dus_size") == 196608 && attribute("region_mmio_size") == 65536);
    open_queue(&queue);
    for (unsigned i = 2; i < 12; i++)
        use_queue(&queue, i);
    CHECK(*(volatile uint32_t *)(queue.rings + 196608 - 4) == 0);
    close_queue(&queue);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    const char *names[] = {"lists", "statuses", "numbers", "ranges", "pages"};
    void (*cases[])(void) = {lists, statuses, numbers, ranges, pages};
    for (int i = 0; i < 5; i++)
        if (strcmp(arguments[1], names[i]) == 0) {
            cases[i]();
            puts("done");
            return 0;
        }
    return 98;
}
