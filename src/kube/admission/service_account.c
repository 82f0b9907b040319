/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_account - ServiceAccount: a pod runs as an account of its namespace, whose token, root certificate and namespace are mounted
 * in each container; secrets for images come from the account.
 */
#include "kube/admission/plugins.h"

#include "base/random.h"
#include "kube/kinds/kinds.h"

#define MOUNT_PATH    "/var/run/secrets/kubernetes.io/serviceaccount"
#define VOLUME_PREFIX "kube-api-access-"
#define MIRROR        "kubernetes.io/config.mirror"
#define LIMITED       "kubernetes.io/enforce-mountable-secrets"

/* ---- the account ---- */

/* NULL: err is set. */
static struct value *account_of(struct change *c, struct error *err)
{
	struct span name = value_find_string(c->object, "spec.serviceAccountName");
	struct value *account = admission_object(c, "", "serviceaccounts", c->name_space, name, err);

	if (!account && !err->code)
		(void)refuse(c, err,
			     "error looking up service account " SPAN_FMT "/" SPAN_FMT ": serviceaccount \"" SPAN_FMT
			     "\" not found",
			     SPAN_ARG(c->name_space), SPAN_ARG(name), SPAN_ARG(name));
	return account;
}

static bool is_mirror(const struct change *c)
{
	return value_get(value_find(c->object, "metadata.annotations"), SPAN(MIRROR)) != NULL;
}

/* ---- the token's volume ---- */

static bool wants_token(const struct value *account, const struct value *spec)
{
	const struct value *own = get(spec, "automountServiceAccountToken"),
			   *of_account = get(account, "automountServiceAccountToken");

	if (own)
		return own->boolean;
	return !of_account || of_account->boolean;
}

static struct span volume_name(struct change *c, const struct value *spec, bool *ret_is_there, struct error *err)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	const struct value *volumes = get(spec, "volumes");
	char suffix[6] = "";

	for (uint32_t i = 0; i < count_of(volumes); i++) {
		struct span name = get_text(value_item(volumes, i), "name");

		if (span_starts(name, SPAN(VOLUME_PREFIX))) {
			*ret_is_there = true;
			return name;
		}
	}
	for (size_t i = 0; i + 1 < sizeof(suffix); i++)
		suffix[i] = letters[random_fast() % (sizeof(letters) - 1)];
	*ret_is_there = false;
	return arena_print(c->arena, err, VOLUME_PREFIX "%s", suffix);
}

static bool has_mount(const struct value *container)
{
	const struct value *mounts = get(container, "volumeMounts");

	for (uint32_t i = 0; i < count_of(mounts); i++)
		if (is_text(get(value_item(mounts, i), "mountPath"), MOUNT_PATH))
			return true;
	return false;
}

static bool mount(struct change *c, struct value *containers, struct span volume, bool *ret_any, struct error *err)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		struct value *list, *one;

		if (!value_is(value_item(containers, i), VALUE_OBJECT) || has_mount(value_item(containers, i)))
			continue;
		list = value_ensure_array(value_item(containers, i), SPAN("volumeMounts"), c->arena, err);
		one = list ? value_append(list, value_object(), c->arena, err) : NULL;
		if (!one || !value_set(one, SPAN("name"), value_string(volume), c->arena, err) ||
		    !value_set(one, SPAN("readOnly"), value_bool(true), c->arena, err) ||
		    !value_set(one, SPAN("mountPath"), value_string(SPAN(MOUNT_PATH)), c->arena, err))
			return false;
		*ret_any = true;
	}
	return true;
}

static bool token_mount(struct change *c, struct value *spec, struct error *err)
{
	static const char source[] =
	    "{\"defaultMode\":420,\"sources\":["
	    "{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},"
	    "{\"configMap\":{\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}],\"name\":\"kube-root-ca.crt\"}},"
	    "{\"downwardAPI\":{\"items\":[{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.namespace\"},"
	    "\"path\":\"namespace\"}]}}]}";
	bool is_there = false, is_needed = false;
	struct span name = volume_name(c, spec, &is_there, err);
	struct value *volumes, *one, projected;

	if (!name.ptr || !mount(c, get(spec, "initContainers"), name, &is_needed, err) ||
	    !mount(c, get(spec, "containers"), name, &is_needed, err))
		return false;
	if (is_there || !is_needed)
		return true;
	volumes = value_ensure_array(spec, SPAN("volumes"), c->arena, err);
	one = volumes ? value_append(volumes, value_object(), c->arena, err) : NULL;
	return one && value_set(one, SPAN("name"), value_string(name), c->arena, err) &&
	       value_parse(SPAN(source), NULL, c->arena, &projected, err) &&
	       value_set(one, SPAN("projected"), projected, c->arena, err);
}

static bool pull_secrets_set(struct change *c, const struct value *account, struct value *spec, struct error *err)
{
	const struct value *from = get(account, "imagePullSecrets");
	struct value list = value_array();

	if (count_of(get(spec, "imagePullSecrets")) || !count_of(from))
		return true;
	for (uint32_t i = 0; i < count_of(from); i++) {
		struct value *one = value_append(&list, value_object(), c->arena, err);

		if (!one ||
		    !value_set(one, SPAN("name"), value_string(get_text(value_item(from, i), "name")), c->arena, err))
			return false;
	}
	return value_set(spec, SPAN("imagePullSecrets"), list, c->arena, err);
}

/* ---- which secrets may be mounted, where the account says so ---- */

static bool names(const struct value *list, struct span name)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		if (span_equal(get_text(value_item(list, i), "name"), name))
			return true;
	return false;
}

static bool containers_check(struct change *c, const struct value *account, const struct value *list, const char *what,
			     struct error *err)
{
	const struct value *allowed = get(account, "secrets");
	struct span account_name = value_find_string(account, "metadata.name");

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *container = value_item(list, i), *env = get(container, "env"),
				   *from = get(container, "envFrom");

		for (uint32_t k = 0; k < count_of(env); k++) {
			const struct value *ref = value_find(value_item(env, k), "valueFrom.secretKeyRef");

			if (ref && !names(allowed, get_text(ref, "name")))
				return refuse(c, err,
					      "%s " SPAN_FMT " with envVar " SPAN_FMT
					      " referencing secret.secretName=\"" SPAN_FMT
					      "\" is not allowed because service account " SPAN_FMT
					      " does not reference that secret",
					      what, SPAN_ARG(get_text(container, "name")),
					      SPAN_ARG(get_text(value_item(env, k), "name")),
					      SPAN_ARG(get_text(ref, "name")), SPAN_ARG(account_name));
		}
		for (uint32_t k = 0; k < count_of(from); k++) {
			const struct value *ref = get(value_item(from, k), "secretRef");

			if (ref && !names(allowed, get_text(ref, "name")))
				return refuse(c, err,
					      "%s " SPAN_FMT " with envFrom referencing secret.secretName=\"" SPAN_FMT
					      "\" is not allowed because service account " SPAN_FMT
					      " does not reference that secret",
					      what, SPAN_ARG(get_text(container, "name")),
					      SPAN_ARG(get_text(ref, "name")), SPAN_ARG(account_name));
		}
	}
	return true;
}

static bool secrets_check(struct change *c, const struct value *account, struct error *err)
{
	const struct value *spec = get(c->object, "spec"), *volumes = get(spec, "volumes"),
			   *pulls = get(spec, "imagePullSecrets");
	struct span account_name = value_find_string(account, "metadata.name");

	for (uint32_t i = 0; i < count_of(volumes); i++) {
		const struct value *secret = get(value_item(volumes, i), "secret");

		if (secret && !names(get(account, "secrets"), get_text(secret, "secretName")))
			return refuse(c, err,
				      "volume with secret.secretName=\"" SPAN_FMT
				      "\" is not allowed because service account " SPAN_FMT
				      " does not reference that secret",
				      SPAN_ARG(get_text(secret, "secretName")), SPAN_ARG(account_name));
	}
	if (!containers_check(c, account, get(spec, "initContainers"), "init container", err) ||
	    !containers_check(c, account, get(spec, "containers"), "container", err))
		return false;
	for (uint32_t i = 0; i < count_of(pulls); i++) {
		struct span name = get_text(value_item(pulls, i), "name");

		if (!names(get(account, "imagePullSecrets"), name))
			return refuse(c, err,
				      "imagePullSecrets[%u].name=\"" SPAN_FMT
				      "\" is not allowed because service account " SPAN_FMT
				      " does not reference that imagePullSecret",
				      i, SPAN_ARG(name), SPAN_ARG(account_name));
	}
	return true;
}

static bool mirror_check(struct change *c, struct error *err)
{
	const struct value *volumes = value_find(c->object, "spec.volumes");

	if (value_find_string(c->object, "spec.serviceAccountName").len)
		return refuse(c, err, "a mirror pod may not reference service accounts");
	for (uint32_t i = 0; i < count_of(volumes); i++) {
		const struct value *sources = value_find(value_item(volumes, i), "projected.sources");

		if (get(value_item(volumes, i), "secret"))
			return refuse(c, err, "a mirror pod may not reference secrets");
		for (uint32_t k = 0; k < count_of(sources); k++)
			if (get(value_item(sources, k), "serviceAccountToken"))
				return refuse(c, err,
					      "a mirror pod may not use ServiceAccountToken volume projections");
	}
	return true;
}

/* ---- the plugin ---- */

static bool is_limited(const struct value *account)
{
	const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True", NULL };

	return text_is_one_of(text_of(value_get(value_find(account, "metadata.annotations"), SPAN(LIMITED))), yes);
}

bool service_account_admit(struct change *c, struct error *err)
{
	struct value *spec, *account;

	if (!is_new(c, "", "pods"))
		return true;
	if (is_mirror(c))
		return mirror_check(c, err);
	spec = admission_spec(c, err);
	if (!spec || (!get_text(spec, "serviceAccountName").len &&
		      !value_set(spec, SPAN("serviceAccountName"), value_string(SPAN("default")), c->arena, err)))
		return false;
	/* The same by its old name. */
	if (!value_set(spec, SPAN("serviceAccount"), value_string(get_text(spec, "serviceAccountName")), c->arena, err))
		return false;
	account = account_of(c, err);
	if (!account || (wants_token(account, spec) && !token_mount(c, spec, err)))
		return false;
	return pull_secrets_set(c, account, spec, err) && service_account_validate(c, err);
}

bool service_account_validate(struct change *c, struct error *err)
{
	struct value *account;

	if (c->verb == KUBE_UPDATE && change_is_of(c, "", "pods") &&
	    span_equal(c->subresource, SPAN("ephemeralcontainers"))) {
		account = account_of(c, err);
		return account && (!is_limited(account) ||
				   containers_check(c, account, value_find(c->object, "spec.ephemeralContainers"),
						    "ephemeral container", err));
	}
	if (!is_new(c, "", "pods"))
		return true;
	if (is_mirror(c))
		return mirror_check(c, err);
	account = account_of(c, err);
	return account && (!is_limited(account) || secrets_check(c, account, err));
}
