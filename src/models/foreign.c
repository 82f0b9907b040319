/* SPDX-License-Identifier: Apache-2.0 */
/* foreign - files people try that are not served as they are. Each is recognised to say what helps. */
#include "models/table.h"

#define CONVERT_PICKLE "convert it with examples/convert_sklearn.py MODEL.joblib MODEL.onnx"

struct foreign {
	const char *magic;
	size_t length;
	const char *message; /* "the file ..." */
};

#define MAGIC(text) text, sizeof(text) - 1

static const struct foreign foreigners[] = {
	{ MAGIC("\x80\x02"), "is a scikit-learn/Python pickle: " CONVERT_PICKLE },
	{ MAGIC("\x80\x03"), "is a scikit-learn/Python pickle: " CONVERT_PICKLE },
	{ MAGIC("\x80\x04"), "is a scikit-learn/Python pickle: " CONVERT_PICKLE },
	{ MAGIC("\x80\x05"), "is a scikit-learn/Python pickle: " CONVERT_PICKLE },
	{ MAGIC("\x78\x01"), "is a compressed scikit-learn/Python pickle (zlib): " CONVERT_PICKLE },
	{ MAGIC("\x78\x5e"), "is a compressed scikit-learn/Python pickle (zlib): " CONVERT_PICKLE },
	{ MAGIC("\x78\x9c"), "is a compressed scikit-learn/Python pickle (zlib): " CONVERT_PICKLE },
	{ MAGIC("\x78\xda"), "is a compressed scikit-learn/Python pickle (zlib): " CONVERT_PICKLE },
	{ MAGIC("\x1f\x8b"),
	  "is compressed with gzip: unpack it, or if it is a scikit-learn/Python pickle " CONVERT_PICKLE },
	{ MAGIC("\xfd"
		"7zXZ"),
	  "is compressed with xz: unpack it, or if it is a scikit-learn/Python pickle " CONVERT_PICKLE },
	{ MAGIC("\x5d\0\0"),
	  "is compressed with lzma: unpack it, or if it is a scikit-learn/Python pickle " CONVERT_PICKLE },
	{ MAGIC("\x04\x22\x4d\x18"),
	  "is compressed with lz4: unpack it, or if it is a scikit-learn/Python pickle " CONVERT_PICKLE },
	{ MAGIC("\x28\xb5\x2f\xfd"), "is compressed with zstd: unpack it first" },
	{ MAGIC("BZh"),
	  "is compressed with bzip2: unpack it, or if it is a scikit-learn/Python pickle " CONVERT_PICKLE },
	{ MAGIC("PK\3\4"), "is a zip archive, as PyTorch and Keras write them: export the model to ONNX "
			   "(torch.onnx.export, or tf2onnx for Keras)" },
	{ MAGIC("\x89HDF"), "is an HDF5 file, as Keras writes them: convert it to ONNX with tf2onnx" },
	{ MAGIC("\x93NUMPY"), "is a NumPy array, not a model" },
	{ MAGIC("binf"), "is in XGBoost's old binary form: load it in XGBoost and save_model('model.json')" },
	{ MAGIC("CBM1"), "is a CatBoost model: save_model('model.onnx', format='onnx')" },
	{ MAGIC("PMML"), "is PMML: export the model to ONNX" },
	{ MAGIC("<?xml"), "is XML, perhaps PMML: export the model to ONNX" },
};

/* Lines that start Python files and hardly anything else. */
static const struct span python_starts[] = {
	SPAN_INIT("import "),
	SPAN_INIT("from "),
	SPAN_INIT("class "),
	SPAN_INIT("def "),
	SPAN_INIT("#!/usr/bin/env python"),
	SPAN_INIT("#!/usr/bin/python"),
	SPAN_INIT("# -*- coding"),
	SPAN_INIT("@"),
};

/* The first line that is neither empty, nor a comment, nor a one-line docstring. */
static bool is_python(struct span head)
{
	while (head.len) {
		struct span line = span_cut(&head, '\n');

		for (size_t i = 0; i < ARRAY_LEN(python_starts); i++) {
			if (span_starts(line, python_starts[i]))
				return true;
		}
		line = span_trim(line);
		if (span_starts(line, SPAN("\"\"\"")))
			return true;
		if (line.len && line.ptr[0] != '#')
			return false;
	}
	return false;
}

static const struct foreign *find(struct span head)
{
	for (size_t i = 0; i < ARRAY_LEN(foreigners); i++) {
		if (span_starts(head, (struct span){ foreigners[i].magic, foreigners[i].length }))
			return &foreigners[i];
	}
	return NULL;
}

/* Under every real format's certainty. */
static int probe(struct span head)
{
	return find(head) || is_python(head) ? 20 : 0;
}

static struct model *load(struct span bytes, const struct model_options *options, struct error *err)
{
	const struct foreign *f = find(span_first(bytes, KIB(8)));

	(void)options;
	error_set(err, ERROR_UNIMPLEMENTED, "the file %s",
		  f ? f->message
		    : "is Python code, which is not served yet: save the trained model and convert it to ONNX, for "
		      "scikit-learn with examples/convert_sklearn.py MODEL.joblib MODEL.onnx");
	return NULL;
}

const struct model_format format_foreign = { .name = "foreign", .probe = probe, .load = load };
