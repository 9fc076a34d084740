/* Every libc call that takes or gives a path, on simulated names. Prints what it was given; exact where it matters. */
#include "check.h"
#include <dirent.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define CLASS "/sys/class/uacce"
#define DEVICE CLASS "/hisi_zip-1"
#define API DEVICE "/api"
#define NODE "/dev/hisi_zip-1"

/* As a variable, so that fortified callers cannot know the flags. */
static volatile int read_only = O_RDONLY;

static void reads_api(int fd) {
    char text[64] = "";
    CHECK(fd >= 0);
    CHECK(read(fd, text, sizeof text - 1) > 0);
    CHECK(strncmp(text, "hisi_qm_v", 9) == 0);
    CHECK(close(fd) == 0);
}

static void opens(void) {
    int root = open("/", O_RDONLY | O_DIRECTORY), class = open(CLASS, O_RDONLY | O_DIRECTORY);
    int device = open(DEVICE, O_PATH), dev = open("/dev", O_RDONLY | O_DIRECTORY);
    reads_api(open(API, O_RDONLY));
    reads_api(open64(API, O_RDONLY));
    reads_api(open(API, read_only));
    reads_api(openat(AT_FDCWD, API, read_only));
    reads_api(openat(root, "sys/class/uacce/hisi_zip-1/api", O_RDONLY));
    reads_api(openat64(class, "hisi_zip-1/api", O_RDONLY));
    reads_api(openat(device, "api", O_RDONLY));
    reads_api(openat(device, "../hisi_zip-1/api", O_RDONLY));
    reads_api(open("//sys//class/../class/uacce/./hisi_zip-1//api", O_RDONLY));
    reads_api(open("/proc/self/../../sys/class/uacce/hisi_zip-1/api", O_RDONLY));
    int node = openat(dev, "hisi_zip-1", O_RDWR | O_CLOEXEC);
    CHECK(node >= 0 && fcntl(node, F_GETFD) == FD_CLOEXEC);
    close(node);
    node = open("/dev/../dev/hisi_zip-1", O_RDWR);
    CHECK(node >= 0 && fcntl(node, F_GETFD) == 0);
    close(node);
    FAILS(open(CLASS "/hisi_zip-9/api", O_RDONLY), ENOENT);
    FAILS(open("/dev/hisi_zip-9", O_RDWR), ENOENT);
    FAILS(open(NODE, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open(NODE, O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open(API, O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open(NODE "/x", O_RDONLY), ENOTDIR);
    node = open(NODE, O_PATH);
    CHECK(node >= 0);
    close(node);
    node = creat(NODE, 0600);
    CHECK(node >= 0);
    close(node);
    close(root), close(class), close(device), close(dev);
}

static void streams(void) {
    char line[64];
    for (int wide = 0; wide < 2; wide++) {
        FILE *file = wide ? fopen64(API, "re") : fopen(API, "r");
        CHECK(file && fgets(line, sizeof line, file) && strncmp(line, "hisi_qm_v", 9) == 0);
        file = wide ? freopen64(DEVICE "/flags", "r", file) : freopen(DEVICE "/flags", "r", file);
        CHECK(file && fgets(line, sizeof line, file) && atoi(line) > 0);
        fclose(file);
    }
    FILE *file = fopen(NODE, "r+");
    CHECK(file);
    fclose(file);
    CHECK(!fopen("/dev/hisi_zip-9", "r+") && errno == ENOENT);
}

static void statuses(void) {
    struct stat a, b;
    struct stat64 c;
    struct statx x;
    struct statfs fs;
    struct statvfs vfs;
    int class = open(CLASS, O_RDONLY | O_DIRECTORY);
    CHECK(stat(DEVICE, &a) == 0 && S_ISDIR(a.st_mode));
    CHECK(lstat(DEVICE, &b) == 0 && S_ISLNK(b.st_mode));
    CHECK(stat64(DEVICE, &c) == 0 && c.st_ino == a.st_ino && lstat64(DEVICE, &c) == 0 && S_ISLNK(c.st_mode));
    CHECK(fstatat(class, "hisi_zip-1", &b, 0) == 0 && b.st_ino == a.st_ino);
    CHECK(fstatat64(AT_FDCWD, DEVICE, &c, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(c.st_mode));
    CHECK(fstatat(class, "", &b, AT_EMPTY_PATH) == 0 && S_ISDIR(b.st_mode));
    CHECK(statx(AT_FDCWD, API, 0, STATX_BASIC_STATS, &x) == 0 && S_ISREG(x.stx_mode));
    CHECK(statx(class, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) == 0 && S_ISDIR(x.stx_mode));
    CHECK(stat(NODE, &a) == 0 && statfs(CLASS, &fs) == 0 && statvfs(CLASS, &vfs) == 0);
    CHECK(access(API, R_OK) == 0 && euidaccess(API, R_OK) == 0 && eaccess(API, R_OK) == 0);
    CHECK(faccessat(class, "hisi_zip-1/api", R_OK, 0) == 0 && faccessat(AT_FDCWD, API, R_OK, AT_EACCESS) == 0);
    FAILS(stat(CLASS "/nothing", &a), ENOENT);
    FAILS(access(CLASS "/nothing", F_OK), ENOENT);
    const char *volatile nowhere = NULL;
    FAILS(stat(nowhere, &a), EFAULT);
    char value[64];
    CHECK(getxattr(API, "user.none", value, sizeof value) == -1 && errno != ENOENT);
    CHECK(lgetxattr(API, "user.none", value, sizeof value) == -1 && errno != ENOENT);
    CHECK(listxattr(API, value, sizeof value) >= 0 && llistxattr(DEVICE, value, sizeof value) >= 0);
    int watch = inotify_init1(IN_CLOEXEC);
    CHECK(inotify_add_watch(watch, DEVICE "/available_instances", IN_MODIFY) > 0);
    close(watch), close(class);
}

static char resolved[PATH_MAX];

static void links(void) {
    char link[PATH_MAX], *made;
    int class = open(CLASS, O_RDONLY | O_DIRECTORY);
    CHECK(realpath(DEVICE, resolved) == resolved);
    printf("realpath %s\n", resolved);
    CHECK(strncmp(resolved, "/sys/devices/", 13) == 0);
    made = realpath(DEVICE "/device", NULL);
    CHECK(made && strncmp(made, "/sys/devices/", 13) == 0);
    printf("realpath %s\n", made);
    free(made);
    made = canonicalize_file_name(API);
    CHECK(made && strncmp(made, resolved, strlen(resolved)) == 0);
    printf("canonical %s\n", made);
    reads_api(open(made, O_RDONLY));
    free(made);
    CHECK(realpath(NODE, link) && strcmp(link, NODE) == 0);
    CHECK(!realpath(CLASS "/nothing", link) && errno == ENOENT);
    ssize_t len = readlink(DEVICE, link, sizeof link - 1);
    CHECK(len > 0);
    printf("link %.*s\n", (int)len, link);
    CHECK(readlinkat(class, "hisi_zip-1", link, read_only + sizeof link) == len);
    CHECK(readlinkat(AT_FDCWD, DEVICE, link, sizeof link) == len);
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", class);
    CHECK((len = readlink(self, link, sizeof link)) > 0);
    CHECK((size_t)len == strlen(CLASS) && memcmp(link, CLASS, (size_t)len) == 0);
    /* The name that came out is a name that goes in, piece by piece. */
    struct stat status;
    for (char *slash = resolved + strlen("/sys/devices/"); slash; slash = strchr(slash + 1, '/')) {
        char part[PATH_MAX];
        snprintf(part, sizeof part, "%.*s", (int)(slash - resolved), resolved);
        CHECK(stat(part, &status) == 0);
    }
    close(class);
}

static int names(const struct dirent *entry) { return entry->d_name[0] != '.'; }
static int names64(const struct dirent64 *entry) { return entry->d_name[0] != '.'; }

static void lists(void) {
    struct dirent **list;
    struct dirent64 **list64;
    int sys = open("/sys", O_RDONLY | O_DIRECTORY);
    DIR *open_list = opendir(CLASS);
    CHECK(open_list);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(open_list));)
        count += strncmp(entry->d_name, "hisi_", 5) == 0;
    CHECK(count == 2);
    closedir(open_list);
    CHECK(scandir(CLASS, &list, names, alphasort) == 2);
    CHECK(strcmp(list[0]->d_name, "hisi_hpre-0") == 0 && strcmp(list[1]->d_name, "hisi_zip-1") == 0);
    CHECK(scandir64(CLASS, &list64, names64, alphasort64) == 2);
    CHECK(scandirat(sys, "class/uacce", &list, names, alphasort) == 2);
    CHECK(scandirat64(AT_FDCWD, CLASS, &list64, names64, alphasort64) == 2);
    const char *patterns[] = {CLASS "/*", CLASS "/hisi_*/api", "/dev/hisi_*", CLASS "/hisi_zip-1/device/numa_node"};
    for (int i = 0; i < 4; i++) {
        glob_t found = {.gl_offs = 2};
        glob64_t found64 = {0};
        CHECK(glob(patterns[i], GLOB_DOOFFS, NULL, &found) == 0 && found.gl_pathc == (i == 3 ? 1 : 2));
        CHECK(glob(CLASS "/none*", GLOB_APPEND | GLOB_DOOFFS | GLOB_NOCHECK, NULL, &found) == 0);
        for (size_t n = 0; n < found.gl_pathc; n++)
            printf("glob %s\n", found.gl_pathv[n + 2]);
        CHECK(strncmp(found.gl_pathv[2], patterns[i], 5) == 0);
        CHECK(glob64(patterns[i], 0, NULL, &found64) == 0 && strncmp(found64.gl_pathv[0], patterns[i], 5) == 0);
        globfree(&found), globfree64(&found64);
    }
    close(sys);
}

static int visited, inner;

static int seen(const char *path, const struct stat *status, int flag) {
    CHECK(strncmp(path, CLASS, strlen(CLASS)) == 0 && status && flag != FTW_NS);
    visited++;
    return 0;
}

static int seen64(const char *path, const struct stat64 *status, int flag) {
    (void)status;
    return seen(path, (const struct stat *)1, flag);
}

static int inside(const char *path, const struct stat *status, int flag, struct FTW *at) {
    CHECK(strncmp(path, "/sys/class/uacce/", 17) == 0 && status && flag >= 0);
    CHECK(path[at->base - 1] == '/' && strchr(path + at->base, '/') == NULL);
    inner++;
    return 0;
}

static int seen_deep(const char *path, const struct stat *status, int flag, struct FTW *at) {
    struct stat again;
    printf("nftw %d %s\n", at->level, path);
    CHECK(strncmp(path, CLASS, strlen(CLASS)) == 0 && strcmp(path + at->base, strrchr(path, '/') + 1) == 0);
    CHECK(flag >= 0 && lstat(path, &again) == 0 && again.st_ino == status->st_ino);
    /* A walk inside a walk. */
    if (at->level == 1)
        CHECK(nftw(API, inside, 4, FTW_PHYS) == 0);
    visited++;
    return at->level == 1 && strstr(path, "zip") ? 42 : 0;
}

static int seen_deep64(const char *path, const struct stat64 *status, int flag, struct FTW *at) {
    (void)status, (void)flag;
    CHECK(strncmp(path, CLASS, strlen(CLASS)) == 0 && strcmp(path + at->base, strrchr(path, '/') + 1) == 0);
    visited++;
    return 0;
}

static void walks(void) {
    CHECK(ftw(CLASS, seen, 8) == 0 && visited > 10);
    visited = 0;
    CHECK(ftw64(CLASS, seen64, 8) == 0 && visited > 10);
    visited = 0;
    CHECK(nftw(CLASS, seen_deep, 8, FTW_PHYS) == 42 && visited >= 2 && inner >= 1);
    visited = 0;
    CHECK(nftw64(CLASS, seen_deep64, 8, FTW_PHYS | FTW_DEPTH) == 0 && visited == 3);
    /* Other trees are as they are. */
    visited = 0;
    char *both[] = {CLASS, DEVICE "/", NULL}, *one[] = {CLASS, NULL};
    char *other[] = {"/proc/self/task", NULL};
    FTS *elsewhere = fts_open(other, FTS_PHYSICAL, NULL);
    CHECK(elsewhere && fts_read(elsewhere) && strcmp(elsewhere->fts_cur->fts_path, other[0]) == 0);
    CHECK(fts_children(elsewhere, 0) && fts_close(elsewhere) == 0);
    for (int logical = 0; logical < 3; logical++)
        for (int many = 0; many < 2; many++) {
            int options = logical == 2 ? FTS_PHYSICAL : (logical ? FTS_LOGICAL : FTS_PHYSICAL) | FTS_NOCHDIR, files = 0, tops = 0;
            FTS *walk = fts_open(many ? both : one, options, NULL);
            CHECK(walk);
            for (FTSENT *at; (at = fts_read(walk));) {
                CHECK(at->fts_info != FTS_ERR && at->fts_info != FTS_NS && at->fts_info != FTS_DNR);
                CHECK(strncmp(at->fts_path, CLASS, strlen(CLASS)) == 0 && strlen(at->fts_path) == at->fts_pathlen);
                if (at->fts_level == 0 && at->fts_info != FTS_DP)
                    tops++;
                files += at->fts_info == FTS_F;
                if (at->fts_level == 0 && at->fts_info == FTS_D) {
                    FTSENT *child = fts_children(walk, 0);
                    CHECK(child && (strcmp(at->fts_path, CLASS) || strncmp(child->fts_name, "hisi_", 5) == 0));
                }
                if (many)
                    continue;
                printf("fts %d %s %s\n", at->fts_level, at->fts_path, at->fts_accpath);
                if (at->fts_info == FTS_D && strstr(at->fts_path, "device"))
                    CHECK(fts_set(walk, at, FTS_SKIP) == 0);
            }
            CHECK(fts_close(walk) == 0);
            CHECK(tops == (many ? 2 : 1) && (logical != 1 || files > 10));
        }
}

static void directories(void) {
    char where[PATH_MAX], *made;
    CHECK(chdir(CLASS) == 0);
    CHECK(getcwd(where, (size_t)read_only + sizeof where) && strcmp(where, CLASS) == 0);
    made = getcwd(NULL, 0);
    CHECK(made && strcmp(made, CLASS) == 0);
    free(made);
    unsetenv("PWD");
    made = get_current_dir_name();
    CHECK(made && strcmp(made, CLASS) == 0);
    free(made);
    CHECK(getwd(where) && strcmp(where, CLASS) == 0);
    reads_api(open("hisi_zip-1/api", O_RDONLY));
    reads_api(open("./hisi_zip-1/api", O_RDONLY));
    reads_api(open("../uacce/hisi_zip-1/api", O_RDONLY));
    reads_api(open("../../class/uacce/hisi_zip-1/api", O_RDONLY));
    CHECK(realpath(".", where) && strcmp(where, CLASS) == 0);
    CHECK(realpath("hisi_zip-1", where) && strcmp(where, resolved) == 0);
    CHECK(chdir("/") == 0);
    reads_api(open("sys/class/uacce/hisi_zip-1/api", O_RDONLY));
    CHECK(chdir("/sys") == 0 && realpath("class/uacce", where) && strcmp(where, CLASS) == 0);
    CHECK(chdir("/dev") == 0);
    int node = open("hisi_zip-1", O_RDWR);
    CHECK(node >= 0);
    close(node);
    CHECK(chdir("/tmp") == 0);
    reads_api(open("../sys/class/uacce/hisi_zip-1/api", O_RDONLY));
}

int main(void) {
    opens();
    streams();
    statuses();
    links();
    lists();
    walks();
    directories();
    puts("done");
    return 0;
}
