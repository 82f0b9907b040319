/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/base.h"
#include "base/clock.h"

/* xoshiro256** 1.0 (Blackman and Vigna, 2018), one state a thread. */
static _Thread_local uint64_t state[4];
static _Thread_local bool is_seeded;

static void fill(void *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = getrandom((char *)to + done, size - done, 0);

		if (got < 0 && errno == EINTR)
			continue;
		ASSERT(got > 0);
		done += (size_t)got;
	}
}

static uint64_t rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

uint64_t random_fast(void)
{
	uint64_t result, t;

	if (!is_seeded) {
		fill(state, sizeof(state));
		state[0] |= 1; /* all zero would stay zero */
		is_seeded = true;
	}
	result = rotate(state[1] * 5, 7) * 9;
	t = state[1] << 17;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = rotate(state[3], 45);
	return result;
}

double random_unit(void)
{
	return (double)(random_fast() >> 11) * 0x1.0p-53;
}

static char *hex_bytes(char *out, uint64_t bits, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes; i++, bits >>= 8) {
		*out++ = digits[bits >> 4 & 15];
		*out++ = digits[bits & 15];
	}
	return out;
}

void random_hex(char *out, size_t bytes)
{
	for (; bytes > 8; bytes -= 8)
		out = hex_bytes(out, random_fast(), 8);
	out = hex_bytes(out, random_fast(), bytes);
	*out = 0;
}

void random_uuid(char *out)
{
	uint64_t a = random_fast(), b = random_fast();

	out = hex_bytes(out, a, 4);
	*out++ = '-';
	out = hex_bytes(out, a >> 32, 2);
	*out++ = '-';
	out = hex_bytes(out, ((a >> 48) & UINT64_C(0xff0f)) | 0x40, 2); /* version 4 */
	*out++ = '-';
	out = hex_bytes(out, (b & UINT64_C(0xff3f)) | 0x80, 2); /* variant 10 */
	*out++ = '-';
	out = hex_bytes(out, b >> 16, 6);
	*out = 0;
}
