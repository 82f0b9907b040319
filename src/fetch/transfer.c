/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fetch/fetch_private.h"
#include "net/https_curl.h"

enum { TRIES_MAX = 4, REDIRECTS_MAX = 5, WORDS_MOST = 300, STALL_SECONDS = 60 };
#define FAILURE_MOST  KIB(64) /* of an answer that tells of a failure */
#define FIRST_WAIT_MS 250

struct transfer {
	CURL *easy;
	char words[CURL_ERROR_SIZE];
	/* Of the question under way. */
	const struct transfer_question *question;
	struct buffer failure;
	struct error err;
};

struct transfer *transfer_new(struct error *err)
{
	struct transfer *t;

	if (!curl_open(err))
		return NULL;
	t = base_calloc(1, sizeof(*t));
	t->easy = curl.easy_init();
	ASSERT(t->easy);
	buffer_init(&t->failure, FAILURE_MOST);
	return t;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	curl.easy_cleanup(t->easy);
	buffer_done(&t->failure);
	free(t);
}

static long status_of(struct transfer *t)
{
	long status = 0;

	(void)curl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *t = context;
	struct span part = { bytes, size * count };

	if (status_of(t) != 200) {
		buffer_append(&t->failure, part);
		return part.len;
	}
	if (t->question->place)
		return place_write(t->question->place, part, &t->err) ? part.len : 0;
	buffer_append(t->question->body, part);
	return buffer_ok(t->question->body, "a list of objects", &t->err) ? part.len : 0;
}

static void options_set(struct transfer *t, const struct transfer_question *q, const char *url,
			struct curl_slist *headers)
{
	bool is_plain = span_starts(q->url, SPAN("http://"));

	(void)curl.easy_setopt(t->easy, CURLOPT_URL, url);
	(void)curl.easy_setopt(t->easy, CURLOPT_HTTPHEADER, headers);
	(void)curl.easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, is_plain ? "http" : "https");
	/* From what is encrypted nothing leads to what is not. */
	(void)curl.easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS_STR, is_plain ? "http,https" : "https");
	(void)curl.easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, q->follows ? 1L : 0L);
	(void)curl.easy_setopt(t->easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	(void)curl.easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl.easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->words);
	(void)curl.easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl.easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	(void)curl.easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
	(void)curl.easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl.easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	(void)curl.easy_setopt(t->easy, CURLOPT_USERAGENT, "hythe/" HYTHE_VERSION);
}

/* The element <Message> of S3's errors, the member "message" of Google's; else the text's start. */
static struct span failure_words(struct span text)
{
	const char *from = memmem(text.ptr, text.len, "<Message>", 9), *end;

	if (from) {
		from += 9;
		end = memmem(from, (size_t)(text.ptr + text.len - from), "</Message>", 10);
		return end ? span_from(from, (size_t)(end - from)) : (struct span){ 0 };
	}
	from = memmem(text.ptr, text.len, "\"message\": \"", 12);
	if (from) {
		from += 12;
		end = memchr(from, '"', (size_t)(text.ptr + text.len - from));
		return end ? span_from(from, (size_t)(end - from)) : (struct span){ 0 };
	}
	text = span_trim(span_first(text, WORDS_MOST));
	return text.len && text.ptr[0] == '<' ? (struct span){ 0 } : text; /* a page for people */
}

static enum error_code code_of(long status)
{
	return status == 401                    ? ERROR_UNAUTHENTICATED
	       : status == 403                  ? ERROR_FORBIDDEN
	       : status == 404                  ? ERROR_NOT_FOUND
	       : status == 429 || status >= 500 ? ERROR_UNAVAILABLE
						: ERROR_INVALID;
}

/* Once. */
static bool try_get(struct transfer *t, const char *url, struct curl_slist *headers)
{
	CURLcode code;
	long status;
	struct span words;

	t->err = (struct error){ 0 };
	t->words[0] = '\0';
	buffer_clear(&t->failure);
	options_set(t, t->question, url, headers);
	code = curl.easy_perform(t->easy);
	status = status_of(t);
	if (t->err.code)
		return false;
	if (code != CURLE_OK)
		return error_set(&t->err, ERROR_UNAVAILABLE, "%s: %s", url,
				 t->words[0] ? t->words : curl.easy_strerror(code));
	if (status == 200)
		return true;
	words = failure_words(buffer_span(&t->failure));
	return error_set(&t->err, code_of(status), "%s: HTTP %ld%s" SPAN_FMT, url, status, words.len ? ": " : "",
			 SPAN_ARG(words));
}

static void wait_ms(long ms)
{
	struct timespec left = { ms / 1000, (ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0)
		;
}

bool transfer_get(struct transfer *t, const struct transfer_question *q, struct error *err)
{
	AUTO_FREE char *url = span_to_text(q->url);
	struct curl_slist *headers = NULL;
	bool ok = false;

	t->question = q;
	for (size_t i = 0; i < q->header_count; i++)
		headers = curl.slist_append(headers, q->headers[i].ptr);
	for (int i = 0; i < TRIES_MAX; i++) {
		if (i > 0) {
			wait_ms(FIRST_WAIT_MS << i);
			if (q->body)
				buffer_clear(q->body);
			if (q->place && !place_again(q->place, &t->err))
				break;
		}
		ok = try_get(t, url, headers);
		if (ok || t->err.code != ERROR_UNAVAILABLE)
			break;
	}
	(void)curl.easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
	curl.slist_free_all(headers);
	t->question = NULL;
	if (!ok)
		*err = t->err;
	return ok;
}
