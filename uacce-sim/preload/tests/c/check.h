/* Checks that say what was wrong, where, and end the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: %s (errno %d, %s)\n", __FILE__, __LINE__, #condition, errno, \
                    strerror(errno));                                                        \
            _exit(99);                                                                       \
        }                                                                                    \
    } while (0)

/* The call fails with this errno. */
#define FAILS(call, number) \
    do {                    \
        errno = 0;          \
        CHECK((long)(call) == -1L); \
        CHECK(errno == (number));   \
    } while (0)
