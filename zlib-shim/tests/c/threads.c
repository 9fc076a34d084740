/* Eight threads compress and decompress, streamed and whole; meanwhile the process forks, and every child does the same.
 * Prints how many children ended well. Exit 1 at the first wrong byte. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define SIZE 400000

static unsigned char text[SIZE];

static int work(unsigned seed)
{
    unsigned char *packed = malloc(SIZE + 10000), *back = malloc(SIZE);
    int wrong = !packed || !back;
    for (int round = 0; round < 6 && !wrong; round++) {
        uLong n = SIZE - (seed * 7919 + round * 104729) % (SIZE - 1000);
        uLongf len = SIZE + 10000, got = SIZE;
        wrong |= compress2(packed, &len, text, n, 1 + round) != Z_OK;
        wrong |= uncompress(back, &got, packed, len) != Z_OK || got != n || memcmp(back, text, n);
        z_stream s;
        memset(&s, 0, sizeof s);
        wrong |= deflateInit2(&s, 6, Z_DEFLATED, 31, 8, 0) != Z_OK;
        s.next_out = packed;
        s.avail_out = SIZE + 10000;
        for (uLong at = 0; at < n; at += s.next_in - (text + at)) {
            s.next_in = text + at;
            s.avail_in = n - at < 5000 ? (uInt)(n - at) : 5000;
            wrong |= deflate(&s, Z_NO_FLUSH) != Z_OK;
        }
        wrong |= deflate(&s, Z_FINISH) != Z_STREAM_END;
        len = s.total_out;
        wrong |= deflateEnd(&s) != Z_OK;
        memset(&s, 0, sizeof s);
        wrong |= inflateInit2(&s, 47) != Z_OK;
        s.next_in = packed;
        s.avail_in = (uInt)len;
        s.next_out = back;
        s.avail_out = SIZE;
        wrong |= inflate(&s, Z_FINISH) != Z_STREAM_END || s.total_out != n || memcmp(back, text, n);
        wrong |= inflateEnd(&s) != Z_OK;
    }
    free(packed);
    free(back);
    return wrong;
}

static void *run(void *argument)
{
    size_t wrong = 0;
    for (unsigned i = 0; i < 5; i++)
        wrong |= work((unsigned)(size_t)argument * 31 + i);
    return (void *)wrong;
}

int main(void)
{
    for (unsigned i = 0, state = 1; i < SIZE; i++) {
        state = state * 1103515245u + 12345u;
        text[i] = "etaoin shrdlu\n"[(state >> 16) % 14];
    }
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, run, (void *)i))
            return 1;
    pid_t children[20];
    for (unsigned i = 0; i < 20; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(work(1000 + i));
    }
    int well = 0, status;
    for (unsigned i = 0; i < 20; i++)
        well += waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    for (size_t i = 0; i < 8; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            return 1;
    }
    printf("%d children ended well\n", well);
    return well != 20;
}
