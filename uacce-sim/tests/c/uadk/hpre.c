/*
 * HPRE through libwd's wd_rsa, wd_dh and wd_ecc interfaces, every result checked against libcrypto.
 *
 * Usage: hpre CASE, or hpre --list v2|v3.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <uadk/wd_dh.h>
#include <uadk/wd_ecc.h>
#include <uadk/wd_rsa.h>
#include <uadk/wd_sched.h>

#define CHECK(condition)								\
	do {										\
		if (!(condition)) {							\
			fprintf(stderr, "hpre.c:%d: %s\n", __LINE__, #condition);	\
			exit(1);							\
		}									\
	} while (0)

static struct sched_params where = {.numa_id = 0};
static char store[64][1024];
static int used;

/* A number with room for `width` bytes, `len` of them significant. */
static struct wd_dtb room(unsigned int width)
{
	char *data = store[used++ % 64];

	memset(data, 0, sizeof(store[0]));
	return (struct wd_dtb){.data = data, .dsize = width, .bsize = width};
}

static struct wd_dtb number(const BIGNUM *value, unsigned int width)
{
	struct wd_dtb dtb = room(width);

	CHECK(BN_bn2binpad(value, (unsigned char *)dtb.data, width) == (int)width);
	return dtb;
}

static BIGNUM *value(const struct wd_dtb *dtb)
{
	return BN_bin2bn((const unsigned char *)dtb->data, dtb->dsize, NULL);
}

static int same(const struct wd_dtb *dtb, const BIGNUM *expected)
{
	BIGNUM *got = value(dtb);
	int equal = BN_cmp(got, expected) == 0;

	BN_free(got);
	return equal;
}

static void rsa(int bits, int crt)
{
	struct wd_rsa_sess_setup setup = {.key_bits = bits, .is_crt = crt, .sched_param = &where};
	unsigned int width = bits / 8;
	unsigned char text[512], cipher[512], back[512];
	const BIGNUM *n, *e, *d, *p, *q, *dp, *dq, *qinv;
	BIGNUM *f4 = BN_new();
	RSA *key = RSA_new();

	BN_set_word(f4, RSA_F4);
	CHECK(RSA_generate_key_ex(key, bits, f4, NULL) == 1);
	RSA_get0_key(key, &n, &e, &d);
	RSA_get0_factors(key, &p, &q);
	RSA_get0_crt_params(key, &dp, &dq, &qinv);
	CHECK(wd_rsa_init2("rsa", SCHED_POLICY_RR, TASK_HW) == 0);
	handle_t session = wd_rsa_alloc_sess(&setup);
	CHECK(session);
	struct wd_dtb we = number(e, width), wn = number(n, width), wd = number(d, width);
	CHECK(wd_rsa_set_pubkey_params(session, &we, &wn) == 0);
	struct wd_dtb wp = number(p, width / 2), wq = number(q, width / 2), wdp = number(dp, width / 2);
	struct wd_dtb wdq = number(dq, width / 2), wqinv = number(qinv, width / 2);
	if (crt)
		CHECK(wd_rsa_set_crt_prikey_params(session, &wdq, &wdp, &wqinv, &wq, &wp) == 0);
	else
		CHECK(wd_rsa_set_prikey_params(session, &wd, &wn) == 0);
	for (int round = 0; round < 5; round++) {
		CHECK(RAND_bytes(text, width) == 1);
		text[0] = round == 0;
		struct wd_rsa_req request = {
			.src = text, .src_bytes = width, .dst = cipher, .dst_bytes = width, .op_type = WD_RSA_SIGN,
		};
		CHECK(wd_do_rsa_sync(session, &request) == 0 && request.status == 0);
		CHECK(RSA_public_decrypt(width, cipher, back, key, RSA_NO_PADDING) == (int)width);
		CHECK(memcmp(back, text, width) == 0);
		CHECK(RSA_public_encrypt(width, text, back, key, RSA_NO_PADDING) == (int)width);
		request = (struct wd_rsa_req){
			.src = text, .src_bytes = width, .dst = cipher, .dst_bytes = width, .op_type = WD_RSA_VERIFY,
		};
		CHECK(wd_do_rsa_sync(session, &request) == 0 && request.status == 0);
		CHECK(memcmp(back, cipher, width) == 0);
	}
	/* The device derives the key from its primes. */
	struct wd_rsa_kg_in *in = wd_rsa_new_kg_in(session, &we, &wp, &wq);
	struct wd_rsa_kg_out *out = wd_rsa_new_kg_out(session);
	CHECK(in && out);
	struct wd_rsa_req request = {
		.src = in, .src_bytes = width * 2, .dst = out, .dst_bytes = width * 4, .op_type = WD_RSA_GENKEY,
	};
	CHECK(wd_do_rsa_sync(session, &request) == 0 && request.status == 0);
	struct wd_dtb got_d, got_n, got_qinv, got_dq, got_dp;
	wd_rsa_get_kg_out_params(out, &got_d, &got_n);
	if (crt)
		/* The library tells their lengths without CRT only. */
		got_d.dsize = got_n.dsize = width;
	CHECK(same(&got_n, n));
	/* d modulo (p - 1)(q - 1) or their least common multiple: what it does counts. */
	BN_CTX *context = BN_CTX_new();
	BIGNUM *derived = value(&got_d), *result = BN_new(), *three = BN_new();
	BN_set_word(three, 3);
	CHECK(BN_mod_exp(result, three, e, n, context) == 1 && BN_mod_exp(result, result, derived, n, context) == 1);
	CHECK(BN_cmp(result, three) == 0);
	if (crt) {
		wd_rsa_get_kg_out_crt_params(out, &got_qinv, &got_dq, &got_dp);
		CHECK(same(&got_qinv, qinv) && same(&got_dq, dq) && same(&got_dp, dp));
	}
	wd_rsa_del_kg_in(session, in);
	wd_rsa_del_kg_out(session, out);
	wd_rsa_free_sess(session);
	wd_rsa_uninit2();
}

static void dh(int bits, unsigned int generator)
{
	struct wd_dh_sess_setup setup = {.key_bits = bits, .is_g2 = generator == 2, .sched_param = &where};
	unsigned int width = bits / 8;
	BN_CTX *context = BN_CTX_new();
	BIGNUM *g = BN_new(), *p = BN_new(), *x = BN_new(), *y = BN_new(), *peer = BN_new();

	/* The exponentiation does not care whether p is a safe prime, libcrypto included. */
	if (bits == 2048 || bits == 3072 || bits == 4096) {
		DH *group = DH_new_by_nid(bits == 2048 ? NID_ffdhe2048 : bits == 3072 ? NID_ffdhe3072 : NID_ffdhe4096);
		const BIGNUM *prime;

		DH_get0_pqg(group, &prime, NULL, NULL);
		BN_copy(p, prime);
	} else {
		CHECK(BN_generate_prime_ex(p, bits, 0, NULL, NULL, NULL) == 1);
	}
	BN_set_word(g, generator);
	CHECK(BN_rand_range(x, p) == 1 && BN_rand_range(peer, p) == 1);
	CHECK(wd_dh_init2("dh", SCHED_POLICY_RR, TASK_HW) == 0);
	handle_t session = wd_dh_alloc_sess(&setup);
	CHECK(session);
	/* With generator 2 the library looks at the first byte. */
	struct wd_dtb wg = number(g, 1), wx = number(x, width), wp = number(p, width), wpeer = number(peer, width);
	CHECK(wd_dh_set_g(session, &wg) == 0);
	char x_p[1024], out[512];
	memcpy(x_p, wx.data, width);
	memcpy(x_p + width, wp.data, width);
	struct wd_dh_req request = {
		.x_p = x_p, .xbytes = width, .pbytes = width, .pri = out, .pri_bytes = width, .op_type = WD_DH_PHASE1,
	};
	CHECK(wd_do_dh_sync(session, &request) == 0 && request.status == 0);
	struct wd_dtb got = {.data = out, .dsize = request.pri_bytes};
	CHECK(BN_mod_exp(y, g, x, p, context) == 1 && same(&got, y));
	request = (struct wd_dh_req){
		.x_p = x_p, .xbytes = width, .pbytes = width, .pri = out, .pri_bytes = width, .op_type = WD_DH_PHASE2,
		.pv = wpeer.data, .pvbytes = width,
	};
	CHECK(wd_do_dh_sync(session, &request) == 0 && request.status == 0);
	got.dsize = request.pri_bytes;
	CHECK(BN_mod_exp(y, peer, x, p, context) == 1 && same(&got, y));
	wd_dh_free_sess(session);
	wd_dh_uninit2();
}

struct curve {
	EC_GROUP *group;
	struct wd_ecc_curve parameters;
	unsigned int width;
	BIGNUM *order;
};

static struct curve open_curve(int name)
{
	struct curve curve = {.group = EC_GROUP_new_by_curve_name(name), .order = BN_new()};
	BIGNUM *p = BN_new(), *a = BN_new(), *b = BN_new(), *x = BN_new(), *y = BN_new();

	CHECK(curve.group && EC_GROUP_get_curve(curve.group, p, a, b, NULL) == 1);
	CHECK(EC_GROUP_get_order(curve.group, curve.order, NULL) == 1);
	CHECK(EC_POINT_get_affine_coordinates(curve.group, EC_GROUP_get0_generator(curve.group), x, y, NULL) == 1);
	curve.width = (EC_GROUP_get_degree(curve.group) + 7) / 8;
	curve.parameters = (struct wd_ecc_curve){
		.p = number(p, curve.width), .a = number(a, curve.width), .b = number(b, curve.width),
		.g = {.x = number(x, curve.width), .y = number(y, curve.width)}, .n = number(curve.order, curve.width),
	};
	return curve;
}

static struct wd_ecc_point coordinates(const struct curve *curve, const EC_POINT *point)
{
	BIGNUM *x = BN_new(), *y = BN_new();

	CHECK(EC_POINT_get_affine_coordinates(curve->group, point, x, y, NULL) == 1);
	return (struct wd_ecc_point){.x = number(x, curve->width), .y = number(y, curve->width)};
}

static int same_point(const struct curve *curve, const struct wd_ecc_point *got, const EC_POINT *expected)
{
	BIGNUM *x = BN_new(), *y = BN_new();

	CHECK(EC_POINT_get_affine_coordinates(curve->group, expected, x, y, NULL) == 1);
	return same(&got->x, x) && same(&got->y, y);
}

static int draw(char *out, size_t len, void *user)
{
	(void)user;
	return RAND_bytes((unsigned char *)out, len) == 1 ? 0 : -1;
}

static int digest_sm3(const char *in, size_t in_len, char *out, size_t out_len, void *user)
{
	unsigned int len;

	(void)user;
	return EVP_Digest(in, in_len, (unsigned char *)out, &len, EVP_sm3(), NULL) == 1 && len == out_len ? 0 : -1;
}

static handle_t open_session(const char *algorithm, int bits, struct curve *curve)
{
	struct wd_ecc_sess_setup setup = {
		.alg = algorithm, .key_bits = bits, .rand = {.cb = draw}, .sched_param = &where,
		.hash = {.cb = digest_sm3, .type = WD_HASH_SM3},
	};

	if (curve) {
		setup.cv.type = WD_CV_CFG_PARAM;
		setup.cv.cfg.pparam = &curve->parameters;
	}
	CHECK(wd_ecc_init2((char *)algorithm, SCHED_POLICY_RR, TASK_HW) == 0);
	handle_t session = wd_ecc_alloc_sess(&setup);
	CHECK(session);
	return session;
}

static void run(handle_t session, int operation, struct wd_ecc_in *in, struct wd_ecc_out *out, int expected)
{
	struct wd_ecc_req request = {.src = in, .dst = out, .op_type = operation};
	int status = wd_do_ecc_sync(session, &request);

	if (expected == 0)
		CHECK(status == 0 && request.status == 0);
	else
		CHECK(status == expected || request.status == expected);
}

static void ecdh(int name, int bits)
{
	struct curve curve = open_curve(name);
	handle_t session = open_session("ecdh", bits, &curve);
	EC_POINT *point = EC_POINT_new(curve.group), *result = EC_POINT_new(curve.group);
	BIGNUM *secret = BN_new(), *other = BN_new();

	for (int round = 0; round < 4; round++) {
		CHECK(BN_rand_range(secret, curve.order) == 1 && BN_rand_range(other, curve.order) == 1);
		CHECK(EC_POINT_mul(curve.group, point, other, NULL, NULL, NULL) == 1);
		struct wd_dtb key = number(secret, curve.width);
		CHECK(wd_ecc_set_prikey(wd_ecc_get_key(session), &key) == 0);
		struct wd_ecc_out *out = wd_ecxdh_new_out(session);
		struct wd_ecc_point *got;
		CHECK(out);
		run(session, WD_ECXDH_GEN_KEY, NULL, out, 0);
		wd_ecxdh_get_out_params(out, &got);
		CHECK(EC_POINT_mul(curve.group, result, secret, NULL, NULL, NULL) == 1 && same_point(&curve, got, result));
		wd_ecc_del_out(session, out);
		struct wd_ecc_point peer = coordinates(&curve, point);
		struct wd_ecc_in *in = wd_ecxdh_new_in(session, &peer);
		out = wd_ecxdh_new_out(session);
		CHECK(in && out);
		run(session, WD_ECXDH_COMPUTE_KEY, in, out, 0);
		wd_ecxdh_get_out_params(out, &got);
		CHECK(EC_POINT_mul(curve.group, result, NULL, point, secret, NULL) == 1);
		BIGNUM *x = BN_new();
		CHECK(EC_POINT_get_affine_coordinates(curve.group, result, x, NULL, NULL) == 1 && same(&got->x, x));
		wd_ecc_del_in(session, in);
		wd_ecc_del_out(session, out);
	}
	wd_ecc_free_sess(session);
	wd_ecc_uninit2();
}

static void ecdsa(int name, int bits)
{
	struct curve curve = open_curve(name);
	handle_t session = open_session("ecdsa", bits, &curve);
	unsigned int digest_len = curve.width < 48 ? 32 : 48;
	unsigned char digest[48];

	for (int round = 0; round < 4; round++) {
		EC_KEY *key = EC_KEY_new_by_curve_name(name);
		struct wd_dtb *r, *s;

		CHECK(EC_KEY_generate_key(key) == 1 && RAND_bytes(digest, sizeof(digest)) == 1);
		struct wd_dtb secret = number(EC_KEY_get0_private_key(key), curve.width);
		struct wd_ecc_point public = coordinates(&curve, EC_KEY_get0_public_key(key));
		CHECK(wd_ecc_set_prikey(wd_ecc_get_key(session), &secret) == 0);
		CHECK(wd_ecc_set_pubkey(wd_ecc_get_key(session), &public) == 0);
		struct wd_dtb e = room(digest_len);
		memcpy(e.data, digest, digest_len);
		struct wd_ecc_in *in = wd_ecdsa_new_sign_in(session, &e, NULL);
		struct wd_ecc_out *out = wd_ecdsa_new_sign_out(session);
		CHECK(in && out);
		run(session, WD_ECDSA_SIGN, in, out, 0);
		wd_ecdsa_get_sign_out_params(out, &r, &s);
		ECDSA_SIG *signature = ECDSA_SIG_new();
		CHECK(ECDSA_SIG_set0(signature, value(r), value(s)) == 1);
		CHECK(ECDSA_do_verify(digest, digest_len, signature, key) == 1);
		wd_ecc_del_in(session, in);
		wd_ecc_del_out(session, out);
		signature = ECDSA_do_sign(digest, digest_len, key);
		struct wd_dtb wr = number(ECDSA_SIG_get0_r(signature), curve.width);
		struct wd_dtb ws = number(ECDSA_SIG_get0_s(signature), curve.width);
		in = wd_ecdsa_new_verf_in(session, &e, &wr, &ws);
		CHECK(in);
		run(session, WD_ECDSA_VERIFY, in, NULL, 0);
		wd_ecc_del_in(session, in);
		e.data[3] ^= 1;
		in = wd_ecdsa_new_verf_in(session, &e, &wr, &ws);
		CHECK(in);
		run(session, WD_ECDSA_VERIFY, in, NULL, WD_VERIFY_ERR);
		wd_ecc_del_in(session, in);
	}
	wd_ecc_free_sess(session);
	wd_ecc_uninit2();
}

static EVP_PKEY *sm2_key(struct curve *curve, handle_t session)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	BIGNUM *secret = NULL;
	unsigned char bytes[80];
	size_t len;

	CHECK(key && EVP_PKEY_get_bn_param(key, "priv", &secret) == 1);
	CHECK(EVP_PKEY_get_octet_string_param(key, "pub", bytes, sizeof(bytes), &len) == 1);
	EC_POINT *point = EC_POINT_new(curve->group);
	CHECK(EC_POINT_mul(curve->group, point, secret, NULL, NULL, NULL) == 1);
	struct wd_dtb wsecret = number(secret, 32);
	struct wd_ecc_point public = coordinates(curve, point);
	CHECK(wd_ecc_set_prikey(wd_ecc_get_key(session), &wsecret) == 0);
	CHECK(wd_ecc_set_pubkey(wd_ecc_get_key(session), &public) == 0);
	return key;
}

/* libcrypto's ciphertext is a DER sequence of x, y, C3, C2: lengths below 128 here, except the outer one. */
static unsigned char *der_item(unsigned char *at, int tag, unsigned char **content, unsigned int *len)
{
	CHECK(*at++ == tag);
	*len = *at++;
	if (*len & 0x80) {
		unsigned int bytes = *len & 0x7F;

		for (*len = 0; bytes > 0; bytes--)
			*len = *len << 8 | *at++;
	}
	*content = at;
	return at + *len;
}

static unsigned char *der_put(unsigned char *at, int tag, const unsigned char *content, unsigned int len)
{
	*at++ = tag;
	if (len > 255)
		*at++ = 0x82, *at++ = len >> 8;
	else if (len > 127)
		*at++ = 0x81;
	*at++ = len;
	memmove(at, content, len);
	return at + len;
}

static unsigned char *der_put_number(unsigned char *at, const struct wd_dtb *number)
{
	BIGNUM *got = value(number);
	unsigned char bytes[40] = {0};
	int len = BN_num_bytes(got), sign = BN_is_bit_set(got, len * 8 - 1);

	BN_bn2bin(got, bytes + sign);
	return der_put(at, 2, bytes, len + sign);
}

static void sm2_encryption(unsigned int len)
{
	struct curve curve = open_curve(NID_sm2);
	handle_t session = open_session("sm2", 256, NULL);
	EVP_PKEY *key = sm2_key(&curve, session);
	unsigned char text[600], der[1024], packed[1024], back[1024];
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	struct wd_ecc_point *c1;
	struct wd_dtb *c2, *c3, *plain;
	size_t back_len = sizeof(back);

	CHECK(RAND_bytes(text, sizeof(text)) == 1);
	struct wd_dtb message = room(len);
	memcpy(message.data, text, len);
	struct wd_ecc_in *in = wd_sm2_new_enc_in(session, NULL, &message);
	struct wd_ecc_out *out = wd_sm2_new_enc_out(session, len);
	CHECK(in && out);
	run(session, WD_SM2_ENCRYPT, in, out, 0);
	wd_sm2_get_enc_out_params(out, &c1, &c2, &c3);
	unsigned char *end = der_put_number(der, &c1->x);
	end = der_put_number(end, &c1->y);
	end = der_put(end, 4, (unsigned char *)c3->data, c3->dsize);
	end = der_put(end, 4, (unsigned char *)c2->data, c2->dsize);
	end = der_put(packed, 0x30, der, end - der);
	CHECK(EVP_PKEY_decrypt_init(context) == 1);
	CHECK(EVP_PKEY_decrypt(context, back, &back_len, packed, end - packed) == 1);
	CHECK(back_len == len && memcmp(back, text, len) == 0);
	wd_ecc_del_in(session, in);
	wd_ecc_del_out(session, out);

	size_t der_len = sizeof(der);
	CHECK(EVP_PKEY_encrypt_init(context) == 1 && EVP_PKEY_encrypt(context, der, &der_len, text, len) == 1);
	unsigned char *at, *content[4];
	unsigned int lens[4], outer;
	der_item(der, 0x30, &at, &outer);
	for (int item = 0; item < 4; item++)
		at = der_item(at, item < 2 ? 2 : 4, &content[item], &lens[item]);
	struct wd_ecc_point point = {
		.x = number(BN_bin2bn(content[0], lens[0], NULL), 32), .y = number(BN_bin2bn(content[1], lens[1], NULL), 32),
	};
	struct wd_dtb w3 = room(lens[2]), w2 = room(lens[3]);
	memcpy(w3.data, content[2], lens[2]);
	memcpy(w2.data, content[3], lens[3]);
	in = wd_sm2_new_dec_in(session, &point, &w2, &w3);
	out = wd_sm2_new_dec_out(session, len);
	CHECK(in && out);
	run(session, WD_SM2_DECRYPT, in, out, 0);
	wd_sm2_get_dec_out_params(out, &plain);
	CHECK(plain->dsize == len && memcmp(plain->data, text, len) == 0);
	wd_ecc_del_in(session, in);
	wd_ecc_del_out(session, out);
	wd_ecc_free_sess(session);
	wd_ecc_uninit2();
}

static void sm2_signature(void)
{
	static const char identity[] = "1234567812345678";
	struct curve curve = open_curve(NID_sm2);
	handle_t session = open_session("sm2", 256, NULL);
	EVP_PKEY *key = sm2_key(&curve, session);
	unsigned char text[100], der[80], packed[80];
	size_t der_len = sizeof(der);
	struct wd_dtb *r, *s;

	CHECK(RAND_bytes(text, sizeof(text)) == 1);
	struct wd_dtb message = room(sizeof(text)), id = room(16);
	memcpy(message.data, text, sizeof(text));
	memcpy(id.data, identity, 16);
	struct wd_ecc_in *in = wd_sm2_new_sign_in(session, &message, NULL, &id, 0);
	struct wd_ecc_out *out = wd_sm2_new_sign_out(session);
	CHECK(in && out);
	run(session, WD_SM2_SIGN, in, out, 0);
	wd_sm2_get_sign_out_params(out, &r, &s);
	unsigned char *end = der_put_number(der, r);
	end = der_put(packed, 0x30, der, der_put_number(end, s) - der);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	CHECK(EVP_PKEY_CTX_set1_id(context, identity, 16) == 1);
	EVP_MD_CTX_set_pkey_ctx(digest, context);
	CHECK(EVP_DigestVerifyInit(digest, NULL, EVP_sm3(), NULL, key) == 1);
	CHECK(EVP_DigestVerify(digest, packed, end - packed, text, sizeof(text)) == 1);
	wd_ecc_del_in(session, in);
	wd_ecc_del_out(session, out);

	digest = EVP_MD_CTX_new();
	context = EVP_PKEY_CTX_new(key, NULL);
	CHECK(EVP_PKEY_CTX_set1_id(context, identity, 16) == 1);
	EVP_MD_CTX_set_pkey_ctx(digest, context);
	CHECK(EVP_DigestSignInit(digest, NULL, EVP_sm3(), NULL, key) == 1);
	CHECK(EVP_DigestSign(digest, der, &der_len, text, sizeof(text)) == 1);
	const unsigned char *at = der;
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, der_len);
	CHECK(signature);
	struct wd_dtb wr = number(ECDSA_SIG_get0_r(signature), 32), ws = number(ECDSA_SIG_get0_s(signature), 32);
	in = wd_sm2_new_verf_in(session, &message, &wr, &ws, &id, 0);
	CHECK(in);
	run(session, WD_SM2_VERIFY, in, NULL, 0);
	wd_ecc_del_in(session, in);
	message.data[5] ^= 1;
	in = wd_sm2_new_verf_in(session, &message, &wr, &ws, &id, 0);
	CHECK(in);
	run(session, WD_SM2_VERIFY, in, NULL, WD_VERIFY_ERR);
	wd_ecc_del_in(session, in);
	wd_ecc_free_sess(session);
	wd_ecc_uninit2();
}

static void sm2_generation(void)
{
	struct curve curve = open_curve(NID_sm2);
	handle_t session = open_session("sm2", 256, NULL);
	EC_POINT *point = EC_POINT_new(curve.group);
	struct wd_ecc_point *public;
	struct wd_dtb *secret;

	for (int round = 0; round < 4; round++) {
		struct wd_ecc_out *out = wd_sm2_new_kg_out(session);

		CHECK(out);
		run(session, WD_SM2_KG, NULL, out, 0);
		wd_sm2_get_kg_out_params(out, &secret, &public);
		CHECK(EC_POINT_mul(curve.group, point, value(secret), NULL, NULL, NULL) == 1);
		CHECK(same_point(&curve, public, point));
		wd_ecc_del_out(session, out);
	}
	wd_ecc_free_sess(session);
	wd_ecc_uninit2();
}

static void reversed(char *to, const unsigned char *from, size_t len)
{
	for (size_t at = 0; at < len; at++)
		to[at] = from[len - 1 - at];
}

/* libwd's numbers are big-endian here too, RFC 7748's little-endian. */
static void montgomery(const char *algorithm, int type, unsigned int len)
{
	handle_t session = open_session(algorithm, len * 8, NULL);
	unsigned char secret[56], public[56], shared[56], expected[56];

	for (int round = 0; round < 4; round++) {
		EVP_PKEY *ours = NULL, *theirs = NULL;
		EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(type, NULL);
		size_t size = len;
		struct wd_ecc_point *got;

		CHECK(EVP_PKEY_keygen_init(context) == 1);
		CHECK(EVP_PKEY_keygen(context, &ours) == 1 && EVP_PKEY_keygen(context, &theirs) == 1);
		CHECK(EVP_PKEY_get_raw_private_key(ours, secret, &size) == 1 && size == len);
		struct wd_dtb key = room(len);
		reversed(key.data, secret, len);
		CHECK(wd_ecc_set_prikey(wd_ecc_get_key(session), &key) == 0);
		struct wd_ecc_out *out = wd_ecxdh_new_out(session);
		CHECK(out);
		run(session, WD_ECXDH_GEN_KEY, NULL, out, 0);
		wd_ecxdh_get_out_params(out, &got);
		CHECK(EVP_PKEY_get_raw_public_key(ours, public, &size) == 1);
		reversed((char *)expected, public, len);
		BIGNUM *u = BN_bin2bn(expected, len, NULL);
		CHECK(same(&got->x, u));
		wd_ecc_del_out(session, out);

		CHECK(EVP_PKEY_get_raw_public_key(theirs, public, &size) == 1);
		struct wd_ecc_point peer = {.x = room(len), .y = room(len)};
		reversed(peer.x.data, public, len);
		struct wd_ecc_in *in = wd_ecxdh_new_in(session, &peer);
		out = wd_ecxdh_new_out(session);
		CHECK(in && out);
		run(session, WD_ECXDH_COMPUTE_KEY, in, out, 0);
		wd_ecxdh_get_out_params(out, &got);
		EVP_PKEY_CTX *derivation = EVP_PKEY_CTX_new(ours, NULL);
		CHECK(EVP_PKEY_derive_init(derivation) == 1 && EVP_PKEY_derive_set_peer(derivation, theirs) == 1);
		CHECK(EVP_PKEY_derive(derivation, shared, &size) == 1);
		reversed((char *)expected, shared, len);
		u = BN_bin2bn(expected, len, NULL);
		CHECK(same(&got->x, u));
		wd_ecc_del_in(session, in);
		wd_ecc_del_out(session, out);
	}
	wd_ecc_free_sess(session);
	wd_ecc_uninit2();
}

static void sm2_enc_short(void) { sm2_encryption(19); }
static void sm2_enc_longest(void) { sm2_encryption(512); }
static void sm2_enc_in_parts(void) { sm2_encryption(513); }

struct test {
	const char *name;
	int v3;
	void (*run)(int, int);
	void (*plain)(void);
	int first, second;
};

static void dh_of(int bits, int generator) { dh(bits, generator); }

static void montgomery_of(int type, int len)
{
	montgomery(type == EVP_PKEY_X25519 ? "x25519" : "x448", type, len);
}

static const struct test tests[] = {
	{"rsa-1024", 0, rsa, NULL, 1024, 0}, {"rsa-1024 crt", 0, rsa, NULL, 1024, 1},
	{"rsa-2048", 0, rsa, NULL, 2048, 0}, {"rsa-2048 crt", 0, rsa, NULL, 2048, 1},
	{"rsa-3072", 0, rsa, NULL, 3072, 0}, {"rsa-3072 crt", 0, rsa, NULL, 3072, 1},
	{"rsa-4096", 0, rsa, NULL, 4096, 0}, {"rsa-4096 crt", 0, rsa, NULL, 4096, 1},
	{"dh-768 g=2", 0, dh_of, NULL, 768, 2}, {"dh-1024 g=5", 0, dh_of, NULL, 1024, 5},
	{"dh-1536 g=2", 0, dh_of, NULL, 1536, 2}, {"dh-2048 g=2", 0, dh_of, NULL, 2048, 2},
	{"dh-2048 g=5", 0, dh_of, NULL, 2048, 5}, {"dh-3072 g=2", 0, dh_of, NULL, 3072, 2},
	{"dh-4096 g=2", 0, dh_of, NULL, 4096, 2},
	{"ecdh secp128r1", 1, ecdh, NULL, NID_secp128r1, 128}, {"ecdh secp192k1", 1, ecdh, NULL, NID_secp192k1, 192},
	{"ecdh secp224r1", 1, ecdh, NULL, NID_secp224r1, 224}, {"ecdh P-256", 1, ecdh, NULL, NID_X9_62_prime256v1, 256},
	{"ecdh secp256k1", 1, ecdh, NULL, NID_secp256k1, 256}, {"ecdh brainpoolP320r1", 1, ecdh, NULL, NID_brainpoolP320r1, 320},
	{"ecdh brainpoolP384r1", 1, ecdh, NULL, NID_brainpoolP384r1, 384}, {"ecdh P-384", 1, ecdh, NULL, NID_secp384r1, 384},
	{"ecdh P-521", 1, ecdh, NULL, NID_secp521r1, 521},
	{"ecdsa P-256", 1, ecdsa, NULL, NID_X9_62_prime256v1, 256}, {"ecdsa secp256k1", 1, ecdsa, NULL, NID_secp256k1, 256},
	{"ecdsa P-384", 1, ecdsa, NULL, NID_secp384r1, 384}, {"ecdsa P-521", 1, ecdsa, NULL, NID_secp521r1, 521},
	{"sm2 key generation", 1, NULL, sm2_generation, 0, 0}, {"sm2 signature", 1, NULL, sm2_signature, 0, 0},
	{"sm2 encryption, 19 bytes", 1, NULL, sm2_enc_short, 0, 0}, {"sm2 encryption, 512 bytes", 1, NULL, sm2_enc_longest, 0, 0},
	{"sm2 encryption, 513 bytes", 1, NULL, sm2_enc_in_parts, 0, 0},
	{"x25519", 1, montgomery_of, NULL, EVP_PKEY_X25519, 32}, {"x448", 1, montgomery_of, NULL, EVP_PKEY_X448, 56},
};

int main(int argc, char **argv)
{
	for (size_t at = 0; at < sizeof(tests) / sizeof(*tests); at++) {
		const struct test *test = &tests[at];

		if (argc == 3 && strcmp(argv[1], "--list") == 0) {
			if (!test->v3 || strcmp(argv[2], "v3") == 0)
				puts(test->name);
			continue;
		}
		if (argc != 2 || strcmp(argv[1], test->name) != 0)
			continue;
		if (test->run)
			test->run(test->first, test->second);
		else
			test->plain();
		return 0;
	}
	return argc == 3 ? 0 : 2;
}
