/* At rest: loads libcrypto's configuration, so that its providers are there, calls one trivial function of zlib, uses
 * nothing, and prints how many files and threads the process has. Usage: at_rest */
#include <dirent.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <zlib.h>

static int entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return -1;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

int main(void)
{
    if (!OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL))
        return 2;
    printf("files %d threads %d zlib %c providers:", entries("/proc/self/fd") - 1, entries("/proc/self/task"),
           zlibVersion()[0]);
    if (OSSL_PROVIDER_available(NULL, "default"))
        printf(" default");
    printf("\n");
    return 0;
}
