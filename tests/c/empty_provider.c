/* The least that is a provider: it loads, and offers nothing. What strace shows of it is libcrypto's and the loader's own
 * doing, the baseline for what ours may do before its first use. */
#include <openssl/core_dispatch.h>

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
    (void)context;
    (void)operation;
    *no_cache = 0;
    return 0;
}

static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query}, {0, 0}};

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
    (void)in;
    *out = functions;
    *context = (void *)(unsigned long)handle;
    return 1;
}
