/* SPDX-License-Identifier: Apache-2.0 */
/* kube_reviews_fuzz - what webhooks answer: AdmissionReviews and ConversionReviews, with the patches and objects in them. */
#include "kube/admission/review.h"
#include "kube/crd/convert.h"
#include "kube/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define UID SPAN("6f1d8e6c-0000-4000-8000-000000000000")

static void admission(struct span text, const char *version, bool may_patch, struct arena *arena)
{
	struct review_answer answer = { 0 };
	struct value object = value_object(), patched;
	struct error err = { 0 };
	bool is_unprocessable, good = review_read(text, version, UID, may_patch, arena, &answer, &err);

	if (good != (err.code == ERROR_NONE) || (answer.patch && (!may_patch || !answer.is_allowed)))
		__builtin_trap();
	if (good && answer.patch)
		(void)patch_json(&object, answer.patch, arena, &patched, &is_unprocessable, &err);
}

static void conversion(struct span text, const char *version, const struct value *original, struct arena *arena)
{
	struct error err = { 0 };
	const struct value *list = convert_review_read(text, version, UID, arena, &err);

	if (!list) {
		if (err.code == ERROR_NONE)
			__builtin_trap();
		return;
	}
	for (uint32_t i = 0; i < list->array.count; i++) {
		const struct value *made = convert_take(original, value_item(list, i), SPAN("a.test/v2"), arena, &err);

		/* What may not change has not. */
		if (made && (!span_equal(value_find_string(made, "metadata.name"), SPAN("a")) ||
			     !span_equal(value_find_string(made, "metadata.uid"), SPAN("u")) ||
			     value_find(made, "metadata.finalizers")))
			__builtin_trap();
		err = (struct error){ 0 };
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char text[] =
	    "{\"apiVersion\":\"a.test/v1\",\"kind\":\"Place\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}";
	struct span input = { (const char *)data, len };
	struct value original;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(64));
	if (!value_parse(SPAN(text), NULL, &arena, &original, &err))
		__builtin_trap();
	for (int i = 0; i < 4; i++)
		admission(input, i & 1 ? "v1" : "v1beta1", i & 2, &arena);
	conversion(input, "v1", &original, &arena);
	conversion(input, "v1beta1", &original, &arena);
	arena_done(&arena);
	return 0;
}
