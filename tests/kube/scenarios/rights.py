# SPDX-License-Identifier: Apache-2.0
"""Who asks, what they may, reviews, tokens, roles. The users: a token without rights, no credentials, bad ones, the administrator in another's name."""
from scenarios import scenario
from scenarios.objects import config

AUTHORIZATION = "/apis/authorization.k8s.io/v1/"
AUTHENTICATION = "/apis/authentication.k8s.io/v1/"


@scenario()
def refused(s):
    path = s.core("configmaps")
    for user in ("plain-token", "none", "a-bad-token"):
        s.get(f"{user}: list", path, user=user)
        s.get(f"{user}: get", path + "/x", user=user)
        s.post(f"{user}: create", path, config("x"), user=user)
        s.delete(f"{user}: delete a collection", path, user=user)
        s.patch(f"{user}: patch", s.at("apps/v1", "deployments", "d", "scale"), {}, user=user)
        s.get(f"{user}: watch", path + "?watch=true", user=user)
        s.get(f"{user}: a cluster-wide kind", "/api/v1/nodes", user=user)
        s.get(f"{user}: one of a cluster-wide kind", "/api/v1/nodes/n", user=user)
        s.get(f"{user}: a path", "/metrics", user=user)
        s.get(f"{user}: a namespace", "/api/v1/namespaces/" + s.ns, user=user)
        s.get(f"{user}: a kind that is not there", s.core("poems"), user=user)
        s.get(f"{user}: version", "/version", user=user, shape=lambda b: "gitVersion" in b or b)
    s.get("another scheme", path, user="none", Authorization="Basic YTpi")
    s.get("an empty token", path, user="none", Authorization="Bearer ")


@scenario()
def in_anothers_name(s):
    path = s.core("configmaps")
    s.get("a user without rights", path, Impersonate_User="jane")
    s.get("a user of the masters", path + "?labelSelector=x", Impersonate_User="jane", Impersonate_Group="system:masters")
    s.get("a service account", path, Impersonate_User=f"system:serviceaccount:{s.ns}:default")
    s.get("a group without a user", path, Impersonate_Group="g")
    s.get("one who may not", path, user="plain-token", Impersonate_User="jane")
    s.post("who am I", AUTHENTICATION + "selfsubjectreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, Impersonate_User="jane", Impersonate_Group="g")


def attributes(**more):
    return {"resourceAttributes": more}


@scenario()
def reviews(s):
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    ask = AUTHORIZATION + "selfsubjectaccessreviews"
    s.post("may I, administrator", ask, {**review, "spec": attributes(verb="get", resource="pods", namespace=s.ns)})
    s.post("may I, no rights", ask, {**review, "spec": attributes(verb="get", resource="pods", namespace=s.ns)}, user="plain-token")
    s.post("may I, a path", ask, {**review, "spec": {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}}, user="plain-token",
           shape=lambda b: b.get("status", {}).get("allowed", b))  # two bindings give this right; which is named, is chance
    s.post("may I, nothing asked", ask, {**review, "spec": {}})
    s.post("may I, both asked", ask, {**review, "spec": {**attributes(verb="get"), "nonResourceAttributes": {"path": "/"}}})
    s.post("may I, nobody", ask, {**review, "spec": attributes(verb="get", resource="pods")}, user="none")
    rules = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": s.ns}}

    def sorted_rules(body):
        status = {k: sorted(v, key=str) if isinstance(v, list) else v for k, v in body["status"].items()}
        return {**body, "status": status}

    s.post("my rules, no rights", AUTHORIZATION + "selfsubjectrulesreviews", rules, user="plain-token", shape=sorted_rules)
    s.post("my rules, administrator", AUTHORIZATION + "selfsubjectrulesreviews", rules, shape=sorted_rules)
    s.post("my rules, no namespace", AUTHORIZATION + "selfsubjectrulesreviews", {**rules, "spec": {}})
    subject = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    s.post("may another", AUTHORIZATION + "subjectaccessreviews", {**subject, "spec": {**attributes(verb="list", resource="pods"), "user": "jane"}})
    s.post("may a master", AUTHORIZATION + "subjectaccessreviews", {**subject, "spec": {**attributes(verb="list", resource="pods"), "user": "jane", "groups": ["system:masters"]}})
    s.post("may nobody", AUTHORIZATION + "subjectaccessreviews", {**subject, "spec": attributes(verb="list", resource="pods")})
    local = {"apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview", "metadata": {"namespace": s.ns}}
    s.post("may another here", s.at("authorization.k8s.io/v1", "localsubjectaccessreviews"), {**local, "spec": {**attributes(verb="list", resource="pods", namespace=s.ns), "user": "jane"}})
    s.post("may another there", s.at("authorization.k8s.io/v1", "localsubjectaccessreviews"), {**local, "spec": {**attributes(verb="list", resource="pods", namespace="default"), "user": "jane"}})
    s.post("who am I", AUTHENTICATION + "selfsubjectreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, user="plain-token")
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    s.post("whose token", AUTHENTICATION + "tokenreviews", {**token, "spec": {"token": "plain-token"}})
    s.post("whose bad token", AUTHENTICATION + "tokenreviews", {**token, "spec": {"token": "nobodys"}})
    s.post("whose empty token", AUTHENTICATION + "tokenreviews", {**token, "spec": {"token": ""}})
    s.post("whose token, asked without rights", AUTHENTICATION + "tokenreviews", {**token, "spec": {"token": "x"}}, user="plain-token")
    s.get("reviews are not listed", ask)


@scenario()
def tokens_of_service_accounts(s):
    s.prepare("POST", s.core("serviceaccounts"), {"metadata": {"name": "sa"}})
    path = s.core("serviceaccounts", "sa", "token")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = s.post("a token", path, request)
    token = made.json["status"]["token"]
    s.get("it is refused without rights", s.core("configmaps"), user=token)
    s.post("who it is", AUTHENTICATION + "selfsubjectreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, user=token,
           shape=lambda b: [b["status"]["userInfo"]["username"], sorted(b["status"]["userInfo"]["groups"]), sorted(b["status"]["userInfo"].get("extra", {}))])
    s.prepare("POST", s.at("rbac.authorization.k8s.io/v1", "rolebindings"), {"metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                                                                            "subjects": [{"kind": "ServiceAccount", "name": "sa", "namespace": s.ns}]})
    for _ in range(200):
        if s.cluster.ask("GET", s.core("configmaps"), user=token).status == 200:
            break
    s.get("with a role it may look", s.core("configmaps") + "?labelSelector=none", user=token)
    s.get("but not at secrets", s.core("secrets"), user=token)
    s.get("nor elsewhere", "/api/v1/namespaces/default/configmaps", user=token)
    s.post("nor write", s.core("configmaps"), config("x"), user=token)
    s.get("a broken token", s.core("configmaps"), user=token[:-8] + "AAAAAAAA")
    s.post("for another audience", path, {**request, "spec": {"audiences": ["other"]}})
    other = s.prepare("POST", path, {**request, "spec": {"audiences": ["other"]}}).json["status"]["token"]
    s.get("is not taken here", s.core("configmaps"), user=other)
    s.post("too short", path, {**request, "spec": {"expirationSeconds": 5}})
    s.post("very long", path, {**request, "spec": {"expirationSeconds": 10 ** 10}})
    s.post("for an hour", path, {**request, "spec": {"expirationSeconds": 3600}})
    s.post("bound to a pod that is not there", path, {**request, "spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}})
    s.post("for one that is not there", s.core("serviceaccounts", "none", "token"), request)
    s.post("review", AUTHENTICATION + "tokenreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}},
           shape=lambda b: [b["status"].get("authenticated"), b["status"].get("user", {}).get("username"), b["status"].get("audiences")])
    s.prepare("DELETE", s.core("serviceaccounts", "sa"))
    s.gone(s.core("serviceaccounts", "sa"))
    for _ in range(200):
        if s.cluster.ask("GET", s.core("configmaps"), user=token).status == 401:
            break
    s.get("with its account a token goes", s.core("configmaps"), user=token)


@scenario()
def roles(s):
    rbac = s.at("rbac.authorization.k8s.io/v1", "")
    s.prepare("POST", rbac + "roles", {"metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}, {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]},
                                                                                    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]}, {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]}]})
    user = "jane-" + s.u
    s.post("bind", rbac + "rolebindings", {"metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, "subjects": [{"kind": "User", "name": user}]})
    as_jane = {"Impersonate_User": user}
    for _ in range(200):
        if s.cluster.ask("GET", s.core("configmaps"), headers={"Impersonate-User": user}).status == 200:
            break
    s.get("what the role gives", s.core("configmaps") + "?labelSelector=none", **as_jane)
    s.get("another verb", s.core("configmaps") + "?watch=true", **as_jane)
    s.get("a name that it gives", s.core("secrets", "one"), **as_jane)
    s.get("another name", s.core("secrets", "two"), **as_jane)
    s.get("a list where names are given", s.core("secrets"), **as_jane)
    s.get("a subresource", s.at("apps/v1", "deployments", "d", "scale"), **as_jane)
    s.get("its parent", s.at("apps/v1", "deployments", "d"), **as_jane)
    s.get("another namespace", "/api/v1/namespaces/default/configmaps", **as_jane)
    s.post("a role with more than one has", rbac + "roles", {"metadata": {"name": "more"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "get"]}]}, **as_jane)
    s.post("a role with what one has", rbac + "roles", {"metadata": {"name": "same"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}, **as_jane)
    s.post("a binding to more than one has", rbac + "rolebindings", {"metadata": {"name": "esc"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "User", "name": user}]}, **as_jane)
    s.patch("the role of a binding may not change", rbac + "rolebindings/b", {"roleRef": {"name": "other"}})
    for name in ("cluster-admin", "admin", "edit", "view", "system:discovery", "system:basic-user", "system:public-info-viewer"):
        s.get("cluster role " + name, "/apis/rbac.authorization.k8s.io/v1/clusterroles/" + name, shape=lambda b: [b["metadata"]["name"], b["metadata"].get("labels"), sorted(map(str, b.get("rules") or [])) if b["metadata"]["name"].startswith(("system:", "cluster-admin")) else []])
    for name in ("cluster-admin", "system:discovery", "system:basic-user", "system:public-info-viewer"):
        s.get("cluster role binding " + name, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/" + name, shape=lambda b: [b["metadata"]["name"], b["roleRef"], b["subjects"]])
    s.prepare("DELETE", rbac + "rolebindings/b")
    for _ in range(200):
        if s.cluster.ask("GET", s.core("configmaps"), headers={"Impersonate-User": user}).status == 403:
            break
    s.get("without the binding", s.core("configmaps"), **as_jane)
