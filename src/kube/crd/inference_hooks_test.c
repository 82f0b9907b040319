/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kube/crd/hooks_kit.h"
#include "kube/crd/inference_service.h"

#define MODEL "'model':{'modelFormat':{'name':'xgboost'},'storageUri':'gs://b/m'}"

/* Of a predictor of this model and `more`. */
static const char *refusals(const char *more)
{
	char json[1024];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'iris'},'spec':{'predictor':{" MODEL "%s%s}}}",
		       *more ? "," : "", more);
	return hooks_kit_refusals(SPAN(INFERENCE_GROUP), SPAN(INFERENCE_KIND), json);
}

static void ways_to_scale_that_are_there_are_taken(void **state)
{
	static const char *const rows[] = {
		"",
		"'minReplicas':2,'maxReplicas':4",
		"'maxReplicas':4,'scaleMetric':'cpu','scaleTarget':100,'scaleMetricType':'Utilization'",
		"'maxReplicas':4,'scaleMetric':'rps','scaleTarget':5000,'scaleMetricType':'AverageValue'",
		"'minReplicas':0,'maxReplicas':4,'scaleMetric':'concurrency','scaleMetricType':'Value'",
		"'minReplicas':0",
		"'minReplicas':0,'scaleTarget':300",
		"'maxReplicas':4,'autoScaling':{'metrics':[{'type':'Resource','resource':{'name':'cpu'}}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(refusals(rows[i]), "");
}

static void what_cannot_be_had_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *more, *causes;
	} rows[] = {
		{ "'minReplicas':3,'maxReplicas':2", "spec.predictor.minReplicas FieldValueInvalid" },
		{ "'minReplicas':0,'scaleMetric':'cpu'", "spec.predictor.minReplicas FieldValueForbidden" },
		{ "'minReplicas':0,'scaleMetric':'memory'", "spec.predictor.minReplicas FieldValueForbidden" },
		{ "'maxReplicas':4,'scaleTarget':101", "spec.predictor.scaleTarget FieldValueInvalid" },
		{ "'maxReplicas':4,'scaleMetric':'rps','scaleTarget':0",
		  "spec.predictor.scaleTarget FieldValueInvalid" },
		{ "'maxReplicas':4,'scaleMetric':'rps','scaleMetricType':'Utilization'",
		  "spec.predictor.scaleMetricType FieldValueForbidden" },
		{ "'maxReplicas':4,'scaleMetric':'memory','scaleMetricType':'AverageValue'",
		  "spec.predictor.scaleMetricType FieldValueForbidden" },
		{ "'maxReplicas':4,'autoScaling':{'metrics':[{'type':'External','external':{}}]}",
		  "spec.predictor.autoScaling.metrics[0].type FieldValueForbidden" },
		{ "'logger':{'mode':'all','url':'http://log'}", "spec.predictor.logger FieldValueForbidden" },
		{ "'batcher':{'maxBatchSize':32}", "spec.predictor.batcher FieldValueForbidden" },
		{ "'minReplicas':0,'autoScaling':{'metrics':[{'type':'Resource','resource':{'name':'cpu'}}]}",
		  "spec.predictor.minReplicas FieldValueForbidden" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(refusals(rows[i].more), rows[i].causes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_to_scale_that_are_there_are_taken),
		cmocka_unit_test(what_cannot_be_had_is_refused_with_its_place),
	};

	return cmocka_run_group_tests(tests, hooks_kit_start, hooks_kit_stop);
}
