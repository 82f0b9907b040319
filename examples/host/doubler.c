/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doubler - a server around a function: every number comes back twice as large, by REST and gRPC, by the protocols Seldon, V2
 * and V1, on one port.
 *
 *	cc doubler.c -o doubler $(pkg-config --cflags --libs hythe-host)
 *	./doubler 127.0.0.1:8080 &
 *	curl -d '{"data":{"ndarray":[[1,2.5]]}}' -H 'Content-Type: application/json' 127.0.0.1:8080/predict
 */
#include <hythe_host.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static hythe_host *host;

static void stop(int number)
{
	(void)number;
	hythe_host_stop(host);
}

/* Whole numbers stay whole: JSON's are INT64, and FP64 when one of them has a fraction. */
static int double_all(const struct hythe_array *in, void *out)
{
	size_t count = in->size / 8;

	if (in->type == HYTHE_INT64) {
		for (size_t i = 0; i < count; i++)
			((int64_t *)out)[i] = ((const int64_t *)in->data)[i] * 2;
		return 1;
	}
	if (in->type == HYTHE_FP64) {
		for (size_t i = 0; i < count; i++)
			((double *)out)[i] = ((const double *)in->data)[i] * 2;
		return 1;
	}
	return 0;
}

static void call(void *context, hythe_call *c)
{
	struct hythe_payload p = { .size = sizeof(p) };
	void *out;

	(void)context;
	if (hythe_call_method(c) != HYTHE_PREDICT) {
		hythe_reply_undefined(c);
		return;
	}
	hythe_call_payload(c, 0, &p);
	out = p.has_array ? malloc(p.array.size + 1) : NULL;
	if (!out || !double_all(&p.array, out)) {
		hythe_reply_error(c, 400, NULL, -1, "send numbers");
		free(out);
		return;
	}
	p.array.data = out;
	hythe_reply(c, &p, free, out);
}

int main(int argc, char **argv)
{
	const char *address = argc > 1 ? argv[1] : "127.0.0.1:8080";
	struct hythe_host_config config = { .size = sizeof(config),
					    .addresses = &address,
					    .address_count = 1,
					    .threads = 2,
					    .name = "doubler",
					    .kind = "example in C",
					    .platform = "c",
					    .call = call };
	char why[HYTHE_ERROR_SIZE];

	host = hythe_host_new(&config, why);
	if (!host || !hythe_host_start(host, why)) {
		fprintf(stderr, "doubler: %s\n", why);
		return 1;
	}
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	printf("http://%s\n", hythe_host_address(host, 0));
	fflush(stdout);
	hythe_host_wait(host);
	hythe_host_free(host);
	return 0;
}
