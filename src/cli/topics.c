/* SPDX-License-Identifier: Apache-2.0 */
/* topics - what `hythe help TOPIC` tells. Whatever a table knows comes from that table. */
#include "cli/options.h"
#include "inference/inference.h"
#include "metrics/metrics.h"

static void put_methods(struct buffer *out, const struct route *r)
{
	static const struct {
		unsigned bit;
		const char *name;
	} methods[] = {
		{ METHOD_GET, "GET" },       { METHOD_POST, "POST" },   { METHOD_PUT, "PUT" },
		{ METHOD_DELETE, "DELETE" }, { METHOD_PATCH, "PATCH" },
	};
	bool is_first = true;

	if (r->kind != ROUTE_HTTP) {
		buffer_append(out, SPAN("gRPC"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (!(r->methods & methods[i].bit))
			continue;
		buffer_print(out, "%s%s", is_first ? "" : ", ", methods[i].name);
		is_first = false;
	}
}

static void protocols_write(struct buffer *out)
{
	buffer_append(
	    out,
	    SPAN(
		"Every model answers in all protocols at once, on the same port, over HTTP/1.1, HTTP/2 and gRPC. With "
		"several "
		"models, paths without a name belong to the first.\n"
		"records\tone JSON object of named columns, a list of them, query parameters, or CSV with the content "
		"type "
		"text/csv: `/predict`\n"
		"V2\tthe Open Inference Protocol, REST with the binary tensor extension and gRPC: "
		"`/v2/models/NAME/infer`\n"
		"Seldon\ttensor, ndarray, tftensor, binData, strData and jsonData: `/api/v1.0/predictions`\n"
		"V1\tTensorFlow Serving and KServe: `/v1/models/NAME:predict`\n"
		"gRPC\tinference.GRPCInferenceService, seldon.protos.Model, Generic and Seldon; health and reflection\n"
		"All paths:\n"));
	for (const struct route *const *table = inference_routes; *table; table++) {
		for (const struct route *r = *table; r->pattern; r++) {
			buffer_print(out, "%s\t", r->pattern);
			put_methods(out, r);
			if (r->surface)
				buffer_print(out, " (%s)", r->surface->name);
			buffer_byte(out, '\n');
		}
	}
}

static void formats_write(struct buffer *out)
{
	buffer_append(
	    out, SPAN("The format is found from a file's content, never from its name. Every index, depth and size in "
		      "it is checked when "
		      "it is loaded.\n"
		      "ONNX\twhat scikit-learn pipelines convert to runs natively; other operators through ONNX "
		      "Runtime, when "
		      "--onnxruntime or the usual places have it\n"
		      "XGBoost\tJSON and UBJ: gbtree, dart and gblinear boosters\n"
		      "LightGBM\tthe text format of save_model\n"
		      "linear\tcoefficients in JSON or safetensors: binary, multiclass and regression\n"
		      "builtin:echo\tgives its input back: for trying clients out\n"
		      "scikit-learn's .joblib and .pkl files are Python programs; convert them to ONNX first:\n"
		      "  from skl2onnx import to_onnx\n"
		      "  open('model.onnx', 'wb').write(to_onnx(model, X[:1].astype('float32')).SerializeToString())\n"
		      "XGBoost and LightGBM models are saved by their own libraries:\n"
		      "  booster.save_model('model.json')   # XGBoost; model.ubj is smaller\n"
		      "  booster.save_model('model.txt')    # LightGBM\n"
		      "`hythe inspect FILE` tells what a file holds.\n"));
}

static void limits_write(struct buffer *out)
{
	const struct command *serve = command_find(SPAN("serve"));

	buffer_append(out,
		      SPAN("What a client may ask of `hythe serve`, and what it gets beyond. Each limit is a flag.\n"));
	for (size_t i = 0; i < serve->flag_count; i++) {
		const struct flag *f = &serve->flags[i];
		char text[CLI_TEXT_MAX];

		if (f->group && strcmp(f->group, "Limits") == 0)
			buffer_print(out, "--%s\t%s (default %s)\n", f->name, f->help, flag_default(f, text));
	}
}

static void metrics_topic_write(struct buffer *out)
{
	size_t count;
	const struct metric_family *families = metrics_families(&count);

	buffer_append(out, SPAN("`/metrics` answers in Prometheus' text format, or OpenMetrics when asked for it. "
				"Histograms have three "
				"buckets a decade, from 10 microseconds to 100 seconds.\n"));
	for (size_t i = 0; i < count; i++)
		buffer_print(out, "%s\t%s%s%s%s %s\n", families[i].name, families[i].type,
			     families[i].labels[0] ? " by " : "", families[i].labels, ":", families[i].help);
	buffer_append(out, SPAN("process_*\tmemory, processor time, open descriptors and start of the process\n"
				"hythe_build_info\tversion of the program\n"));
}

static void environment_write(struct buffer *out)
{
	buffer_append(out, SPAN("Each flag can be set in the environment: HYTHE_ and the flag's name in capitals, with "
				"_ for -. A flag on "
				"the command line wins. Lists are separated by commas.\n"
				"  HYTHE_LISTEN=:8080 HYTHE_ACCESS_LOG=json hythe serve model.onnx\n"));
	for (const struct command *c = cli_commands; c->name; c++) {
		for (size_t i = 0; i < c->flag_count; i++) {
			char variable[64];

			flag_variable(&c->flags[i], variable, sizeof(variable));
			buffer_print(out, "%s\thythe %s --%s\n", variable, c->name, c->flags[i].name);
		}
	}
}

const struct topic cli_topics[] = {
	{ "protocols", "what clients can speak, and every path", protocols_write },
	{ "formats", "the model files that can be served", formats_write },
	{ "limits", "what a client may ask, and what happens beyond", limits_write },
	{ "metrics", "what /metrics tells", metrics_topic_write },
	{ "environment", "settings by environment variables", environment_write },
	{ NULL, NULL, NULL },
};
