/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch_private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena arena;

static void a_page_of_s3_is_read(void **state)
{
	struct listing list = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_true(
	    listing_read_s3(SPAN("<?xml version=\"1.0\"?>\n<ListBucketResult "
				 "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
				 "<Prefix>m/</Prefix><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
				 "<Contents><Key>m/a+b%2Bc%C3%A9.txt</Key><Size>12</Size><StorageClass>STANDARD</"
				 "StorageClass></Contents>"
				 "<Contents><Key>m/sub/&lt;x&gt;&amp;</Key><LastModified>x</"
				 "LastModified><Size>18446744073709551615</Size></Contents>"
				 "<NextContinuationToken>1ueG/&amp;==</NextContinuationToken></ListBucketResult>"),
			    &arena, &list, &err));
	assert_int_equal(list.count, 2);
	assert_true(span_equal(list.items[0].key, SPAN("m/a b+c\xc3\xa9.txt")));
	assert_int_equal(list.items[0].size, 12);
	assert_true(span_equal(list.items[1].key, SPAN("m/sub/<x>&")));
	assert_true(span_equal(list.next, SPAN("1ueG/&==")));
	assert_true(listing_read_s3(SPAN("<ListBucketResult/>"), &arena, &list, &err));
	assert_int_equal(list.count, 2);
	assert_int_equal(list.next.len, 0);
}

static void a_page_of_google_is_read(void **state)
{
	struct listing list = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_true(listing_read_gs(SPAN("{\"items\":[{\"name\":\"m/model.joblib\",\"size\":\"952\"},{\"name\":\"m/"
					 "\"}],\"nextPageToken\":\"t\"}"),
				    &arena, &list, &err));
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].size, 952);
	assert_true(span_equal(list.next, SPAN("t")));
	assert_true(listing_read_gs(SPAN("{}"), &arena, &list, &err));
	assert_int_equal(list.next.len, 0);
}

static void what_is_no_list_is_told(void **state)
{
	static const char *const xml[] = {
		"", "<html>no</html>", "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>"
	};
	static const char *const json[] = { "", "[]", "{\"items\":[{}]}",
					    "{\"items\":[{\"name\":\"a\",\"size\":\"x\"}]}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(xml); i++) {
		struct listing list = { 0 };
		struct error err = { 0 };

		assert_false(listing_read_s3(span_of(xml[i]), &arena, &list, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_LEN(json); i++) {
		struct listing list = { 0 };
		struct error err = { 0 };

		assert_false(listing_read_gs(span_of(json[i]), &arena, &list, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_of_s3_is_read),
		cmocka_unit_test(a_page_of_google_is_read),
		cmocka_unit_test(what_is_no_list_is_told),
	};
	int failed;

	arena_init(&arena, MIB(4));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
