/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * autoscaler - what the files of the HorizontalPodAutoscaler's controller share.
 *
 *	autoscaler.c           the target, what is told, when to look again
 *	autoscaler_metrics.c   how many replicas the metrics ask for
 *	autoscaler_gauges.c    the same of what is counted of requests: pods, objects, external ones
 *	autoscaler_behavior.c  how many it may be: limits, rates, stabilization
 *
 * Numbers and words are those of kube-controller-manager with its default settings.
 */
#include "controllers/objects.h"

#include "base/clock.h"

#define AUTOSCALER_PERIOD_NS (15 * NS_PER_S)
#define AUTOSCALER_TOLERANCE 0.1

struct autoscaling {
	struct reconcile *r;
	const struct value *spec;
	struct value *object, *status; /* what is to be written */
	struct cluster_scale scale;    /* of the target */
	int64_t least, most;
	struct value *pods; /* those of the target, an array */
};

/* Sets a condition in its place; the message may change while the status stays. */
void autoscaler_tell(struct autoscaling *a, const char *type, bool is_true, const char *reason, struct span message);

/* What metrics ask for together. */
struct proposal {
	int64_t replicas;      /* -1: nothing, and the rest says why */
	struct span metric;    /* the one that asks for the most, in words */
	struct value statuses; /* array, one for each metric of the spec */
	struct error error;
};
void autoscaler_measure(struct autoscaling *a, struct proposal *ret);

/* ---- metrics of pods ---- */

enum pod_standing {
	POD_IGNORED, /* it ends, or has failed */
	POD_UNREADY,
	POD_MISSING, /* nothing is told of it */
	POD_READY,
};

struct reading {
	const struct value *pod;
	enum pod_standing standing;
	bool is_told, is_counted;
	int64_t used, requested; /* thousandths */
	int64_t at_ns, window_ns;
};

struct measure {
	struct autoscaling *a;
	struct span resource, container; /* container empty: of all; resource empty: a metric of pods */
	bool is_share;                   /* per cent of what is requested, else thousandths for each pod */
	bool (*tell)(struct measure *m); /* fills the readings, for each pod one; NULL: by what pods use */
	const struct value *source;      /* for tell() */
	int64_t target;
	struct reading *readings;
	uint32_t count;
	int64_t share, average; /* found */
	struct error *err;
};

/* -1: m->err says why it cannot be said. */
int64_t autoscaler_replicas(struct measure *m);
bool autoscaler_is_near(double ratio); /* to 1: nothing is changed for that */
struct value autoscaler_milli_text(struct reconcile *r, int64_t milli);
/* Pods, Object, External; -1: err says why. */
int64_t autoscaler_measure_gauge(struct autoscaling *a, const struct value *source, const char *type,
				 struct value *status, struct span *ret_words, struct error *err);

/* As many as `wanted` as may be now; tells AbleToScale and ScalingLimited, and notes the recommendation. */
int64_t autoscaler_limit(struct autoscaling *a, int64_t wanted);
void autoscaler_note_rescale(struct autoscaling *a, int64_t before, int64_t after);
/* Nothing can be recommended now. */
void autoscaler_note_gap(struct autoscaling *a);
