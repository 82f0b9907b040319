/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices. */
#include "models/onnx.h"

#include <math.h>

/* Four rows of c by two vectors of columns stay in registers while k runs. */
enum { ROWS = 4, PACKED = 256 };

#define GEMM(name, type, vector, lanes)                                                                                \
	typedef type vector __attribute__((vector_size(32), aligned(sizeof(type)), may_alias));                        \
                                                                                                                       \
	static void name##_narrow(size_t m, size_t n, size_t k, size_t j, size_t left, const type *a, const type *b,   \
				  const type *bias, type *c)                                                           \
	{                                                                                                              \
		for (size_t i = 0; i < m; i++) {                                                                       \
			type sums[lanes];                                                                              \
                                                                                                                       \
			for (size_t q = 0; q < left; q++)                                                              \
				sums[q] = bias ? bias[j + q] : 0;                                                      \
			for (size_t p = 0; p < k; p++)                                                                 \
				for (size_t q = 0; q < left; q++)                                                      \
					sums[q] += a[i * k + p] * b[p * n + j + q];                                    \
			memcpy(c + i * n + j, sums, left * sizeof(type));                                              \
		}                                                                                                      \
	}                                                                                                              \
                                                                                                                       \
	ONNX_CLONES void name(size_t m, size_t n, size_t k, const type *a, const type *b, const type *bias, type *c)   \
	{                                                                                                              \
		size_t j = 0;                                                                                          \
                                                                                                                       \
		for (; j + (size_t)2 * (lanes) <= n; j += (size_t)2 * (lanes)) {                                       \
			vector zero = { 0 }, bias0 = bias ? *(const vector *)(bias + j) : zero,                        \
			       bias1 = bias ? *(const vector *)(bias + j + (lanes)) : zero;                            \
			size_t i = 0;                                                                                  \
                                                                                                                       \
			for (; i + ROWS <= m; i += ROWS) {                                                             \
				vector s00 = bias0, s01 = bias1, s10 = bias0, s11 = bias1;                             \
				vector s20 = bias0, s21 = bias1, s30 = bias0, s31 = bias1;                             \
				const type *row = a + i * k;                                                           \
                                                                                                                       \
				for (size_t p = 0; p < k; p++) {                                                       \
					vector b0 = *(const vector *)(b + p * n + j);                                  \
					vector b1 = *(const vector *)(b + p * n + j + (lanes));                        \
                                                                                                                       \
					s00 += row[p] * b0;                                                            \
					s01 += row[p] * b1;                                                            \
					s10 += row[k + p] * b0;                                                        \
					s11 += row[k + p] * b1;                                                        \
					s20 += row[2 * k + p] * b0;                                                    \
					s21 += row[2 * k + p] * b1;                                                    \
					s30 += row[3 * k + p] * b0;                                                    \
					s31 += row[3 * k + p] * b1;                                                    \
				}                                                                                      \
				*(vector *)(c + i * n + j) = s00;                                                      \
				*(vector *)(c + i * n + j + (lanes)) = s01;                                            \
				*(vector *)(c + (i + 1) * n + j) = s10;                                                \
				*(vector *)(c + (i + 1) * n + j + (lanes)) = s11;                                      \
				*(vector *)(c + (i + 2) * n + j) = s20;                                                \
				*(vector *)(c + (i + 2) * n + j + (lanes)) = s21;                                      \
				*(vector *)(c + (i + 3) * n + j) = s30;                                                \
				*(vector *)(c + (i + 3) * n + j + (lanes)) = s31;                                      \
			}                                                                                              \
			for (; i < m; i++) {                                                                           \
				vector s0 = bias0, s1 = bias1;                                                         \
                                                                                                                       \
				for (size_t p = 0; p < k; p++) {                                                       \
					s0 += a[i * k + p] * *(const vector *)(b + p * n + j);                         \
					s1 += a[i * k + p] * *(const vector *)(b + p * n + j + (lanes));               \
				}                                                                                      \
				*(vector *)(c + i * n + j) = s0;                                                       \
				*(vector *)(c + i * n + j + (lanes)) = s1;                                             \
			}                                                                                              \
		}                                                                                                      \
		for (size_t left; j < n; j += left) { /* the last columns, one vector wide, padded */                  \
			type packed[PACKED * (lanes)];                                                                 \
			size_t i = 0;                                                                                  \
                                                                                                                       \
			left = MIN(n - j, (size_t)(lanes));                                                            \
			if (m < ROWS || k > PACKED) {                                                                  \
				name##_narrow(m, n, k, j, left, a, b, bias, c);                                        \
				continue;                                                                              \
			}                                                                                              \
			memset(packed, 0, k * sizeof(vector));                                                         \
			for (size_t p = 0; p < k; p++)                                                                 \
				for (size_t q = 0; q < left; q++)                                                      \
					packed[p * (lanes) + q] = b[p * n + j + q];                                    \
			for (; i + ROWS <= m; i += ROWS) {                                                             \
				vector s0 = { 0 }, s1, s2, s3;                                                         \
				const type *row = a + i * k;                                                           \
                                                                                                                       \
				for (size_t q = 0; bias && q < left; q++)                                              \
					s0[q] = bias[j + q];                                                           \
				s1 = s2 = s3 = s0;                                                                     \
				for (size_t p = 0; p < k; p++) {                                                       \
					vector b0 = *(const vector *)(packed + p * (lanes));                           \
                                                                                                                       \
					s0 += row[p] * b0;                                                             \
					s1 += row[k + p] * b0;                                                         \
					s2 += row[2 * k + p] * b0;                                                     \
					s3 += row[3 * k + p] * b0;                                                     \
				}                                                                                      \
				memcpy(c + i * n + j, &s0, left * sizeof(type));                                       \
				memcpy(c + (i + 1) * n + j, &s1, left * sizeof(type));                                 \
				memcpy(c + (i + 2) * n + j, &s2, left * sizeof(type));                                 \
				memcpy(c + (i + 3) * n + j, &s3, left * sizeof(type));                                 \
			}                                                                                              \
			name##_narrow(m - i, n, k, j, left, a + i * k, b, bias, c + i * n);                            \
		}                                                                                                      \
	}

GEMM(onnx_gemm_float, float, vector_of_floats, 8)
GEMM(onnx_gemm_double, double, vector_of_doubles, 4)

static void gemm_i64(size_t m, size_t n, size_t k, const int64_t *a, const int64_t *b, int64_t *c)
{
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++) {
			uint64_t sum = 0;

			for (size_t p = 0; p < k; p++)
				sum += (uint64_t)a[i * k + p] * (uint64_t)b[p * n + j];
			c[i * n + j] = (int64_t)sum;
		}
}

static bool supported(const struct tensor *a, const struct tensor *b, struct error *err)
{
	if (a->dtype != b->dtype)
		return error_set(err, ERROR_INVALID, "%s times %s", dtype_name(a->dtype), dtype_name(b->dtype));
	if (a->dtype != DTYPE_FP32 && a->dtype != DTYPE_FP64 && a->dtype != DTYPE_INT64)
		return onnx_type_refused(a, err);
	return true;
}

static void multiply(enum dtype type, size_t m, size_t n, size_t k, const void *a, const void *b, void *c)
{
	if (type == DTYPE_FP32)
		onnx_gemm_float(m, n, k, a, b, NULL, c);
	else if (type == DTYPE_FP64)
		onnx_gemm_double(m, n, k, a, b, NULL, c);
	else
		gemm_i64(m, n, k, a, b, c);
}

/* ---- MatMul: numpy.matmul ---- */

/* Leading dimensions of both, broadcast; the last two are the matrices'. */
static bool stack_shape(const struct tensor *a, const struct tensor *b, struct onnx_broadcast *bc, struct error *err)
{
	struct tensor heads[2] = { *a, *b };
	const struct tensor *in[2] = { &heads[0], &heads[1] };

	for (int i = 0; i < 2; i++) {
		heads[i].rank = MAX(heads[i].rank - 2, 0);
		heads[i].count = 1;
		for (int d = 0; d < heads[i].rank; d++)
			heads[i].count *= (size_t)heads[i].shape[d];
	}
	return onnx_broadcast(in, 2, bc, err);
}

static bool matmul_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *a = onnx_in(r, step, 0), *b = onnx_in(r, step, 1);
	size_t m, k, n, kb, size = dtype_size(a->dtype), at[TENSOR_RANK_MAX] = { 0 };
	const char *pa = a->data, *pb = b->data;
	int64_t shape[TENSOR_RANK_MAX];
	struct onnx_broadcast bc;
	int rank = 0;
	char *to;

	if (!supported(a, b, err))
		return false;
	if (a->rank < 1 || b->rank < 1)
		return error_set(err, ERROR_INVALID, "a single number is not a matrix");
	m = a->rank == 1 ? 1 : (size_t)a->shape[a->rank - 2];
	k = (size_t)a->shape[a->rank - 1];
	kb = (size_t)(b->rank == 1 ? b->shape[0] : b->shape[b->rank - 2]);
	n = b->rank == 1 ? 1 : (size_t)b->shape[b->rank - 1];
	if (k != kb)
		return error_set(err, ERROR_INVALID, "rows of %zu times columns of %zu", k, kb);
	if (!stack_shape(a, b, &bc, err))
		return false;
	for (int d = 0; d < bc.full_rank; d++)
		shape[rank++] = bc.full[d];
	if (a->rank > 1)
		shape[rank++] = (int64_t)m;
	if (b->rank > 1)
		shape[rank++] = (int64_t)n;
	if (!onnx_new(r, out, a->dtype, rank, shape, err))
		return false;
	if (bc.count == 1 || b->rank <= 2) { /* one right matrix for all rows */
		multiply(a->dtype, m * bc.count, n, k, pa, pb, out->data);
		return true;
	}
	to = out->data;
	for (size_t i = 0; i < bc.count; i++) {
		multiply(a->dtype, m, n, k, pa, pb, to);
		to += m * n * size;
		for (int d = bc.rank - 1; d >= 0; d--) {
			pa += bc.stride[0][d] * m * k * size;
			pb += bc.stride[1][d] * k * n * size;
			if (++at[d] < bc.shape[d])
				break;
			pa -= bc.stride[0][d] * m * k * size * at[d];
			pb -= bc.stride[1][d] * k * n * size * at[d];
			at[d] = 0;
		}
	}
	return true;
}

/* ---- Gemm ---- */

struct gemm {
	float alpha, beta;
	int64_t trans_a, trans_b;
};

static bool gemm_prepare(struct onnx_prepare *p, struct error *err)
{
	struct gemm *g = ARENA_NEW(p->arena, struct gemm, err);

	onnx_ignore(p, "broadcast"); /* before opset 7; C always broadcasts here */
	if (!g || !onnx_float(p, "alpha", 1, &g->alpha, err) || !onnx_float(p, "beta", 1, &g->beta, err) ||
	    !onnx_int(p, "transA", 0, &g->trans_a, err) || !onnx_int(p, "transB", 0, &g->trans_b, err))
		return false;
	p->step->state = g;
	return true;
}

/* A matrix turned over when `turn`. */
static const void *turned(struct onnx_run *r, const struct tensor *t, bool turn, struct error *err)
{
	size_t rows = (size_t)t->shape[0], columns = (size_t)t->shape[1];
	void *to;

	if (!turn)
		return t->data;
	to = arena_array_(r->arena, t->count, dtype_size(t->dtype), err);
	if (!to)
		return NULL;
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < columns; j++) {
			if (dtype_size(t->dtype) == 4)
				((float *)to)[j * rows + i] = ((const float *)t->data)[i * columns + j];
			else
				((double *)to)[j * rows + i] = ((const double *)t->data)[i * columns + j];
		}
	return to;
}

/* out = alpha * out + beta * c, c broadcast one way. */
static bool gemm_add(const struct gemm *g, const struct tensor *c, struct tensor *out, struct error *err)
{
	size_t rows = (size_t)out->shape[0], columns = (size_t)out->shape[1];
	size_t row_step, column_step;
	int64_t crows = c->rank < 2 ? 1 : c->shape[0], ccolumns = c->rank < 1 ? 1 : c->shape[c->rank - 1];

	if (c->rank > 2 || c->dtype != out->dtype || (crows != 1 && crows != (int64_t)rows) ||
	    (ccolumns != 1 && ccolumns != (int64_t)columns))
		return error_set(err, ERROR_INVALID, "C does not fit the product");
	column_step = ccolumns == 1 ? 0 : 1;
	row_step = crows == 1 ? 0 : (size_t)ccolumns;
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < columns; j++) {
			size_t at = i * row_step + j * column_step;

			if (out->dtype == DTYPE_FP32) {
				float *to = (float *)out->data + i * columns + j;

				*to = g->alpha * *to + g->beta * ((const float *)c->data)[at];
			} else {
				double *to = (double *)out->data + i * columns + j;

				*to = (double)g->alpha * *to + (double)g->beta * ((const double *)c->data)[at];
			}
		}
	return true;
}

static bool gemm_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *a = onnx_in(r, step, 0), *b = onnx_in(r, step, 1), *c = onnx_in(r, step, 2);
	static float zeros[2];
	struct tensor zero = { .dtype = a->dtype, .count = 1, .data = zeros };
	const struct gemm *g = step->state;
	const void *pa, *pb;
	size_t m, k, n;

	if (!supported(a, b, err))
		return false;
	if (a->dtype == DTYPE_INT64)
		return onnx_type_refused(a, err);
	if (a->rank != 2 || b->rank != 2)
		return error_set(err, ERROR_INVALID, "two matrices were expected");
	m = (size_t)a->shape[g->trans_a ? 1 : 0];
	k = (size_t)a->shape[g->trans_a ? 0 : 1];
	n = (size_t)b->shape[g->trans_b ? 0 : 1];
	if (k != (size_t)b->shape[g->trans_b ? 1 : 0])
		return error_set(err, ERROR_INVALID, "rows of %zu times columns of %zu", k,
				 (size_t)b->shape[g->trans_b ? 1 : 0]);
	pa = turned(r, a, g->trans_a != 0, err);
	pb = turned(r, b, g->trans_b != 0, err);
	if (!pa || !pb || !onnx_new(r, out, a->dtype, 2, (int64_t[]){ (int64_t)m, (int64_t)n }, err))
		return false;
	if (c && g->alpha == 1 && g->beta == 1 && c->rank == 1 && c->count == n && c->dtype == a->dtype) {
		if (a->dtype == DTYPE_FP32)
			onnx_gemm_float(m, n, k, pa, pb, c->data, out->data);
		else
			onnx_gemm_double(m, n, k, pa, pb, c->data, out->data);
		return true;
	}
	multiply(a->dtype, m, n, k, pa, pb, out->data);
	if (c || g->alpha != 1)
		return gemm_add(g, c ? c : &zero, out, err);
	return true;
}

/* ---- BatchNormalization: y = (x - mean) / sqrt(var + epsilon) * scale + bias, by channel ---- */

static bool batch_norm_prepare(struct onnx_prepare *p, struct error *err)
{
	float *epsilon = ARENA_NEW(p->arena, float, err);
	int64_t training;

	onnx_ignore(p, "momentum");
	onnx_ignore(p, "spatial");
	onnx_ignore(p, "is_test");
	if (!epsilon || !onnx_float(p, "epsilon", 1e-5f, epsilon, err) ||
	    !onnx_int(p, "training_mode", 0, &training, err))
		return false;
	if (training || p->node->output_count != 1)
		return error_set(err, ERROR_UNIMPLEMENTED, "training is not supported");
	p->step->state = epsilon;
	return true;
}

static bool batch_norm_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *v[4];
	float epsilon = *(const float *)step->state;
	size_t channels, inner = 1;

	for (uint32_t i = 0; i < 4; i++)
		v[i] = onnx_in(r, step, i + 1);
	if (x->dtype != DTYPE_FP32)
		return onnx_type_refused(x, err);
	if (x->rank < 2)
		return error_set(err, ERROR_INVALID, "a tensor of rank 2 or more was expected");
	channels = (size_t)x->shape[1];
	for (int d = 2; d < x->rank; d++)
		inner *= (size_t)x->shape[d];
	for (int i = 0; i < 4; i++)
		if (v[i]->dtype != DTYPE_FP32 || v[i]->count != channels)
			return error_set(err, ERROR_INVALID, "input %d does not have a float for each of %zu channels",
					 i + 1, channels);
	if (!onnx_new(r, out, DTYPE_FP32, x->rank, x->shape, err))
		return false;
	for (size_t i = 0; inner && i < x->count / inner; i++) {
		size_t c = i % channels;
		float factor = ((const float *)v[0]->data)[c] / sqrtf(((const float *)v[3]->data)[c] + epsilon);
		float offset = ((const float *)v[1]->data)[c] - ((const float *)v[2]->data)[c] * factor;

		for (size_t j = 0; j < inner; j++)
			((float *)out->data)[i * inner + j] = ((const float *)x->data)[i * inner + j] * factor + offset;
	}
	return true;
}

const struct onnx_operator onnx_ops_matrix[] = {
	{ "MatMul", "", 2, 2, 1, 1, 0, NULL, matmul_run, NULL },
	{ "Gemm", "", 2, 3, 1, 1, 0, gemm_prepare, gemm_run, NULL },
	{ "BatchNormalization", "", 5, 5, 1, 5, 0, batch_norm_prepare, batch_norm_run, NULL },
	{ 0 },
};
