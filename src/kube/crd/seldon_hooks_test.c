/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube/crd/hooks_kit.h"
#include "kube/crd/seldon.h"

#define HEAD  "{'spec':{'predictors':["
#define TAIL  "]}}"
#define IMAGE "'componentSpecs':[{'spec':{'containers':[{'name':'c','image':'i'}]}}]"
#define PLAIN "'graph':{'name':'c','type':'MODEL'}," IMAGE

static const char *refusals(const char *json)
{
	return hooks_kit_refusals(SPAN(SELDON_GROUP), SPAN(SELDON_KIND), json);
}

static void what_the_operator_takes_is_taken(void **state)
{
	static const char *const rows[] = {
		HEAD "{'name':'a'," PLAIN "}" TAIL,
		/* The container's name and the node's differ, where there is one of each. */
		HEAD
		"{'name':'a','graph':{'name':'node','type':'MODEL','endpoint':{'type':'REST'},'children':[]}," IMAGE
		"}" TAIL,
		HEAD "{'name':'a','traffic':75," PLAIN "},{'name':'b','traffic':25," PLAIN "}" TAIL,
		HEAD "{'name':'a','traffic':100," PLAIN "},{'name':'b','shadow':true,'traffic':10," PLAIN "}" TAIL,
		HEAD "{'name':'a','graph':{'name':'c','implementation':'SKLEARN_SERVER','modelUri':'gs://b/m'}}" TAIL,
		/* A server's container may say no more than its resources. */
		HEAD
		"{'name':'a','graph':{'name':'c','implementation':'XGBOOST_SERVER','modelUri':'gs://b/m'},"
		"'componentSpecs':[{'spec':{'containers':[{'name':'c','resources':{'limits':{'cpu':'1'}}}]}}]}" TAIL,
		"{'spec':{'protocol':'kfserving','transport':'grpc','predictors':[{'name':'a'," PLAIN "}]}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(refusals(rows[i]), "");
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
	static const struct {
		const char *json, *causes;
	} rows[] = {
		{ "{'spec':{'predictors':[]}}", "spec.predictors FieldValueRequired" },
		{ "{'spec':{'protocol':'soap','transport':'smoke','serverType':'desk','predictors':[{'name':'a'," PLAIN
		  "}]}}",
		  "spec.protocol FieldValueNotSupported; spec.transport FieldValueNotSupported; spec.serverType "
		  "FieldValueNotSupported" },
		{ HEAD "{'name':'a','traffic':50," PLAIN "},{'name':'a','traffic':50," PLAIN "}" TAIL,
		  "spec.predictors[1].name FieldValueDuplicate" },
		{ HEAD "{'name':'a','traffic':50,'annotations':{'seldon.io/svc-name':'s'}," PLAIN
		       "},{'name':'b','traffic':50,'annotations':{'seldon.io/svc-name':'s'}," PLAIN "}" TAIL,
		  "spec.predictors[1].annotations[seldon.io/svc-name] FieldValueDuplicate" },
		{ HEAD "{'name':'a','graph':{'name':'x'}}" TAIL, "spec.predictors[0].graph.name FieldValueInvalid" },
		{ HEAD "{'name':'a','graph':{'name':'c','type':'UNKNOWN_TYPE'}," IMAGE "}" TAIL,
		  "spec.predictors[0].graph.methods FieldValueRequired; spec.predictors[0].graph.type "
		  "FieldValueForbidden" },
		{ HEAD "{'name':'a','graph':{'name':'c','implementation':'SKLEARN_SERVER'}}" TAIL,
		  "spec.predictors[0].graph.modelUri FieldValueRequired" },
		{ HEAD "{'name':'a','graph':{'name':'c','implementation':'NO_SERVER','modelUri':'gs://b'}}" TAIL,
		  "spec.predictors[0].graph.implementation FieldValueInvalid" },
		{ HEAD "{'name':'a','graph':{'name':'c','implementation':'HUGGINGFACE_SERVER'}}" TAIL,
		  "spec.predictors[0].graph.implementation FieldValueInvalid" },
		{ "{'spec':{'protocol':'tensorflow','predictors':[{'name':'a','graph':{'name':'c','implementation':"
		  "'SKLEARN_SERVER','modelUri':'gs://b'}}]}}",
		  "spec.predictors[0].graph.implementation FieldValueInvalid" },
		{ HEAD "{'name':'a','traffic':60," PLAIN "},{'name':'b','traffic':60," PLAIN "}" TAIL,
		  "spec.predictors FieldValueInvalid" },
		{ HEAD "{'name':'a','traffic':60," PLAIN "}" TAIL, "spec.predictors FieldValueInvalid" },
		{ HEAD "{'name':'a','shadow':true," PLAIN "}" TAIL, "spec.predictors FieldValueForbidden" },
		{ HEAD "{'name':'a'," PLAIN "},{'name':'b','shadow':true,'traffic':101," PLAIN
		       "},{'name':'d','shadow':true," PLAIN "}" TAIL,
		  "spec.predictors[1].traffic FieldValueInvalid; spec.predictors FieldValueForbidden" },
		{ "{'spec':{'transport':'grpc','predictors':[{'name':'a','graph':{'name':'c','endpoint':{'type':'REST'}"
		  "}," IMAGE "}]}}",
		  "spec.predictors[0].graph.endpoint.type FieldValueInvalid" },
		{ HEAD "{'name':'a','graph':{'name':'c'},'componentSpecs':[{'spec':{'containers':[{'name':'C!','image':"
		       "'i'}]}}]}" TAIL,
		  "spec.predictors[0].componentSpecs[0].spec.containers[0].name FieldValueInvalid" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(refusals(rows[i].json), rows[i].causes);
}

static void what_is_not_there_yet_is_refused_in_words(void **state)
{
	(void)state;
	assert_string_equal(refusals(HEAD
				     "{'name':'a','graph':{'name':'c','type':'MODEL','children':[{'name':'d','type':"
				     "'MODEL'}]},'componentSpecs':[{'spec':{'containers':[{'name':'c','image':'i'},"
				     "{'name':'d','image':'i'}]}}]}" TAIL),
			    "spec.predictors[0].graph.children FieldValueForbidden");
	assert_string_equal(refusals(HEAD "{'name':'a','graph':{'name':'c','implementation':'SIMPLE_MODEL'}}" TAIL),
			    "spec.predictors[0].graph.implementation FieldValueForbidden");
	assert_string_equal(refusals(HEAD "{'name':'a','graph':{'name':'c','logger':{'mode':'all'}}," IMAGE "}" TAIL),
			    "spec.predictors[0].graph.logger FieldValueForbidden");
	assert_string_equal(refusals(HEAD "{'name':'a','explainer':{'type':'ALE'}," PLAIN "}" TAIL),
			    "spec.predictors[0].explainer FieldValueForbidden");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_operator_takes_is_taken),
		cmocka_unit_test(what_is_wrong_is_told_with_its_place),
		cmocka_unit_test(what_is_not_there_yet_is_refused_in_words),
	};

	return cmocka_run_group_tests(tests, hooks_kit_start, hooks_kit_stop);
}
