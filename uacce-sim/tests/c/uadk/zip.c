/*
 * ZIP through libwd's wd_comp interface, every result checked by somebody else: stock zlib for deflate, readers of the
 * published formats in this file for LZ4 blocks and zstd's sequences.
 *
 * Usage: zip CASE, or zip --list v2|v3.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uadk/wd_comp.h>
#include <uadk/wd_sched.h>
#include <zlib.h>

#define CHECK(condition)								\
	do {										\
		if (!(condition)) {							\
			fprintf(stderr, "zip.c:%d: %s\n", __LINE__, #condition);	\
			exit(1);							\
		}									\
	} while (0)

#define LONGEST (1 << 20)

static unsigned char input[LONGEST], output[LONGEST * 2], back[LONGEST + 64];

/* Text that compresses, noise that does not, one byte over and over. */
static void fill(int kind, size_t len)
{
	unsigned int state = 1;

	for (size_t at = 0; at < len; at++) {
		state = state * 1664525 + 1013904223;
		input[at] = kind == 0 ? "abacus beads "[(at + (at >> 7) * 5) % 13] ^ (state >> 30) : kind == 1 ? state >> 24 : 7;
	}
}

static handle_t session(enum wd_comp_alg_type alg, enum wd_comp_op_type op, enum wd_comp_level level)
{
	struct sched_params where = {.numa_id = 0, .type = op, .mode = 0};
	struct wd_comp_sess_setup setup = {
		.alg_type = alg, .op_type = op, .comp_lv = level, .win_sz = WD_COMP_WS_32K, .sched_param = &where,
	};
	handle_t made = wd_comp_alloc_sess(&setup);

	CHECK(made);
	return made;
}

static int window_bits(enum wd_comp_alg_type alg)
{
	return alg == WD_DEFLATE ? -15 : alg == WD_ZLIB ? 15 : 31;
}

static void inflated_is_input(enum wd_comp_alg_type alg, size_t compressed, size_t len)
{
	z_stream stream = {.next_in = output, .avail_in = compressed, .next_out = back, .avail_out = sizeof(back)};

	CHECK(inflateInit2(&stream, window_bits(alg)) == Z_OK);
	CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
	CHECK(stream.avail_in == 0 && stream.total_out == len && memcmp(back, input, len) == 0);
	inflateEnd(&stream);
}

static size_t deflated_by_zlib(enum wd_comp_alg_type alg, size_t len)
{
	z_stream stream = {.next_in = input, .avail_in = len, .next_out = output, .avail_out = sizeof(output)};

	CHECK(deflateInit2(&stream, 6, Z_DEFLATED, window_bits(alg), 8, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	deflateEnd(&stream);
	return stream.total_out;
}

static const size_t lengths[] = {1, 100, 4096, 65537, LONGEST};

static void block(enum wd_comp_alg_type alg)
{
	handle_t compress = session(alg, WD_DIR_COMPRESS, WD_COMP_L8), decompress = session(alg, WD_DIR_DECOMPRESS, WD_COMP_L8);

	for (int kind = 0; kind < 3; kind++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			size_t len = lengths[i];

			fill(kind, len);
			struct wd_comp_req request = {
				.src = input, .src_len = len, .dst = output, .dst_len = sizeof(output), .op_type = WD_DIR_COMPRESS,
			};
			CHECK(wd_do_comp_sync(compress, &request) == 0 && request.status == 0 && request.src_len == len);
			inflated_is_input(alg, request.dst_len, len);
			size_t compressed = deflated_by_zlib(alg, len);
			struct wd_comp_req inverse = {
				.src = output, .src_len = compressed, .dst = back, .dst_len = sizeof(back), .op_type = WD_DIR_DECOMPRESS,
			};
			memset(back, 0xEE, sizeof(back));
			CHECK(wd_do_comp_sync(decompress, &inverse) == 0 && inverse.status == 0);
			CHECK(inverse.dst_len == len && memcmp(back, input, len) == 0);
		}
	}
	wd_comp_free_sess(compress);
	wd_comp_free_sess(decompress);
}

static void stream(enum wd_comp_alg_type alg)
{
	handle_t compress = session(alg, WD_DIR_COMPRESS, WD_COMP_L8), decompress = session(alg, WD_DIR_DECOMPRESS, WD_COMP_L8);

	for (int kind = 0; kind < 3; kind++) {
		for (size_t i = 1; i < sizeof(lengths) / sizeof(*lengths); i++) {
			size_t len = lengths[i], in = 0, out = 0;

			fill(kind, len);
			CHECK(wd_comp_reset_sess(compress) == 0);
			while (in < len) {
				size_t piece = len - in < 4000 ? len - in : 4000;
				struct wd_comp_req request = {
					.src = input + in, .src_len = piece, .dst = output + out, .dst_len = 8000,
					.op_type = WD_DIR_COMPRESS, .last = in + piece == len,
				};
				CHECK(wd_do_comp_strm(compress, &request) == 0 && request.status == 0);
				CHECK(request.src_len == piece);
				in += request.src_len;
				out += request.dst_len;
			}
			inflated_is_input(alg, out, len);
			size_t compressed = deflated_by_zlib(alg, len);
			CHECK(wd_comp_reset_sess(decompress) == 0);
			for (in = out = 0;;) {
				size_t piece = compressed - in < 3000 ? compressed - in : 3000;
				struct wd_comp_req request = {
					.src = output + in, .src_len = piece, .dst = back + out, .dst_len = 5000,
					.op_type = WD_DIR_DECOMPRESS, .last = in + piece == compressed,
				};
				if (request.dst_len > sizeof(back) - out)
					request.dst_len = sizeof(back) - out;
				CHECK(wd_do_comp_strm(decompress, &request) == 0);
				in += request.src_len;
				out += request.dst_len;
				if (request.status == WD_STREAM_END)
					break;
				CHECK(request.status == 0 || request.status == WD_EAGAIN);
			}
			CHECK(in == compressed && out == len && memcmp(back, input, len) == 0);
		}
	}
	wd_comp_free_sess(compress);
	wd_comp_free_sess(decompress);
}

/* A wrong trailer and a room that is too small: errors, and the session works on. */
static void errors(enum wd_comp_alg_type alg)
{
	handle_t compress = session(alg, WD_DIR_COMPRESS, WD_COMP_L8), decompress = session(alg, WD_DIR_DECOMPRESS, WD_COMP_L8);
	struct wd_comp_req request = {.src = input, .dst = output, .op_type = WD_DIR_COMPRESS};

	fill(1, 4096);
	request.src_len = 4096;
	request.dst_len = 1000;
	CHECK(wd_do_comp_sync(compress, &request) != 0 || request.status == WD_IN_EPARA);
	size_t compressed = deflated_by_zlib(alg, 4096);
	output[compressed - 5] ^= 1;
	struct wd_comp_req inverse = {
		.src = output, .src_len = compressed, .dst = back, .dst_len = sizeof(back), .op_type = WD_DIR_DECOMPRESS,
	};
	CHECK(wd_do_comp_sync(decompress, &inverse) != 0 || inverse.status == WD_IN_EPARA);
	wd_comp_free_sess(compress);
	wd_comp_free_sess(decompress);
	block(alg);
}

/* By the description of the LZ4 block format. */
static size_t read_lz4(const unsigned char *at, size_t len)
{
	const unsigned char *end = at + len;
	size_t out = 0;

	while (at < end) {
		unsigned int token = *at++, more;
		size_t count = token >> 4;

		if (count == 15)
			do
				count += more = *at++;
			while (more == 255);
		CHECK(count <= (size_t)(end - at) && out + count <= LONGEST);
		memcpy(back + out, at, count);
		out += count;
		at += count;
		if (at == end)
			return out;
		size_t offset = at[0] | at[1] << 8;
		at += 2;
		count = token & 15;
		if (count == 15)
			do
				count += more = *at++;
			while (more == 255);
		CHECK(offset > 0 && offset <= out && out + count + 4 <= LONGEST);
		for (count += 4; count > 0; count--, out++)
			back[out] = back[out - offset];
	}
	return out;
}

static void lz4(void)
{
	handle_t compress = session(WD_LZ4, WD_DIR_COMPRESS, WD_COMP_L8);

	for (int kind = 0; kind < 3; kind++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			struct wd_comp_req request = {
				.src = input, .src_len = lengths[i], .dst = output, .dst_len = sizeof(output), .op_type = WD_DIR_COMPRESS,
			};
			fill(kind, lengths[i]);
			CHECK(wd_do_comp_sync(compress, &request) == 0 && request.status == 0);
			CHECK(read_lz4(output, request.dst_len) == lengths[i] && memcmp(back, input, lengths[i]) == 0);
		}
	}
	wd_comp_free_sess(compress);
}

struct sequence {
	unsigned int offset;
	unsigned short literals, length;
};

/* RFC 8878, 3.1.1.4 and 3.1.1.5, or numbers as they are; appends to back. */
static size_t read_sequences(const struct wd_lz77_zstd_data *data, int zstd, unsigned int last[3], size_t out)
{
	const unsigned char *literal = data->literals_start, *end = literal + data->lit_num;
	const struct sequence *sequence = data->sequences_start;

	for (unsigned int at = 0; at < data->seq_num; at++, sequence++) {
		size_t literals = sequence->literals, length = sequence->length;
		unsigned int offset = sequence->offset;

		if (zstd && data->lit_length_overflow_cnt && data->lit_length_overflow_pos == at)
			literals += 65536;
		CHECK(literals <= (size_t)(end - literal) && out + literals <= LONGEST);
		memcpy(back + out, literal, literals);
		literal += literals;
		out += literals;
		if (zstd) {
			unsigned int known[4] = {last[0], last[1], last[2], last[0] - 1};
			unsigned int which = offset - 1 + (literals == 0);

			length += 3;
			if (offset > 3) {
				which = 2;
				offset -= 3;
			} else {
				offset = known[which];
			}
			if (which >= 2)
				last[2] = last[1];
			if (which >= 1) {
				last[1] = last[0];
				last[0] = offset;
			}
		}
		CHECK(offset > 0 && offset <= out && out + length <= LONGEST);
		for (; length > 0; length--, out++)
			back[out] = back[out - offset];
	}
	CHECK(out + (end - literal) <= LONGEST);
	memcpy(back + out, literal, end - literal);
	return out + (end - literal);
}

static void sequences_in_blocks(enum wd_comp_alg_type alg, enum wd_comp_level level)
{
	handle_t compress = session(alg, WD_DIR_COMPRESS, level);

	for (int kind = 0; kind < 3; kind++) {
		for (size_t len = 1; len <= 131072; len = len * 3 + 5) {
			struct wd_lz77_zstd_data data = {0};
			unsigned int last[3] = {1, 4, 8};
			struct wd_comp_req request = {
				.src = input, .src_len = len, .dst = output, .dst_len = sizeof(output), .op_type = WD_DIR_COMPRESS,
				.priv = &data,
			};
			fill(kind, len);
			CHECK(wd_do_comp_sync(compress, &request) == 0 && request.status == 0 && request.src_len == len);
			CHECK(kind == 1 || len < 1000 || data.lit_num < len / 2);
			CHECK(read_sequences(&data, alg == WD_LZ77_ZSTD, last, 0) == len && memcmp(back, input, len) == 0);
		}
	}
	wd_comp_free_sess(compress);
}

static void sequences_in_streams(enum wd_comp_alg_type alg, enum wd_comp_level level)
{
	handle_t compress = session(alg, WD_DIR_COMPRESS, level);

	for (int kind = 0; kind < 3; kind++) {
		unsigned int last[3] = {1, 4, 8};
		size_t len = 300000, in = 0;
		struct wd_lz77_zstd_data data = {.blk_type = 2};

		fill(kind, len);
		CHECK(wd_comp_reset_sess(compress) == 0);
		while (in < len) {
			size_t piece = len - in < 20000 ? len - in : 20000;
			struct wd_comp_req request = {
				.src = input + in, .src_len = piece, .dst = output, .dst_len = sizeof(output),
				.op_type = WD_DIR_COMPRESS, .last = in + piece == len, .priv = &data,
			};
			CHECK(wd_do_comp_strm(compress, &request) == 0 && request.status == 0 && request.src_len == piece);
			CHECK(read_sequences(&data, alg == WD_LZ77_ZSTD, last, in) == in + piece);
			in += piece;
		}
		CHECK(memcmp(back, input, len) == 0);
	}
	wd_comp_free_sess(compress);
}

struct test {
	const char *name;
	enum wd_comp_alg_type alg;
	int v3;
};

static const struct test tests[] = {
	{"zlib block", WD_ZLIB, 0}, {"gzip block", WD_GZIP, 0}, {"deflate block", WD_DEFLATE, 1},
	{"zlib stream", WD_ZLIB, 0}, {"gzip stream", WD_GZIP, 0}, {"deflate stream", WD_DEFLATE, 1},
	{"zlib errors", WD_ZLIB, 0}, {"gzip errors", WD_GZIP, 0}, {"lz4 block", WD_LZ4, 1},
	{"lz77_zstd block", WD_LZ77_ZSTD, 1}, {"lz77_zstd stream", WD_LZ77_ZSTD, 1},
	{"lz77_only block", WD_LZ77_ONLY, 1}, {"lz77_only stream", WD_LZ77_ONLY, 1},
};

int main(int argc, char **argv)
{
	static char *names[] = {"deflate", "zlib", "gzip", "lz77_zstd", "lz4", "lz77_only"};

	for (size_t at = 0; at < sizeof(tests) / sizeof(*tests); at++) {
		const struct test *test = &tests[at];

		if (argc == 3 && strcmp(argv[1], "--list") == 0) {
			if (!test->v3 || strcmp(argv[2], "v3") == 0)
				puts(test->name);
			continue;
		}
		if (argc != 2 || strcmp(argv[1], test->name) != 0)
			continue;
		CHECK(wd_comp_init2(names[test->alg], SCHED_POLICY_RR, TASK_HW) == 0);
		if (test->alg == WD_LZ4)
			lz4();
		else if (strncmp(test->name, "lz77", 4) == 0)
			for (int level = WD_COMP_L8; level <= WD_COMP_L9; level++)
				strstr(test->name, "block") ? sequences_in_blocks(test->alg, level) : sequences_in_streams(test->alg, level);
		else if (strstr(test->name, "errors"))
			errors(test->alg);
		else
			strstr(test->name, "block") ? block(test->alg) : stream(test->alg);
		wd_comp_uninit2();
		return 0;
	}
	return argc == 3 ? 0 : 2;
}
