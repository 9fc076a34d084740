/* gzfile write FILE FILE.gz | gzfile read FILE.gz FILE: through gzwrite, gzputs, gzflush, gzsetparams and gzread. */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

static unsigned char buffer[100000];

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int writing = !strcmp(argv[1], "write"), n = 0, count = 0;
    FILE *file = fopen(argv[writing ? 2 : 3], writing ? "rb" : "wb");
    gzFile packed = gzopen(argv[writing ? 3 : 2], writing ? "wb6" : "rb");
    if (!file || !packed)
        return 1;
    if (writing) {
        while ((n = (int)fread(buffer, 1, 1 + count * 7919 % sizeof buffer, file)) > 0) {
            if (gzwrite(packed, buffer, (unsigned)n) != n)
                return 1;
            if (++count % 20 == 0 && gzflush(packed, Z_SYNC_FLUSH))
                return 1;
            if (count % 33 == 0 && gzsetparams(packed, count % 9 + 1, Z_DEFAULT_STRATEGY))
                return 1;
        }
    } else {
        while ((n = gzread(packed, buffer, 1 + count++ * 7919 % sizeof buffer)) > 0)
            if (fwrite(buffer, 1, (size_t)n, file) != (size_t)n)
                return 1;
        if (n < 0)
            return 1;
    }
    return fclose(file) || gzclose(packed) != Z_OK;
}
