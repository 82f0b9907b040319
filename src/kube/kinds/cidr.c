/* SPDX-License-Identifier: Apache-2.0 */
/* cidr - blocks of addresses ("10.0.0.0/8"), in the loose form that older fields take: bits behind the prefix may be set. */
#include "kube/kinds/kinds.h"

#include <arpa/inet.h>

struct cidr {
	unsigned char bytes[16];
	unsigned bits, most; /* of the prefix; of the family: 32 or 128 */
};

static bool address_read(struct span s, struct cidr *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, 0, s.len))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = 0;
	ret->most = memchr(s.ptr, ':', s.len) ? 128 : 32;
	return inet_pton(ret->most == 128 ? AF_INET6 : AF_INET, text, ret->bytes) == 1;
}

static bool cidr_read(struct span s, struct cidr *ret)
{
	struct span rest = s, address = span_cut(&rest, '/');

	*ret = (struct cidr){ 0 };
	if (address.len == s.len || rest.len == 0 || rest.len > 3 || !address_read(address, ret))
		return false;
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] < '0' || rest.ptr[i] > '9')
			return false;
		ret->bits = ret->bits * 10 + (unsigned)(rest.ptr[i] - '0');
	}
	return ret->bits <= ret->most;
}

bool cidr_is_fine(struct span s)
{
	struct cidr c;

	return cidr_read(s, &c);
}

int cidr_family(struct span s)
{
	struct cidr c;

	return !cidr_read(s, &c) ? 0 : c.most == 32 ? 4 : 6;
}

bool cidr_is_inside(struct span inner, struct span outer)
{
	struct cidr in, out;

	if (!cidr_read(inner, &in) || !cidr_read(outer, &out) || in.most != out.most || in.bits <= out.bits)
		return false;
	for (unsigned bit = 0; bit < out.bits; bit++) {
		unsigned char mask = (unsigned char)(0x80 >> (bit % 8));

		if ((in.bytes[bit / 8] & mask) != (out.bytes[bit / 8] & mask))
			return false;
	}
	return true;
}

void check_cidr(struct change *c, const struct at *at, struct span s)
{
	if (!cidr_is_fine(s))
		fault_invalid_text(c, at, s, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}
