/* SPDX-License-Identifier: Apache-2.0 */
/* LinearClassifier, LinearRegressor, SVMClassifier, SVMRegressor; labels and transforms that tree ensembles share. */
#include "models/onnx.h"

#include <math.h>

/* ---- labels ---- */

bool onnx_labels_get(struct onnx_prepare *p, const char *ints, const char *strings, struct onnx_labels *ret,
		     struct error *err)
{
	size_t int_count, string_count;

	if (!onnx_ints(p, ints, &ret->ints, &int_count, err) ||
	    !onnx_strings(p, strings, &ret->strings, &string_count, err))
		return false;
	if ((int_count == 0) == (string_count == 0))
		return error_set(err, ERROR_INVALID, "one of '%s' and '%s' must be there", ints, strings);
	ret->count = int_count + string_count;
	if (int_count)
		ret->strings = NULL;
	return true;
}

bool onnx_labels_new(struct onnx_run *r, const struct onnx_labels *labels, size_t rows, struct tensor *ret,
		     struct error *err)
{
	return onnx_new(r, ret, labels->strings ? DTYPE_BYTES : DTYPE_INT64, 1, (int64_t[]){ (int64_t)rows }, err);
}

bool onnx_note_classes(struct onnx_prepare *p, const struct onnx_labels *labels, struct error *err)
{
	struct onnx_facts *facts = onnx_facts(p);
	struct span *names = ARENA_ARRAY(p->arena, struct span, labels->count, err);

	if (!names)
		return false;
	for (size_t i = 0; i < labels->count; i++) {
		names[i] = labels->strings ? labels->strings[i]
					   : arena_print(p->arena, err, "%lld", (long long)labels->ints[i]);
		if (!names[i].ptr)
			return false;
	}
	facts->classes = names;
	facts->class_count = labels->count;
	return true;
}

/* ---- transforms ---- */

bool onnx_transform_get(struct onnx_prepare *p, enum onnx_transform *ret, struct error *err)
{
	static const char *const names[] = { "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT", NULL };
	int found;

	if (!onnx_choice(p, "post_transform", names, &found, err))
		return false;
	*ret = (enum onnx_transform)found;
	return true;
}

/* The quantile function of the normal distribution, with Winitzki's approximation of the inverse error function (2008),
 * in the same constants as other engines, whose results are what a model was checked with. */
static float probit(float v)
{
	float x = 2 * v - 1, sign = x < 0 ? -1.0f : 1.0f, log_term, a, b;

	log_term = logf((1 - x) * (1 + x));
	a = 2 / (3.14159f * 0.147f) + 0.5f * log_term;
	b = log_term / 0.147f;
	return 1.41421356f * sign * sqrtf(-a + sqrtf(a * a - b));
}

ONNX_CLONES static void exponentials(float *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = onnx_exp(v[i]);
}

void onnx_softmax_rows(float *values, size_t rows, size_t columns)
{
	for (size_t i = 0; i < rows; i++) {
		float *v = values + i * columns, most = -INFINITY;

		for (size_t j = 0; j < columns; j++)
			most = v[j] > most ? v[j] : most;
		for (size_t j = 0; j < columns; j++)
			v[j] -= most;
	}
	exponentials(values, rows * columns); /* of all at once: rows are often shorter than a vector */
	for (size_t i = 0; i < rows; i++) {
		float *v = values + i * columns, sum = 0;

		for (size_t j = 0; j < columns; j++)
			sum += v[j];
		for (size_t j = 0; j < columns; j++)
			v[j] /= sum;
	}
}

/* Softmax that leaves zeros out of the sum. */
static void softmax_zero_row(float *v, size_t n)
{
	float most = -INFINITY, sum = 0;

	for (size_t i = 0; i < n; i++)
		most = v[i] > most ? v[i] : most;
	for (size_t i = 0; i < n; i++) {
		bool zero = v[i] <= 1e-7f && v[i] >= -1e-7f;

		v[i] = zero ? v[i] * onnx_exp(-most) : onnx_exp(v[i] - most);
		sum += zero ? 0 : v[i];
	}
	for (size_t i = 0; i < n; i++)
		v[i] /= sum;
}

ONNX_CLONES static void sigmoids(float *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = onnx_sigmoid(v[i]);
}

void onnx_transform_rows(enum onnx_transform t, float *values, size_t rows, size_t columns)
{
	switch (t) {
	case ONNX_NONE_TRANSFORM:
		return;
	case ONNX_LOGISTIC:
		sigmoids(values, rows * columns);
		return;
	case ONNX_SOFTMAX:
		onnx_softmax_rows(values, rows, columns);
		return;
	case ONNX_SOFTMAX_ZERO:
		for (size_t i = 0; i < rows; i++)
			softmax_zero_row(values + i * columns, columns);
		return;
	case ONNX_PROBIT:
		for (size_t i = 0; i < rows * columns; i++)
			values[i] = probit(values[i]);
		return;
	}
}

/* ---- linear scores ---- */

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));

static inline __attribute__((always_inline)) float dot(const float *a, const float *b, size_t n, float sum)
{
	lanes s0 = { 0 }, s1 = { 0 };
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		s0 += *(const lanes *)(a + i) * *(const lanes *)(b + i);
		s1 += *(const lanes *)(a + i + 8) * *(const lanes *)(b + i + 8);
	}
	for (; i + 8 <= n; i += 8)
		s0 += *(const lanes *)(a + i) * *(const lanes *)(b + i);
	s0 += s1;
	for (; i < n; i++)
		sum += a[i] * b[i];
	return sum + (((s0[0] + s0[4]) + (s0[1] + s0[5])) + ((s0[2] + s0[6]) + (s0[3] + s0[7])));
}

struct linear {
	size_t features, outputs;
	const float *weights;    /* [outputs, features] */
	const float *transposed; /* [features, outputs] */
	const float *bias;
	enum onnx_transform transform;
	bool mirrored;   /* two outputs, the first the negative of the second: one sum does */
	bool adds_class; /* one output, two labels */
	struct onnx_labels labels;
};

/* Scores into `out`, [rows, outputs]. */
ONNX_CLONES static void linear_scores(const struct linear *l, const float *x, size_t rows, float *out)
{
	size_t n = l->features, k = l->outputs;

	if (l->mirrored) {
		for (size_t i = 0; i < rows; i++) {
			float s = dot(x + i * n, l->weights + n, n, l->bias[1]);

			out[2 * i] = -s;
			out[2 * i + 1] = s;
		}
		return;
	}
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < k; j++)
			out[i * k + j] = dot(x + i * n, l->weights + j * n, n, l->bias[j]);
}

static bool linear_prepare(struct onnx_prepare *p, struct linear *l, size_t outputs, struct error *err)
{
	const float *bias;
	float *transposed, *filled;
	size_t count, bias_count;

	if (!onnx_transform_get(p, &l->transform, err) || !onnx_floats(p, "coefficients", &l->weights, &count, err) ||
	    !onnx_floats(p, "intercepts", &bias, &bias_count, err))
		return false;
	if (outputs == 0)
		outputs = bias_count ? bias_count : l->labels.count;
	if (bias_count && bias_count != outputs)
		return error_set(err, ERROR_INVALID, "%zu intercepts for %zu outputs", bias_count, outputs);
	if (outputs == 0 || count == 0 || count % outputs)
		return error_set(err, ERROR_INVALID, "%zu coefficients do not divide into %zu outputs", count, outputs);
	l->outputs = outputs;
	l->features = count / outputs;
	filled = arena_calloc(p->arena, outputs, sizeof(float), err);
	transposed = ARENA_ARRAY(p->arena, float, count, err);
	if (!filled || !transposed)
		return false;
	if (bias_count)
		memcpy(filled, bias, bias_count * sizeof(float));
	for (size_t i = 0; i < outputs; i++)
		for (size_t j = 0; j < l->features; j++)
			transposed[j * outputs + i] = l->weights[i * l->features + j];
	l->bias = filled;
	l->transposed = transposed;
	l->mirrored = outputs == 2 && filled[0] == -filled[1];
	for (size_t j = 0; l->mirrored && j < l->features; j++)
		l->mirrored = l->weights[j] == -l->weights[l->features + j];
	return true;
}

/* Rows and their numbers as float, and scores for them. */
static bool linear_run(struct onnx_run *r, const struct onnx_step *step, const struct linear *l, size_t columns,
		       struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	size_t rows, features;
	const float *from;

	if (!onnx_rows(x, &rows, &features, err))
		return false;
	if (UNLIKELY(features != l->features))
		return error_set(err, ERROR_INVALID, "%zu columns were given, %zu were expected", features,
				 l->features);
	if (!onnx_floats_of(r, x, &from, err) ||
	    !onnx_new(r, out, DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, (int64_t)columns }, err))
		return false;
	if (l->outputs >= 8)
		onnx_gemm_float(rows, l->outputs, l->features, from, l->transposed, l->bias, out->data);
	else
		linear_scores(l, from, rows, out->data);
	return true;
}

static bool classifier_prepare(struct onnx_prepare *p, struct error *err)
{
	struct linear *l = ARENA_NEW(p->arena, struct linear, err);

	onnx_ignore(p, "multi_class"); /* the coefficients tell */
	if (!l || !onnx_labels_get(p, "classlabels_ints", "classlabels_strings", &l->labels, err) ||
	    !linear_prepare(p, l, 0, err))
		return false;
	l->adds_class = l->outputs == 1 && l->labels.count == 2;
	if (l->outputs != l->labels.count && !l->adds_class)
		return error_set(err, ERROR_INVALID, "%zu labels for %zu outputs", l->labels.count, l->outputs);
	p->step->state = l;
	return onnx_note_classes(p, &l->labels, err);
}

/* Before the transform: the largest score wins, the first of equals; a single score against 0. */
static void put_labels(const struct linear *l, const float *scores, size_t rows, struct tensor *out)
{
	size_t k = l->outputs;

	for (size_t i = 0; i < rows; i++) {
		const float *s = scores + i * k;
		size_t best = 0;

		if (k == 1)
			best = s[0] > 0;
		for (size_t j = 1; j < k; j++)
			best = s[j] > s[best] ? j : best;
		onnx_label_put(&l->labels, out, i, MIN(best, l->labels.count - 1));
	}
}

static bool classifier_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct linear *l = step->state;
	struct tensor spare, *scores = step->out_count > 1 ? &out[1] : &spare;
	size_t rows;
	float *s;

	if (!linear_run(r, step, l, l->adds_class ? 2 : l->outputs, scores, err))
		return false;
	rows = (size_t)scores->shape[0];
	if (!onnx_labels_new(r, &l->labels, rows, out, err))
		return false;
	s = scores->data;
	put_labels(l, s, rows, out);
	if (!l->adds_class) {
		onnx_transform_rows(l->transform, s, rows, l->outputs);
		return true;
	}
	for (size_t i = rows; i-- > 0;) { /* from the back: the scores lie close together in front */
		float v = s[i];

		if (l->transform == ONNX_LOGISTIC) {
			s[2 * i] = onnx_sigmoid(-v);
			s[2 * i + 1] = onnx_sigmoid(v);
			continue;
		}
		v = l->transform == ONNX_PROBIT ? probit(v) : v;
		s[2 * i] = 1 - v;
		s[2 * i + 1] = v;
	}
	return true;
}

static bool regressor_prepare(struct onnx_prepare *p, struct error *err)
{
	struct linear *l = ARENA_NEW(p->arena, struct linear, err);
	int64_t targets;

	if (!l || !onnx_int(p, "targets", 1, &targets, err))
		return false;
	if (targets < 1)
		return error_set(err, ERROR_INVALID, "attribute 'targets' is %lld", (long long)targets);
	if (!linear_prepare(p, l, (size_t)targets, err))
		return false;
	onnx_facts(p)->regressor = true;
	p->step->state = l;
	return true;
}

static bool regressor_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct linear *l = step->state;

	if (!linear_run(r, step, l, l->outputs, out, err))
		return false;
	if (l->outputs > 1 ||
	    l->transform == ONNX_PROBIT) /* one softmax is 1; one logistic other engines leave as it is */
		onnx_transform_rows(l->transform, out->data, (size_t)out->shape[0], l->outputs);
	return true;
}

/* ---- support vector machines ---- */

enum kernel { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF, KERNEL_SIGMOID };

struct svm {
	enum kernel kernel;
	float gamma, coef0, degree;
	size_t features, vectors;
	const float *transposed; /* support vectors, [features, vectors]: kernels of many vectors at a time */
	const float *coefficients;
	const float *rho;
	enum onnx_transform transform;

	struct onnx_labels labels; /* classifier */
	const int64_t *per_class;
	const float *prob_a, *prob_b; /* or NULL */
	struct linear linear;         /* without support vectors */
	bool is_linear, all_positive;
	bool one_class;
};

/* The kernel of one row with each support vector. */
ONNX_CLONES static void kernels(const struct svm *s, const float *restrict x, float *restrict out)
{
	size_t n = s->vectors;

	memset(out, 0, n * sizeof(float));
	for (size_t f = 0; f < s->features; f++) {
		const float *restrict v = s->transposed + f * n;
		float e = x[f];

		if (s->kernel == KERNEL_RBF)
			for (size_t i = 0; i < n; i++)
				out[i] += (e - v[i]) * (e - v[i]);
		else
			for (size_t i = 0; i < n; i++)
				out[i] += e * v[i];
	}
	switch (s->kernel) {
	case KERNEL_LINEAR:
		break;
	case KERNEL_RBF:
		for (size_t i = 0; i < n; i++)
			out[i] = onnx_exp(-s->gamma * out[i]);
		break;
	case KERNEL_POLY:
		for (size_t i = 0; i < n; i++)
			out[i] = powf(s->gamma * out[i] + s->coef0, s->degree);
		break;
	case KERNEL_SIGMOID:
		for (size_t i = 0; i < n; i++)
			out[i] = tanhf(s->gamma * out[i] + s->coef0);
		break;
	}
}

static bool svm_prepare(struct onnx_prepare *p, struct svm *s, size_t *ret_coefficients, size_t *ret_rho,
			struct error *err)
{
	static const char *const names[] = { "LINEAR", "POLY", "RBF", "SIGMOID", NULL };
	const float *params, *vectors;
	size_t count, param_count;
	float *transposed;
	int kernel;

	if (!onnx_choice(p, "kernel_type", names, &kernel, err) ||
	    !onnx_floats(p, "kernel_params", &params, &param_count, err) ||
	    !onnx_floats(p, "support_vectors", &vectors, &count, err) ||
	    !onnx_floats(p, "coefficients", &s->coefficients, ret_coefficients, err) ||
	    !onnx_floats(p, "rho", &s->rho, ret_rho, err) || !onnx_transform_get(p, &s->transform, err))
		return false;
	if (param_count != 0 && param_count != 3)
		return error_set(err, ERROR_INVALID, "%zu kernel_params, 3 were expected", param_count);
	s->kernel = (enum kernel)kernel;
	if (param_count) {
		s->gamma = params[0];
		s->coef0 = params[1];
		s->degree = params[2];
	}
	if (*ret_rho == 0 || *ret_coefficients == 0)
		return error_set(err, ERROR_INVALID, "attribute '%s' is missing", *ret_rho ? "coefficients" : "rho");
	s->is_linear = s->vectors == 0;
	if (s->is_linear)
		return true;
	if (count == 0 || count % s->vectors)
		return error_set(err, ERROR_INVALID, "%zu numbers do not divide into %zu support vectors", count,
				 s->vectors);
	s->features = count / s->vectors;
	transposed = ARENA_ARRAY(p->arena, float, count, err);
	if (!transposed)
		return false;
	for (size_t i = 0; i < s->vectors; i++)
		for (size_t j = 0; j < s->features; j++)
			transposed[j * s->vectors + i] = vectors[i * s->features + j];
	s->transposed = transposed;
	return true;
}

/* Without support vectors the coefficients are a linear model, rho[0] its only intercept. */
static bool svm_linear(struct onnx_prepare *p, struct svm *s, size_t outputs, size_t coefficients, struct error *err)
{
	float *bias = ARENA_ARRAY(p->arena, float, outputs, err);

	if (!bias)
		return false;
	if (s->kernel != KERNEL_LINEAR && p->node->op.len == sizeof("SVMRegressor") - 1)
		return error_set(err, ERROR_UNIMPLEMENTED, "a kernel without support vectors is not supported");
	if (coefficients % outputs)
		return error_set(err, ERROR_INVALID, "%zu coefficients do not divide into %zu outputs", coefficients,
				 outputs);
	for (size_t i = 0; i < outputs; i++)
		bias[i] = s->rho[0];
	s->linear = (struct linear){ .features = coefficients / outputs,
				     .outputs = outputs,
				     .weights = s->coefficients,
				     .bias = bias,
				     .labels = s->labels };
	s->features = s->linear.features;
	return true;
}

static bool svm_classifier_sizes(struct svm *s, size_t coefficients, size_t rho, size_t a, size_t b, struct error *err)
{
	size_t k = s->labels.count, pairs = k * (k - 1) / 2, needed;

	if (!checked_mul(k - 1, s->vectors, &needed) || coefficients < needed)
		return error_set(err, ERROR_INVALID, "%zu coefficients for %zu support vectors and %zu classes",
				 coefficients, s->vectors, k);
	if (rho < pairs || (a && a < pairs) || a != b)
		return error_set(err, ERROR_INVALID, "rho, prob_a or prob_b do not have %zu numbers", pairs);
	if (a == 0)
		s->prob_a = s->prob_b = NULL;
	return true;
}

static bool svm_classifier_prepare(struct onnx_prepare *p, struct error *err)
{
	struct svm *s = ARENA_NEW(p->arena, struct svm, err);
	size_t coefficients, rho, a, b, classes;

	if (!s || !onnx_labels_get(p, "classlabels_ints", "classlabels_strings", &s->labels, err) ||
	    !onnx_ints(p, "vectors_per_class", &s->per_class, &classes, err) ||
	    !onnx_floats(p, "prob_a", &s->prob_a, &a, err) || !onnx_floats(p, "prob_b", &s->prob_b, &b, err))
		return false;
	if (s->labels.count < 2 || s->labels.count > 4096)
		return error_set(err, ERROR_INVALID, "%zu classes", s->labels.count);
	for (size_t i = 0; i < classes; i++)
		if (s->per_class[i] < 0 || s->per_class[i] > INT32_MAX ||
		    !checked_add(s->vectors, (size_t)s->per_class[i], &s->vectors))
			return error_set(err, ERROR_INVALID, "vectors_per_class[%zu] is %lld", i,
					 (long long)s->per_class[i]);
	if (!svm_prepare(p, s, &coefficients, &rho, err))
		return false;
	if (!s->is_linear && classes != s->labels.count)
		return error_set(err, ERROR_INVALID, "vectors_per_class has %zu numbers for %zu classes", classes,
				 s->labels.count);
	if (s->is_linear ? !svm_linear(p, s, s->labels.count, coefficients, err)
			 : !svm_classifier_sizes(s, coefficients, rho, a, b, err))
		return false;
	s->all_positive = true;
	for (size_t i = 0; i < coefficients; i++)
		s->all_positive &= s->coefficients[i] >= 0;
	p->step->state = s;
	return onnx_note_classes(p, &s->labels, err);
}

/* One against one: a sum for each pair of classes, and their votes. */
static void pair_scores(const struct svm *s, const float *k, float *pairs, int64_t *votes)
{
	size_t classes = s->labels.count, at = 0, start_i = 0;

	memset(votes, 0, classes * sizeof(votes[0]));
	for (size_t i = 0; i + 1 < classes; i++) {
		size_t start_j = start_i + (size_t)s->per_class[i];

		for (size_t j = i + 1; j < classes; j++) {
			const float *a = s->coefficients + (j - 1) * s->vectors + start_i;
			const float *b = s->coefficients + i * s->vectors + start_j;
			double sum = 0;

			for (size_t v = 0; v < (size_t)s->per_class[i]; v++)
				sum += (double)a[v] * (double)k[start_i + v];
			for (size_t v = 0; v < (size_t)s->per_class[j]; v++)
				sum += (double)b[v] * (double)k[start_j + v];
			sum += (double)s->rho[at];
			pairs[at++] = (float)sum;
			votes[sum > 0 ? i : j]++;
			start_j += (size_t)s->per_class[j];
		}
		start_i += (size_t)s->per_class[i];
	}
}

/*
 * Probabilities of classes from those of pairs: the second method of Wu, Lin and Weng, "Probability estimates for
 * multi-class classification by pairwise coupling" (JMLR 5, 2004), as libsvm does it: minimise sum (r_ji p_i - r_ij
 * p_j)^2.
 */
static void couple(size_t n, const float *r, float *q, float *qp, float *p)
{
	float eps = 0.005f / (float)n;

	for (size_t i = 0; i < n; i++) {
		p[i] = 1.0f / (float)n;
		q[i * n + i] = 0;
		for (size_t j = 0; j < n; j++)
			if (j != i) {
				q[i * n + i] += r[j * n + i] * r[j * n + i];
				q[i * n + j] = -r[j * n + i] * r[i * n + j];
			}
	}
	for (int turn = 0; turn < 100; turn++) {
		float pqp = 0, worst = 0;

		for (size_t i = 0; i < n; i++) {
			qp[i] = 0;
			for (size_t j = 0; j < n; j++)
				qp[i] += q[i * n + j] * p[j];
			pqp += p[i] * qp[i];
		}
		for (size_t i = 0; i < n; i++)
			worst = fabsf(qp[i] - pqp) > worst ? fabsf(qp[i] - pqp) : worst;
		if (worst < eps)
			break;
		for (size_t i = 0; i < n; i++) {
			float step = (pqp - qp[i]) / q[i * n + i];

			p[i] += step;
			pqp = (pqp + step * (step * q[i * n + i] + 2 * qp[i])) / (1 + step) / (1 + step);
			for (size_t j = 0; j < n; j++) {
				qp[j] = (qp[j] + step * q[i * n + j]) / (1 + step);
				p[j] /= 1 + step;
			}
		}
	}
}

struct svm_room {
	float *kernels, *pairs, *r, *q, *qp;
	int64_t *votes;
};

static bool svm_room_new(struct onnx_run *r, const struct svm *s, struct svm_room *room, struct error *err)
{
	size_t k = MAX(s->labels.count, (size_t)1);

	room->kernels = ARENA_ARRAY(r->arena, float, s->vectors, err);
	room->pairs = ARENA_ARRAY(r->arena, float, k *(k - 1) / 2, err);
	room->votes = ARENA_ARRAY(r->arena, int64_t, k, err);
	room->r = s->prob_a ? ARENA_ARRAY(r->arena, float, k *k, err) : room->pairs;
	room->q = s->prob_a ? ARENA_ARRAY(r->arena, float, k *k, err) : room->pairs;
	room->qp = s->prob_a ? ARENA_ARRAY(r->arena, float, k, err) : room->pairs;
	return room->kernels && room->pairs && room->votes && room->r && room->q && room->qp;
}

/* Scores of one row, and the index of its class. */
static size_t svm_row(const struct svm *s, const float *x, struct svm_room *room, float *scores)
{
	size_t k = s->labels.count, best = 0, at = 0;

	kernels(s, x, room->kernels);
	pair_scores(s, room->kernels, room->pairs, room->votes);
	for (size_t i = 1; i < k; i++)
		best = room->votes[i] > room->votes[best] ? i : best;
	if (!s->prob_a) {
		memcpy(scores, room->pairs, k * (k - 1) / 2 * sizeof(float));
		return best;
	}
	for (size_t i = 0; i + 1 < k; i++)
		for (size_t j = i + 1; j < k; j++, at++) {
			float v = 1 - onnx_sigmoid(room->pairs[at] * s->prob_a[at] + s->prob_b[at]);

			v = v < 1e-7f ? 1e-7f : v > 1 - 1e-7f ? 1 - 1e-7f : v;
			room->r[i * k + j] = v;
			room->r[j * k + i] = 1 - v;
		}
	for (size_t i = 0; i < k; i++)
		room->r[i * k + i] = 0;
	couple(k, room->r, room->q, room->qp, scores);
	return best;
}

static bool svm_linear_classifier_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *labels,
				      struct tensor *scores, struct error *err)
{
	const struct svm *s = step->state;
	size_t k = s->labels.count;

	if (!linear_run(r, step, &s->linear, k, scores, err) ||
	    !onnx_labels_new(r, &s->labels, (size_t)scores->shape[0], labels, err))
		return false;
	for (size_t i = 0; i < (size_t)scores->shape[0]; i++) {
		const float *v = (const float *)scores->data + i * k;
		size_t best = 0;

		for (size_t j = 1; j < k; j++)
			best = v[j] > v[best] ? j : best;
		if (k == 2 && (s->all_positive ? v[best] >= 0.5f : v[best] > 0))
			best = 1;
		onnx_label_put(&s->labels, labels, i, best);
	}
	onnx_transform_rows(s->transform, scores->data, (size_t)scores->shape[0], k);
	return true;
}

static bool svm_classifier_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct svm *s = step->state;
	struct tensor spare, *scores = step->out_count > 1 ? &out[1] : &spare;
	size_t rows, features, k = s->labels.count, width = s->prob_a ? k : k == 2 ? 2 : k * (k - 1) / 2;
	struct svm_room room;
	const float *from;

	if (s->is_linear)
		return svm_linear_classifier_run(r, step, out, scores, err);
	if (!onnx_rows(x, &rows, &features, err))
		return false;
	if (features != s->features)
		return error_set(err, ERROR_INVALID, "%zu columns were given, %zu were expected", features,
				 s->features);
	if (!svm_room_new(r, s, &room, err) || !onnx_floats_of(r, x, &from, err) ||
	    !onnx_labels_new(r, &s->labels, rows, out, err) ||
	    !onnx_new(r, scores, DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, (int64_t)width }, err))
		return false;
	for (size_t i = 0; i < rows; i++) {
		float *to = (float *)scores->data + i * width;

		onnx_label_put(&s->labels, out, i, svm_row(s, from + i * features, &room, to));
		if (!s->prob_a && k == 2) {
			to[1] = to[0];
			to[0] =
			    s->transform == ONNX_NONE_TRANSFORM || s->transform == ONNX_LOGISTIC ? -to[1] : 1 - to[1];
			if (s->transform == ONNX_LOGISTIC)
				onnx_transform_rows(ONNX_LOGISTIC, to, 1, 2);
		} else {
			onnx_transform_rows(s->transform, to, 1, width);
		}
	}
	return true;
}

static bool svm_regressor_prepare(struct onnx_prepare *p, struct error *err)
{
	struct svm *s = ARENA_NEW(p->arena, struct svm, err);
	int64_t vectors, one_class;
	size_t coefficients, rho;

	if (!s || !onnx_int(p, "n_supports", 0, &vectors, err) || !onnx_int(p, "one_class", 0, &one_class, err))
		return false;
	if (vectors < 0 || vectors > INT32_MAX)
		return error_set(err, ERROR_INVALID, "n_supports is %lld", (long long)vectors);
	s->vectors = (size_t)vectors;
	s->one_class = one_class != 0;
	if (!svm_prepare(p, s, &coefficients, &rho, err))
		return false;
	if (s->is_linear && !svm_linear(p, s, 1, coefficients, err))
		return false;
	if (!s->is_linear && coefficients < s->vectors)
		return error_set(err, ERROR_INVALID, "%zu coefficients for %zu support vectors", coefficients,
				 s->vectors);
	if (s->transform != ONNX_NONE_TRANSFORM)
		return error_set(err, ERROR_UNIMPLEMENTED, "post_transform is not supported here");
	onnx_facts(p)->regressor = true;
	p->step->state = s;
	return true;
}

static bool svm_regressor_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct svm *s = step->state;
	struct svm_room room;
	size_t rows, features;
	const float *from;

	if (s->is_linear) {
		if (!linear_run(r, step, &s->linear, 1, out, err))
			return false;
	} else {
		if (!onnx_rows(x, &rows, &features, err))
			return false;
		if (features != s->features)
			return error_set(err, ERROR_INVALID, "%zu columns were given, %zu were expected", features,
					 s->features);
		if (!svm_room_new(r, s, &room, err) || !onnx_floats_of(r, x, &from, err) ||
		    !onnx_new(r, out, DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, 1 }, err))
			return false;
		for (size_t i = 0; i < rows; i++) {
			double sum = 0;

			kernels(s, from + i * features, room.kernels);
			for (size_t v = 0; v < s->vectors; v++)
				sum += (double)s->coefficients[v] * (double)room.kernels[v];
			((float *)out->data)[i] = (float)(sum + (double)s->rho[0]);
		}
	}
	for (size_t i = 0; s->one_class && i < out->count; i++)
		((float *)out->data)[i] = ((float *)out->data)[i] > 0 ? 1 : -1;
	return true;
}

const struct onnx_operator onnx_ops_linear[] = {
	{ "LinearClassifier", "ai.onnx.ml", 1, 1, 1, 2, 0, classifier_prepare, classifier_run, NULL },
	{ "LinearRegressor", "ai.onnx.ml", 1, 1, 1, 1, 0, regressor_prepare, regressor_run, NULL },
	{ "SVMClassifier", "ai.onnx.ml", 1, 1, 1, 2, 0, svm_classifier_prepare, svm_classifier_run, NULL },
	{ "SVMRegressor", "ai.onnx.ml", 1, 1, 1, 1, 0, svm_regressor_prepare, svm_regressor_run, NULL },
	{ 0 },
};
