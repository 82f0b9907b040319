/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/number.h"
#include "metrics/process.h"

/*
 * Every series owns a run of cells: one for a counter or gauge, HISTOGRAM_CELLS for a histogram. Every thread slot has
 * its own copy of all cells, in blocks made when first written, so that an idle program pays for what it counted only.
 * The cells of one thread lie together and no other thread writes to them: an add is a load, an add and a store.
 */
enum {
	BOUND_COUNT = 22,                /* of histogram buckets; one more for +Inf */
	HISTOGRAM_SUM = BOUND_COUNT + 1, /* the cell behind the buckets: nanoseconds */
	HISTOGRAM_CELLS = HISTOGRAM_SUM + 1,
	BLOCK_SHIFT = 9,
	BLOCK_CELLS = 1 << BLOCK_SHIFT,
	SERIES_ALL = METRICS_SERIES_MAX + METRIC_COUNT, /* with the "other" of each family */
	BLOCK_COUNT = SERIES_ALL / (BLOCK_CELLS / HISTOGRAM_CELLS) + 2,
	TABLE_LEAST = 64,
};

enum metric_type { COUNTER, COUNTER_DOUBLE, GAUGE, HISTOGRAM };

static const enum metric_type types[METRIC_COUNT] = {
#define METRIC_ROW(id, name, type, labels, help) [METRIC_##id] = type,
#include "metrics/metrics.def"
#undef METRIC_ROW
};

#define TYPE_TEXT_COUNTER        "counter"
#define TYPE_TEXT_COUNTER_DOUBLE "counter"
#define TYPE_TEXT_GAUGE          "gauge"
#define TYPE_TEXT_HISTOGRAM      "histogram"

static const struct metric_family families[METRIC_COUNT] = {
#define METRIC_ROW(id, name, type, labels, help) [METRIC_##id] = { name, TYPE_TEXT_##type, labels, help },
#include "metrics/metrics.def"
#undef METRIC_ROW
};

static const struct {
	uint64_t ns;
	const char *text;
} bounds[BOUND_COUNT] = {
	{ 10000, "1e-05" },      { 20000, "2e-05" },        { 50000, "5e-05" },      { 100000, "0.0001" },
	{ 200000, "0.0002" },    { 500000, "0.0005" },      { 1000000, "0.001" },    { 2000000, "0.002" },
	{ 5000000, "0.005" },    { 10000000, "0.01" },      { 20000000, "0.02" },    { 50000000, "0.05" },
	{ 100000000, "0.1" },    { 200000000, "0.2" },      { 500000000, "0.5" },    { 1000000000, "1.0" },
	{ 2000000000, "2.0" },   { 5000000000, "5.0" },     { 10000000000, "10.0" }, { 20000000000, "20.0" },
	{ 50000000000, "50.0" }, { 100000000000, "100.0" },
};

typedef _Atomic uint64_t cell; /* written by the slot's thread, read by any; relaxed: a sum needs no order */

struct slot {
	_Atomic(cell *) blocks[BLOCK_COUNT]; /* set once by release, so that readers see zeroed cells */
};

struct metric_series {
	uint64_t serial; /* of the registry */
	struct metrics *metrics;
	uint32_t first; /* cell */
	enum metric_id id;
	unsigned refs; /* under the lock */
	uint64_t hash;
	struct metric_series *next_hash;       /* of the table's chain */
	struct metric_series *next, *previous; /* of the family */
	uint32_t label_len[METRICS_LABELS_MAX];
	char labels[]; /* the values, one behind the other */
};

struct free_cells {
	uint32_t *first;
	size_t count, cap;
};

struct metrics {
	uint64_t serial;
	pthread_mutex_t lock;                              /* guards all but the cells */
	_Atomic(struct slot *) slots[METRICS_THREADS_MAX]; /* set once under the lock, read with acquire */
	struct metric_series **table;                      /* by hash; the size is a power of two */
	size_t table_size, series_count;
	struct metric_series *family_first[METRIC_COUNT], *family_last[METRIC_COUNT];
	uint32_t cells_used;
	struct free_cells free_single, free_histogram;
};

/* ---- threads ---- */

static struct {
	pthread_mutex_t lock; /* guards taken and serial */
	bool taken[METRICS_THREADS_MAX];
	uint64_t serial; /* of the newest registry; never used twice, so that a stale binding matches none */
	pthread_once_t once;
	pthread_key_t key; /* its destructor gives the slot back when the thread ends */
} threads = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static __thread struct {
	uint64_t serial; /* the registry this thread has a slot of */
	struct slot *slot;
	unsigned index; /* 0: none */
} self;

static void thread_ended(void *index_as_pointer)
{
	pthread_mutex_lock(&threads.lock);
	threads.taken[(uintptr_t)index_as_pointer] = false;
	pthread_mutex_unlock(&threads.lock);
}

static void key_make(void)
{
	ASSERT(pthread_key_create(&threads.key, thread_ended) == 0);
}

static unsigned index_take(void)
{
	unsigned index = 0;

	pthread_once(&threads.once, key_make);
	pthread_mutex_lock(&threads.lock);
	for (unsigned i = 1; i < METRICS_THREADS_MAX && index == 0; i++) {
		if (!threads.taken[i]) {
			threads.taken[i] = true;
			index = i;
		}
	}
	pthread_mutex_unlock(&threads.lock);
	if (index != 0)
		pthread_setspecific(threads.key, (void *)(uintptr_t)index);
	return index;
}

void metrics_thread(struct metrics *m)
{
	struct slot *slot;

	if (self.index == 0)
		self.index = index_take();
	if (self.index == 0)
		return; /* all slots are taken: slot 0 counts for this one */
	pthread_mutex_lock(&m->lock);
	slot = atomic_load_explicit(&m->slots[self.index], memory_order_relaxed);
	if (!slot) {
		slot = base_calloc(1, sizeof(*slot));
		atomic_store_explicit(&m->slots[self.index], slot, memory_order_release);
	}
	pthread_mutex_unlock(&m->lock);
	self.slot = slot;
	self.serial = m->serial;
}

/* ---- cells ---- */

static cell *block_make(struct slot *slot, uint32_t block)
{
	cell *fresh = aligned_alloc(64, BLOCK_CELLS * sizeof(cell));
	cell *there = NULL;

	ASSERT(fresh != NULL);
	memset((void *)fresh, 0, BLOCK_CELLS * sizeof(cell));
	/* Slot 0 is shared: another thread may have been first. */
	if (atomic_compare_exchange_strong_explicit(&slot->blocks[block], &there, fresh, memory_order_acq_rel,
						    memory_order_acquire))
		return fresh;
	free((void *)fresh);
	return there;
}

static inline cell *slot_cells(struct slot *slot, uint32_t first)
{
	cell *block = atomic_load_explicit(&slot->blocks[first >> BLOCK_SHIFT], memory_order_acquire);

	if (UNLIKELY(!block))
		block = block_make(slot, first >> BLOCK_SHIFT);
	return block + (first & (BLOCK_CELLS - 1));
}

/* The calling thread's cells of the series; *ret_is_shared says that other threads may write them as well. */
static inline cell *series_cells(const struct metric_series *s, bool *ret_is_shared)
{
	*ret_is_shared = UNLIKELY(self.serial != s->serial);
	return slot_cells(*ret_is_shared ? s->metrics->slots[0] : self.slot, s->first);
}

static inline void cell_add(cell *c, uint64_t n, bool is_shared)
{
	if (UNLIKELY(is_shared))
		atomic_fetch_add_explicit(c, n, memory_order_relaxed);
	else
		atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static double double_of(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

void metric_add(struct metric_series *s, uint64_t n)
{
	bool is_shared;
	cell *c = series_cells(s, &is_shared);

	cell_add(c, n, is_shared);
}

void metric_add_double(struct metric_series *s, double v)
{
	bool is_shared;
	cell *c = series_cells(s, &is_shared);
	uint64_t old = atomic_load_explicit(c, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(c, &old, bits_of(double_of(old) + v), memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void metric_move(struct metric_series *s, int64_t delta)
{
	metric_add(s, (uint64_t)delta); /* the slots' sum wraps to the right value */
}

static unsigned bucket_of(uint64_t ns)
{
	/* For the index of a value's highest bit, the first bound that is not under that bit: at most two steps away.
	 */
	static const uint8_t start[37] = { 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0,  0,  0,  1,  2,  3,  4, 5,
					   6, 7, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 17, 18, 19, 20, 21 };
	unsigned high = 63 - (unsigned)__builtin_clzll(ns | 1);
	unsigned i = high < ARRAY_LEN(start) ? start[high] : BOUND_COUNT;

	while (i < BOUND_COUNT && ns > bounds[i].ns)
		i++;
	return i;
}

void metric_observe(struct metric_series *s, int64_t ns)
{
	uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
	bool is_shared;
	cell *c = series_cells(s, &is_shared);

	cell_add(c + bucket_of(value), 1, is_shared);
	cell_add(c + HISTOGRAM_SUM, value, is_shared);
}

static_assert(METRICS_BUCKETS == BOUND_COUNT + 1, "as many buckets as are told");

unsigned metric_bucket(int64_t ns)
{
	return bucket_of(ns < 0 ? 0 : (uint64_t)ns);
}

void metric_observe_many(struct metric_series *s, const uint64_t counts[METRICS_BUCKETS], uint64_t sum_ns)
{
	bool is_shared;
	cell *c = series_cells(s, &is_shared);

	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		cell_add(c + i, counts[i], is_shared);
	cell_add(c + HISTOGRAM_SUM, sum_ns, is_shared);
}

/* The sum over all slots of one of the series' cells. */
static uint64_t cell_total(const struct metric_series *s, uint32_t offset)
{
	uint32_t at = s->first + offset;
	uint64_t total = 0;

	for (unsigned i = 0; i < METRICS_THREADS_MAX; i++) {
		struct slot *slot = atomic_load_explicit(&s->metrics->slots[i], memory_order_acquire);
		cell *block;

		if (!slot)
			continue;
		block = atomic_load_explicit(&slot->blocks[at >> BLOCK_SHIFT], memory_order_acquire);
		if (block)
			total += atomic_load_explicit(&block[at & (BLOCK_CELLS - 1)], memory_order_relaxed);
	}
	return total;
}

static double cell_total_double(const struct metric_series *s)
{
	double total = 0;

	for (unsigned i = 0; i < METRICS_THREADS_MAX; i++) {
		struct slot *slot = atomic_load_explicit(&s->metrics->slots[i], memory_order_acquire);
		cell *block;

		if (!slot)
			continue;
		block = atomic_load_explicit(&slot->blocks[s->first >> BLOCK_SHIFT], memory_order_acquire);
		if (block)
			total +=
			    double_of(atomic_load_explicit(&block[s->first & (BLOCK_CELLS - 1)], memory_order_relaxed));
	}
	return total;
}

uint64_t metric_value(const struct metric_series *s)
{
	uint64_t total = 0;

	if (types[s->id] != HISTOGRAM)
		return cell_total(s, 0);
	for (uint32_t i = 0; i <= BOUND_COUNT; i++)
		total += cell_total(s, i);
	return total;
}

uint64_t metric_sum_ns(const struct metric_series *s)
{
	return types[s->id] == HISTOGRAM ? cell_total(s, HISTOGRAM_SUM) : 0;
}

static void cells_give_back(struct free_cells *list, uint32_t first)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 16;
		list->first = base_realloc(list->first, list->cap * sizeof(*list->first));
	}
	list->first[list->count++] = first;
}

/* A run of cells inside one block. */
static uint32_t cells_take(struct metrics *m, enum metric_id id)
{
	bool is_histogram = types[id] == HISTOGRAM;
	struct free_cells *list = is_histogram ? &m->free_histogram : &m->free_single;
	uint32_t count = is_histogram ? HISTOGRAM_CELLS : 1, first;

	if (list->count > 0)
		return list->first[--list->count];
	while (m->cells_used % BLOCK_CELLS + count > BLOCK_CELLS)
		cells_give_back(&m->free_single, m->cells_used++);
	first = m->cells_used;
	m->cells_used += count;
	ASSERT(m->cells_used <= (uint32_t)BLOCK_COUNT * BLOCK_CELLS);
	return first;
}

static void cells_zero(struct metrics *m, uint32_t first, uint32_t count)
{
	for (unsigned i = 0; i < METRICS_THREADS_MAX; i++) {
		struct slot *slot = atomic_load_explicit(&m->slots[i], memory_order_relaxed);
		cell *block =
		    slot ? atomic_load_explicit(&slot->blocks[first >> BLOCK_SHIFT], memory_order_acquire) : NULL;

		for (uint32_t k = 0; block && k < count; k++)
			atomic_store_explicit(&block[(first & (BLOCK_CELLS - 1)) + k], 0, memory_order_relaxed);
	}
}

/* ---- registry ---- */

struct metrics *metrics_new(void)
{
	struct metrics *m = base_calloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_lock(&threads.lock);
	m->serial = ++threads.serial;
	pthread_mutex_unlock(&threads.lock);
	m->slots[0] = base_calloc(1, sizeof(struct slot));
	m->table_size = TABLE_LEAST;
	m->table = base_calloc(m->table_size, sizeof(struct metric_series *));
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (unsigned id = 0; id < METRIC_COUNT; id++) {
		struct metric_series *next;

		for (struct metric_series *s = m->family_first[id]; s; s = next) {
			next = s->next;
			free(s);
		}
	}
	for (unsigned i = 0; i < METRICS_THREADS_MAX; i++) {
		struct slot *slot = m->slots[i];

		for (unsigned k = 0; slot && k < BLOCK_COUNT; k++)
			free((void *)slot->blocks[k]);
		free(slot);
	}
	free(m->free_single.first);
	free(m->free_histogram.first);
	free(m->table);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const struct metric_family *metrics_families(size_t *ret_count)
{
	*ret_count = METRIC_COUNT;
	return families;
}

static unsigned label_count(enum metric_id id)
{
	const char *names = families[id].labels;
	unsigned count = names[0] != '\0';

	for (; *names; names++)
		count += *names == ',';
	return count;
}

static uint64_t labels_hash(enum metric_id id, const struct span *labels, size_t count)
{
	uint64_t hash = id;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ span_hash(labels[i])) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static bool labels_match(const struct metric_series *s, const struct span *labels, size_t count)
{
	const char *at = s->labels;

	for (size_t i = 0; i < count; i++) {
		if (!span_equal(labels[i], span_from(at, s->label_len[i])))
			return false;
		at += s->label_len[i];
	}
	return true;
}

static struct metric_series *series_find(const struct metrics *m, enum metric_id id, const struct span *labels,
					 size_t count, uint64_t hash)
{
	struct metric_series *s = m->table[hash & (m->table_size - 1)];

	while (s && !(s->hash == hash && s->id == id && labels_match(s, labels, count)))
		s = s->next_hash;
	return s;
}

static void table_grow(struct metrics *m)
{
	size_t size = m->table_size * 2;
	struct metric_series **table = base_calloc(size, sizeof(struct metric_series *));

	for (size_t i = 0; i < m->table_size; i++) {
		struct metric_series *next;

		for (struct metric_series *s = m->table[i]; s; s = next) {
			next = s->next_hash;
			s->next_hash = table[s->hash & (size - 1)];
			table[s->hash & (size - 1)] = s;
		}
	}
	free(m->table);
	m->table = table;
	m->table_size = size;
}

static struct metric_series *series_new(struct metrics *m, enum metric_id id, const struct span *labels, size_t count,
					uint64_t hash)
{
	struct metric_series *s;
	size_t text = 0;
	char *at;

	for (size_t i = 0; i < count; i++) {
		ASSERT(labels[i].len < UINT32_MAX);
		text += labels[i].len;
	}
	s = base_calloc(1, sizeof(*s) + text);
	s->serial = m->serial;
	s->metrics = m;
	s->id = id;
	s->hash = hash;
	s->first = cells_take(m, id);
	at = s->labels;
	for (size_t i = 0; i < count; i++) {
		if (labels[i].len)
			memcpy(at, labels[i].ptr, labels[i].len);
		s->label_len[i] = (uint32_t)labels[i].len;
		at += labels[i].len;
	}

	if (m->series_count++ >= m->table_size)
		table_grow(m);
	s->next_hash = m->table[hash & (m->table_size - 1)];
	m->table[hash & (m->table_size - 1)] = s;
	s->previous = m->family_last[id];
	if (s->previous)
		s->previous->next = s;
	else
		m->family_first[id] = s;
	m->family_last[id] = s;
	return s;
}

struct metric_series *metrics_series(struct metrics *m, enum metric_id id, const struct span *labels, size_t count)
{
	const struct span other[METRICS_LABELS_MAX] = { SPAN("other"), SPAN("other"), SPAN("other"), SPAN("other") };
	struct metric_series *s;
	uint64_t hash;

	ASSERT(count == label_count(id) && count <= METRICS_LABELS_MAX);
	hash = labels_hash(id, labels, count);
	pthread_mutex_lock(&m->lock);
	s = series_find(m, id, labels, count, hash);
	if (!s && m->series_count >= METRICS_SERIES_MAX) {
		labels = other;
		hash = labels_hash(id, labels, count);
		s = series_find(m, id, labels, count, hash);
	}
	if (!s)
		s = series_new(m, id, labels, count, hash);
	s->refs++;
	pthread_mutex_unlock(&m->lock);
	return s;
}

static void series_unlink(struct metrics *m, struct metric_series *s)
{
	struct metric_series **link = &m->table[s->hash & (m->table_size - 1)];

	while (*link != s)
		link = &(*link)->next_hash;
	*link = s->next_hash;
	if (s->previous)
		s->previous->next = s->next;
	else
		m->family_first[s->id] = s->next;
	if (s->next)
		s->next->previous = s->previous;
	else
		m->family_last[s->id] = s->previous;
	m->series_count--;
}

void metrics_series_drop(struct metrics *m, struct metric_series *s)
{
	bool is_histogram;

	if (!s)
		return;
	pthread_mutex_lock(&m->lock);
	ASSERT(s->refs > 0);
	if (--s->refs == 0) {
		is_histogram = types[s->id] == HISTOGRAM;
		series_unlink(m, s);
		cells_zero(m, s->first, is_histogram ? HISTOGRAM_CELLS : 1);
		cells_give_back(is_histogram ? &m->free_histogram : &m->free_single, s->first);
		free(s);
	}
	pthread_mutex_unlock(&m->lock);
}

/* ---- text ---- */

static void put_label_value(struct buffer *out, struct span value)
{
	bool is_utf8 = span_is_utf8(value);

	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\n')
			buffer_append(out, SPAN("\\n"));
		else if (c == '\\' || c == '"')
			buffer_print(out, "\\%c", c);
		else if (!is_utf8 && (unsigned char)c >= 0x80)
			buffer_byte(out, '?'); /* both formats are UTF-8 as a whole */
		else
			buffer_byte(out, c);
	}
}

/* `{a="x",b="y"` without the closing brace; nothing for a family without labels. */
static void put_labels(struct buffer *out, const struct metric_series *s)
{
	struct span names = span_of(families[s->id].labels);
	const char *value = s->labels;

	for (unsigned i = 0; names.len > 0; i++) {
		struct span name = span_cut(&names, ',');

		buffer_byte(out, i == 0 ? '{' : ',');
		buffer_append(out, name);
		buffer_append(out, SPAN("=\""));
		put_label_value(out, span_from(value, s->label_len[i]));
		buffer_byte(out, '"');
		value += s->label_len[i];
	}
}

static void put_double(struct buffer *out, double value)
{
	char text[NUMBER_TEXT_MAX];

	buffer_append(out, span_from(text, (size_t)(number_print_double(text, value) - text)));
}

static void put_histogram(struct buffer *out, const struct metric_series *s)
{
	const char *name = families[s->id].name;
	bool has_labels = families[s->id].labels[0] != '\0';
	uint64_t count = 0, sum;

	for (uint32_t i = 0; i <= BOUND_COUNT; i++) {
		count += cell_total(s, i);
		buffer_print(out, "%s_bucket", name);
		put_labels(out, s);
		buffer_print(out, "%cle=\"%s\"} %llu\n", has_labels ? ',' : '{',
			     i < BOUND_COUNT ? bounds[i].text : "+Inf", (unsigned long long)count);
	}
	sum = cell_total(s, HISTOGRAM_SUM);
	buffer_print(out, "%s_sum", name);
	put_labels(out, s);
	buffer_print(out, "%s %llu.%09llu\n", has_labels ? "}" : "", (unsigned long long)(sum / 1000000000),
		     (unsigned long long)(sum % 1000000000));
	buffer_print(out, "%s_count", name);
	put_labels(out, s);
	buffer_print(out, "%s %llu\n", has_labels ? "}" : "", (unsigned long long)count);
}

static void put_series(struct buffer *out, const struct metric_series *s)
{
	if (types[s->id] == HISTOGRAM) {
		put_histogram(out, s);
		return;
	}
	buffer_append(out, span_of(families[s->id].name));
	put_labels(out, s);
	buffer_append(out, families[s->id].labels[0] ? SPAN("} ") : SPAN(" "));
	if (types[s->id] == COUNTER_DOUBLE)
		put_double(out, cell_total_double(s));
	else if (types[s->id] == GAUGE)
		buffer_print(out, "%lld", (long long)cell_total(s, 0));
	else
		buffer_print(out, "%llu", (unsigned long long)cell_total(s, 0));
	buffer_byte(out, '\n');
}

/* OpenMetrics calls a counter's family by its name without "_total", and an info's without "_info". */
static void put_head(struct buffer *out, const char *name, const char *type, const char *help, bool openmetrics)
{
	struct span family = span_of(name);
	struct span tail = strcmp(type, "counter") == 0 ? SPAN("_total") : SPAN("_info");

	bool is_info = strcmp(type, "info") == 0;

	if (openmetrics && (is_info || (strcmp(type, "counter") == 0 && span_ends(family, tail))))
		family.len -= tail.len;
	else if (is_info)
		type = "gauge";
	buffer_append(out, SPAN("# HELP "));
	buffer_append(out, family);
	buffer_print(out, " %s\n# TYPE ", help);
	buffer_append(out, family);
	buffer_print(out, " %s\n", type);
}

static void put_process(struct buffer *out, bool openmetrics)
{
	struct process_facts facts = process_facts_read();

	put_head(out, "process_resident_memory_bytes", "gauge", "Memory in use.", openmetrics);
	buffer_print(out, "process_resident_memory_bytes %llu\n", (unsigned long long)facts.resident_bytes);
	put_head(out, "process_virtual_memory_bytes", "gauge", "Address space in use.", openmetrics);
	buffer_print(out, "process_virtual_memory_bytes %llu\n", (unsigned long long)facts.virtual_bytes);
	put_head(out, "process_cpu_seconds_total", "counter", "Processor time used, by user and system.", openmetrics);
	buffer_append(out, SPAN("process_cpu_seconds_total "));
	put_double(out, facts.cpu_seconds);
	buffer_byte(out, '\n');
	put_head(out, "process_open_fds", "gauge", "Open file descriptors.", openmetrics);
	buffer_print(out, "process_open_fds %llu\n", (unsigned long long)facts.open_fds);
	put_head(out, "process_max_fds", "gauge", "File descriptors the process may open.", openmetrics);
	buffer_print(out, "process_max_fds %llu\n", (unsigned long long)facts.max_fds);
	put_head(out, "process_start_time_seconds", "gauge", "Start of the process, since 1970.", openmetrics);
	buffer_append(out, SPAN("process_start_time_seconds "));
	put_double(out, facts.start_seconds);
	buffer_byte(out, '\n');
	put_head(out, "hythe_build_info", "info", "Version of the program.", openmetrics);
	buffer_print(out, "hythe_build_info{version=\"%s\"} 1\n", HYTHE_VERSION);
}

void metrics_write(struct metrics *m, struct buffer *out, bool openmetrics)
{
	pthread_mutex_lock(&m->lock);
	for (unsigned id = 0; id < METRIC_COUNT; id++) {
		const struct metric_family *f = &families[id];

		if (m->family_first[id])
			put_head(out, f->name, f->type, f->help, openmetrics);
		for (const struct metric_series *s = m->family_first[id]; s; s = s->next)
			put_series(out, s);
	}
	pthread_mutex_unlock(&m->lock);
	put_process(out, openmetrics);
	if (openmetrics)
		buffer_append(out, SPAN("# EOF\n"));
}
