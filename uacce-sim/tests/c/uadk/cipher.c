/*
 * Encrypts standard input with a cipher that openssl enc refuses (XTS, GCM), by whatever provider the configuration prefers;
 * decrypts it again to see that it comes back. Output: ciphertext, and GCM's tag. Usage: cipher NAME KEY IV, both hexadecimal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define CHECK(condition)								\
	do {										\
		if (!(condition)) {							\
			fprintf(stderr, "cipher.c:%d: %s\n", __LINE__, #condition);	\
			exit(1);							\
		}									\
	} while (0)

static unsigned char text[1 << 17], sealed[1 << 17], back[1 << 17];

int main(int argc, char **argv)
{
	unsigned char key[128], iv[64], tag[16];
	size_t key_len, iv_len, len = fread(text, 1, sizeof(text), stdin);
	int part, last, gcm = argc == 4 && strstr(argv[1], "gcm") != NULL;

	CHECK(argc == 4 && OPENSSL_hexstr2buf_ex(key, sizeof(key), &key_len, argv[2], 0) == 1);
	CHECK(OPENSSL_hexstr2buf_ex(iv, sizeof(iv), &iv_len, argv[3], 0) == 1);
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, argv[1], NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	CHECK(cipher && context && (size_t)EVP_CIPHER_get_key_length(cipher) == key_len);
	CHECK(EVP_EncryptInit_ex2(context, cipher, key, iv, NULL) == 1);
	if (gcm)
		CHECK(EVP_EncryptUpdate(context, NULL, &part, key, 13) == 1);
	CHECK(EVP_EncryptUpdate(context, sealed, &part, text, len) == 1);
	CHECK(EVP_EncryptFinal_ex(context, sealed + part, &last) == 1 && (size_t)(part + last) == len);
	if (gcm)
		CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1);
	fwrite(sealed, 1, len, stdout);
	fwrite(tag, 1, gcm ? 16 : 0, stdout);
	context = EVP_CIPHER_CTX_new();
	CHECK(EVP_DecryptInit_ex2(context, cipher, key, iv, NULL) == 1);
	if (gcm) {
		CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1);
		CHECK(EVP_DecryptUpdate(context, NULL, &part, key, 13) == 1);
	}
	CHECK(EVP_DecryptUpdate(context, back, &part, sealed, len) == 1);
	CHECK(EVP_DecryptFinal_ex(context, back + part, &last) == 1);
	CHECK((size_t)(part + last) == len && memcmp(back, text, len) == 0);
	return 0;
}
