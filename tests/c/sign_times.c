/* Signs COUNT times with one key and prints the processor time of that, in microseconds. For scripts/bench-no-device:
 * instructions per operation are the difference of two counts, start-up falls out. Usage: sign_times KEY.pem COUNT */
#include "work.h"

#include <time.h>

int main(int argc, char **argv)
{
    unsigned char message[32] = {1, 2, 3}, signature[512];
    struct timespec begin, end;

    if (argc != 3)
        return 2;
    EVP_PKEY *key = read_key(argv[1]);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (long left = atol(argv[2]); left > 0; left--) {
        size_t len = sizeof signature;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!context || EVP_PKEY_sign_init(context) != 1 || EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) != 1 ||
            EVP_PKEY_sign(context, signature, &len, message, sizeof message) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        EVP_PKEY_CTX_free(context);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    EVP_PKEY_free(key);
    printf("%.0f\n", (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3);
    return 0;
}
