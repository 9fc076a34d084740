/* gzprintf and gzvprintf, the two functions of zlib that Rust cannot define: they take "...". */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

typedef struct gzFile_s *gzFile;

/* Where to print to, in zlib-shim/src/exports/gz.rs. */
char *_warpdrive_gz_room(gzFile file, size_t *len, int *answer);
int _warpdrive_gz_formatted(gzFile file, int written);

int gzvprintf(gzFile file, const char *format, va_list arguments)
{
    size_t len;
    int answer;
    char *room = _warpdrive_gz_room(file, &len, &answer);
    return room ? _warpdrive_gz_formatted(file, vsnprintf(room, len, format, arguments)) : answer;
}

int gzprintf(gzFile file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = gzvprintf(file, format, arguments);
    va_end(arguments);
    return result;
}
