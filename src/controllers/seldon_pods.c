/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seldon_pods - the Deployments of a predictor: one for each componentSpec with containers, and the orchestrator in the first, or in one of
 * its own.
 *
 * Probes begin at once and come each second until the operator's own delays would have begun: here a pod is there in less than a
 * second. There is no sleep before the end of a pod either: the gateway takes its requests elsewhere before it is told to end.
 */
#include "controllers/seldon.h"

#include "wire/base64.h"

enum { GRACE_SECONDS = 20, JSON_MOST = MIB(4) };

/* ---- variables ---- */

static void env_put(struct seldon *s, struct value *env, const char *name, struct span text)
{
	struct value one = value_object();

	for (uint32_t i = 0; i < count_of(env); i++)
		if (is_text(get(value_item(env, i), "name"), name))
			return; /* the user's own */
	put(s->r, &one, "name", value_string(span_of(name)));
	put(s->r, &one, "value", value_string(text));
	put_item(s->r, env, one);
}

static void env_put_number(struct seldon *s, struct value *env, const char *name, int64_t number)
{
	env_put(s, env, name, text_print(s->r, "%lld", (long long)number).string);
}

/* As the variable has them. */
static struct span parameters_text(struct seldon *s, const struct value *node)
{
	const struct value *parameters = get(node, "parameters");

	return count_of(parameters) ? value_print(parameters, s->r->arena, s->r->err) : SPAN("[]");
}

static void node_env(struct seldon *s, const struct seldon_predictor *p, struct value *container,
		     const struct value *node)
{
	const struct value *endpoint = get(node, "endpoint");
	struct span image = get_text(container, "image");
	struct value *env = put_array(s->r, container, "env");

	env_put_number(s, env, "PREDICTIVE_UNIT_SERVICE_PORT", get_int(endpoint, "service_port", 0));
	env_put_number(s, env, "PREDICTIVE_UNIT_HTTP_SERVICE_PORT", get_int(endpoint, "httpPort", 0));
	env_put_number(s, env, "PREDICTIVE_UNIT_GRPC_SERVICE_PORT", get_int(endpoint, "grpcPort", 0));
	for (uint32_t i = 0; i < count_of(get(container, "ports")); i++) {
		const struct value *port = value_item(get(container, "ports"), i);

		if (is_text(get(port, "name"), "metrics"))
			env_put_number(s, env, "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
				       get_int(port, "containerPort", 0));
	}
	env_put(s, env, "PREDICTIVE_UNIT_METRICS_ENDPOINT", SPAN(SERVING_METRICS_PATH));
	env_put(s, env, "PREDICTIVE_UNIT_ID", get_text(node, "name"));
	env_put(s, env, "PREDICTIVE_UNIT_IMAGE", image);
	env_put(s, env, "PREDICTOR_ID", p->name);
	env_put(s, env, "PREDICTOR_LABELS", value_print(get(p->spec, "labels"), s->r->arena, s->r->err));
	env_put(s, env, "SELDON_DEPLOYMENT_ID", s->r->name);
	env_put(s, env, "SELDON_EXECUTOR_ENABLED", SPAN("true"));
	env_put(s, env, "PREDICTIVE_UNIT_PARAMETERS", parameters_text(s, node));
}

/* ---- containers of nodes ---- */

static bool has_named(const struct value *list, const char *name)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		if (is_text(get(value_item(list, i), "name"), name))
			return true;
	return false;
}

static void probes_put(struct seldon *s, struct value *container, int64_t port)
{
	if (!get(container, "livenessProbe"))
		put(s->r, container, "livenessProbe",
		    serving_made(s->r,
				 "{'tcpSocket':{'port':%lld},'initialDelaySeconds':60,'periodSeconds':5,"
				 "'failureThreshold':3,'timeoutSeconds':1,'successThreshold':1}",
				 (long long)port));
	serving_probe_put(s->r, container, port);
}

static void podinfo_mount(struct seldon *s, struct value *container)
{
	struct value *mounts = put_array(s->r, container, "volumeMounts");

	if (!has_named(mounts, "seldon-podinfo"))
		put_item(s->r, mounts, serving_made(s->r, "{'name':'seldon-podinfo','mountPath':'/etc/podinfo'}"));
}

static void container_complete(struct seldon *s, const struct seldon_predictor *p, struct value *container)
{
	const struct value *node = seldon_node_of(p, get_text(container, "name"));

	serving_words_keep(s->r, container);
	if (!node)
		return; /* one that stands beside */
	if (!get_text(container, "imagePullPolicy").len)
		put(s->r, container, "imagePullPolicy", value_string(SPAN("IfNotPresent")));
	node_env(s, p, container, node);
	probes_put(s, container, get_int(get(node, "endpoint"), "service_port", 0));
	podinfo_mount(s, container);
}

/* ---- the orchestrator ---- */

/* The predictor as the orchestrator is told it: without what may change while it runs. */
static struct span predictor_encoded(struct seldon *s, const struct seldon_predictor *p)
{
	static const char *const left_out[] = { "traffic",     "replicas",       "shadow", "progressDeadlineSeconds",
						"svcOrchSpec", "engineResources" };
	static const char *const left_out_below[] = { "replicas", "hpaSpec", "kedaSpec", "pdbSpec" };
	struct value copy = copied(s->r, p->spec), *components;
	struct buffer out;
	struct span text = SPAN("");

	for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
		(void)value_remove(&copy, span_of(left_out[i]));
	components = get(&copy, "componentSpecs");
	for (uint32_t i = 0; i < count_of(components); i++)
		for (size_t j = 0; j < ARRAY_LEN(left_out_below); j++)
			(void)value_remove(value_item(components, i), span_of(left_out_below[j]));
	buffer_init(&out, JSON_MOST);
	base64_write(&out, value_print(&copy, s->r->arena, s->r->err));
	if (buffer_ok(&out, "the predictor", s->r->err))
		text = arena_copy(s->r->arena, buffer_span(&out), s->r->err);
	buffer_done(&out);
	return text;
}

static const char *protocol_name(const struct seldon *s)
{
	static const char *const names[] = {
		[SELDON_SELDON] = "seldon", [SELDON_TENSORFLOW] = "tensorflow", [SELDON_V2] = "v2"
	};

	return names[s->protocol];
}

/* Annotations "seldon.io/engine-x-y" of the whole are variables X_Y. */
static void engine_annotations(struct seldon *s, struct value *env)
{
	const struct value *annotations = get(s->spec, "annotations");
	const struct span prefix = SPAN("seldon.io/engine-");

	for (uint32_t i = 0; i < count_of(annotations); i++) {
		const struct value_member *m = &annotations->object.members[i];
		struct span name;

		if (!span_starts(m->key, prefix) || span_equal(m->key, SPAN("seldon.io/engine-separate-pod")))
			continue;
		name = arena_copy(s->r->arena, span_skip(m->key, prefix.len), s->r->err);
		for (size_t j = 0; j < name.len; j++) {
			char *ch = (char *)(uintptr_t)name.ptr + j;

			*ch = *ch == '-' ? '_' : (char)(*ch >= 'a' && *ch <= 'z' ? *ch - 32 : *ch);
		}
		if (name.len)
			env_put(s, env, arena_print(s->r->arena, s->r->err, SPAN_FMT, SPAN_WHOLE(name)).ptr,
				text_of(&m->value));
	}
}

static struct value engine_env(struct seldon *s, const struct seldon_predictor *p)
{
	const struct value *own = value_find(p->written, "svcOrchSpec.env");
	struct value env = own ? copied(s->r, own) : value_array();

	env_put(s, &env, "ENGINE_PREDICTOR", predictor_encoded(s, p));
	env_put(s, &env, "REQUEST_LOGGER_DEFAULT_ENDPOINT", SPAN("http://default-broker"));
	env_put(s, &env, "DEPLOYMENT_NAME", s->r->name);
	env_put(s, &env, "DEPLOYMENT_NAMESPACE", s->r->name_space);
	engine_annotations(s, &env);
	return env;
}

/* Servers that come ready answer questions of health: readiness asks them. Of others it asks a connection. */
static bool is_health_asked(const struct seldon_predictor *p)
{
	return seldon_is_server(get_text(get(p->spec, "graph"), "implementation"));
}

static struct value engine_container(struct seldon *s, const struct seldon_predictor *p)
{
	struct reconcile *r = s->r;
	const struct value *resources = value_find(p->written, "svcOrchSpec.resources");
	struct value c =
	    serving_made(r,
			 "{'name':'" SELDON_ENGINE "','image':'" SERVING_PROGRAM "',"
			 "'imagePullPolicy':'IfNotPresent','command':['hythe','engine'],"
			 "'args':['--sdep','%.*s','--namespace','%.*s','--predictor','%.*s',"
			 "'--http_port','%d','--grpc_port','%d','--protocol','%s','--transport','%s',"
			 "'--prometheus_path','" SERVING_METRICS_PATH "'],"
			 "'ports':[{'name':'http','containerPort':%d,'protocol':'TCP'},"
			 "{'name':'metrics','containerPort':%d,'protocol':'TCP'},"
			 "{'name':'grpc','containerPort':%d,'protocol':'TCP'}],"
			 "'livenessProbe':{'httpGet':{'path':'/live','port':%d,'scheme':'HTTP'},"
			 "'initialDelaySeconds':20,'periodSeconds':5,'failureThreshold':3,'timeoutSeconds':60,"
			 "'successThreshold':1},"
			 "'readinessProbe':{'httpGet':{'path':'/ready','port':%d,'scheme':'HTTP'},"
			 "'periodSeconds':1,'failureThreshold':3,'timeoutSeconds':60,'successThreshold':1},"
			 "'resources':{'requests':{'cpu':'100m','memory':'64Mi'},'limits':{'memory':'512Mi'}},"
			 "'terminationMessagePolicy':'FallbackToLogsOnError',"
			 "'volumeMounts':[{'name':'seldon-podinfo','mountPath':'/etc/podinfo'}]}",
			 SPAN_WHOLE(r->name), SPAN_WHOLE(r->name_space), SPAN_WHOLE(p->name), SELDON_ENGINE_HTTP,
			 SELDON_ENGINE_GRPC, protocol_name(s), s->is_grpc ? "grpc" : "rest", SELDON_ENGINE_HTTP,
			 SELDON_ENGINE_HTTP, SELDON_ENGINE_GRPC, SELDON_ENGINE_HTTP, SELDON_ENGINE_HTTP);

	if (is_health_asked(p))
		put_item(r, put_array(r, &c, "args"), value_string(SPAN("--full_health_checks")));
	if (resources)
		put(r, &c, "resources", copied(r, resources));
	put(r, &c, "env", engine_env(s, p));
	return c;
}

/* ---- Deployments ---- */

static void labels_add(struct seldon *s, struct value *labels, const struct value *more)
{
	for (uint32_t i = 0; i < count_of(more); i++)
		(void)value_set(labels, more->object.members[i].key, more->object.members[i].value, s->r->arena,
				s->r->err);
}

static void service_labels(struct seldon *s, const struct seldon_predictor *p, struct value *labels,
			   const struct value *pod)
{
	const struct value *containers = get(pod, "containers");

	for (uint32_t i = 0; i < count_of(containers); i++) {
		struct span name = get_text(value_item(containers, i), "name"), key;

		if (!seldon_node_of(p, name))
			continue;
		key = seldon_service_label(s, name);
		(void)value_set(labels, key, value_string(seldon_container_service(s, p, name)), s->r->arena,
				s->r->err);
	}
}

static void annotations_add(struct seldon *s, struct value *annotations, const struct value *more, const char *prefix)
{
	for (uint32_t i = 0; i < count_of(more); i++) {
		const struct value_member *m = &more->object.members[i];

		if (span_starts(m->key, span_of(prefix)))
			(void)value_set(annotations, m->key, m->value, s->r->arena, s->r->err);
	}
}

static struct value template_annotations(struct seldon *s, const struct seldon_predictor *p,
					 const struct value *component)
{
	struct value all =
	    serving_made(s->r, "{'prometheus.io/scrape':'true','prometheus.io/path':'" SERVING_METRICS_PATH "'}");

	/* Others of the object itself change without a change of what runs. */
	annotations_add(s, &all, value_find(s->object, "metadata.annotations"), "seldon.io/");
	annotations_add(s, &all, get(s->spec, "annotations"), "");
	annotations_add(s, &all, get(p->written, "annotations"), "");
	annotations_add(s, &all, value_find(component, "metadata.annotations"), "");
	return all;
}

static const struct value *replicas_of(const struct seldon *s, const struct seldon_predictor *p,
				       const struct value *component)
{
	const struct value *own = get(component, "replicas");

	if (get(component, "hpaSpec") || get(component, "kedaSpec"))
		return NULL;
	if (!own)
		own = get(p->written, "replicas");
	return own ? own : get(s->spec, "replicas");
}

static struct span deployment_name(struct seldon *s, const struct seldon_predictor *p, const struct value *component,
				   uint32_t index)
{
	struct reconcile *r = s->r;
	struct span own = value_find_string(component, "metadata.name"), name;
	const struct value *containers = value_find(component, "spec.containers");

	name = text_print(r, SPAN_FMT "-" SPAN_FMT "-%u", SPAN_WHOLE(r->name), SPAN_WHOLE(p->name), index).string;
	if (own.len)
		return serving_name(r, text_print(r, SPAN_FMT "-" SPAN_FMT, SPAN_WHOLE(name), SPAN_WHOLE(own)).string);
	for (uint32_t i = 0; i < count_of(containers); i++)
		name = arena_print(r->arena, r->err, SPAN_FMT "-" SPAN_FMT, SPAN_WHOLE(name),
				   SPAN_WHOLE(get_text(value_item(containers, i), "name")));
	return serving_name(r, name);
}

static const char *type_label(const struct value *node)
{
	static const struct {
		const char *type, *label;
	} rows[] = { { "MODEL", "seldon.io/model" },
		     { "ROUTER", "seldon.io/router" },
		     { "COMBINER", "seldon.io/combiner" },
		     { "TRANSFORMER", "seldon.io/transformer" },
		     { "OUTPUT_TRANSFORMER", "seldon.io/output-transformer" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (is_text(get(node, "type"), rows[i].type))
			return rows[i].label;
	return NULL;
}

static struct value deployment_labels(struct seldon *s, const struct seldon_predictor *p, struct span name,
				      const struct value *pod)
{
	struct value labels = seldon_labels(s, p);
	const struct value *containers = get(pod, "containers");

	put(s->r, &labels, "app", value_string(name));
	put(s->r, &labels, "fluentd", value_string(SPAN("true")));
	for (uint32_t i = 0; i < count_of(containers); i++) {
		const struct value *node = seldon_node_of(p, get_text(value_item(containers, i), "name"));
		const char *label = node ? type_label(node) : NULL;

		if (label)
			put(s->r, &labels, label, value_string(SPAN("true")));
	}
	if (p->is_shadow)
		put(s->r, &labels, "seldon.io/shadow", value_string(SPAN("true")));
	return labels;
}

/* `pod` is the spec of its pods, with all containers. */
static struct value *deployment_make(struct seldon *s, struct seldon_predictor *p, struct span name,
				     const struct value *component, const struct value *pod, bool is_entry)
{
	struct reconcile *r = s->r;
	struct value *object = object_new(r, &resource_deployments, name), labels = deployment_labels(s, p, name, pod);
	struct value template = value_object(), metadata = value_object(), spec;
	const struct value *replicas = replicas_of(s, p, component),
			   *deadline = get(p->written, "progressDeadlineSeconds");

	if (!object)
		return NULL;
	spec = serving_made(r,
			    "{'selector':{'matchLabels':{'" SELDON_LABEL_ID "':'%.*s','app':'%.*s'}},"
			    "'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':'10%%'}}}",
			    SPAN_WHOLE(s->id), SPAN_WHOLE(name));
	if (is_entry && !p->has_no_engine)
		put(r, &labels, SELDON_LABEL_ENGINE, value_string(SPAN("true")));
	put(r, put_object(r, object, "metadata"), "labels", copied(r, &labels));
	(void)value_remove(&labels, SPAN(SELDON_LABEL_ENGINE));
	labels_add(s, &labels, value_find(component, "metadata.labels"));
	service_labels(s, p, &labels, pod);
	if (is_entry)
		put(r, &labels, SELDON_LABEL_APP, value_string(p->service));
	put(r, &metadata, "labels", labels);
	put(r, &metadata, "annotations", template_annotations(s, p, component));
	put(r, &template, "metadata", metadata);
	put(r, &template, "spec", copied(r, pod));
	put(r, &spec, "template", template);
	if (replicas)
		put(r, &spec, "replicas", *replicas);
	if (deadline)
		put(r, &spec, "progressDeadlineSeconds", *deadline);
	put(r, object, "spec", spec);
	return object;
}

static void pod_complete(struct seldon *s, struct value *pod)
{
	struct value *volumes = put_array(s->r, pod, "volumes");

	if (!has_named(volumes, "seldon-podinfo"))
		put_item(s->r, volumes,
			 serving_made(s->r, "{'name':'seldon-podinfo','downwardAPI':{'items':[{'path':'annotations',"
					    "'fieldRef':{'apiVersion':'v1','fieldPath':'metadata.annotations'}}]}}"));
	if (!get(pod, "terminationGracePeriodSeconds"))
		put(s->r, pod, "terminationGracePeriodSeconds", value_int(GRACE_SECONDS));
	put(s->r, pod, "restartPolicy", value_string(SPAN("Always")));
}

static void component_deploy(struct seldon *s, struct seldon_predictor *p, const struct value *component,
			     uint32_t index)
{
	struct reconcile *r = s->r;
	struct value pod = copied(r, get(component, "spec")), *containers = get(&pod, "containers"), *deployment;
	struct span name = deployment_name(s, p, component, index);
	bool is_entry = index == 0 && !p->has_own_engine;

	for (uint32_t i = 0; i < count_of(containers); i++)
		container_complete(s, p, value_item(containers, i));
	if (is_entry && !p->has_no_engine)
		put_item(r, put_array(r, &pod, "containers"), engine_container(s, p));
	pod_complete(s, &pod);
	deployment = deployment_make(s, p, name, component, &pod, is_entry);
	if (!deployment)
		return;
	seldon_scaler(s, component, deployment);
	seldon_budget(s, component, deployment);
	if (wanted_add(&s->wanted, &resource_deployments, deployment))
		p->deployment_count++;
}

static void engine_deploy(struct seldon *s, struct seldon_predictor *p)
{
	struct reconcile *r = s->r;
	struct span name = serving_name(
	    r, text_print(r, SPAN_FMT "-" SPAN_FMT "-svc-orch", SPAN_WHOLE(r->name), SPAN_WHOLE(p->name)).string);
	struct value pod = value_object(), component = value_object(), *deployment;
	const struct value *replicas = value_find(p->written, "svcOrchSpec.replicas");

	put_item(r, put_array(r, &pod, "containers"), engine_container(s, p));
	pod_complete(s, &pod);
	if (replicas)
		put(r, &component, "replicas", *replicas);
	deployment = deployment_make(s, p, name, &component, &pod, true);
	if (deployment && wanted_add(&s->wanted, &resource_deployments, deployment))
		p->deployment_count++;
}

void seldon_deployments(struct seldon *s, struct seldon_predictor *p)
{
	const struct value *components = get(p->spec, "componentSpecs");

	for (uint32_t i = 0; i < count_of(components); i++)
		if (count_of(value_find(value_item(components, i), "spec.containers")))
			component_deploy(s, p, value_item(components, i), i);
	if (p->has_own_engine)
		engine_deploy(s, p);
}
