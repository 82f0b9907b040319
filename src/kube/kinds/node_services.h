/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* node_services - handlers for the rows of subresources that a node answers. */

struct kube_call;

void pod_log(struct kube_call *call);
void pod_exec(struct kube_call *call);
void pod_attach(struct kube_call *call);
void pod_forward(struct kube_call *call);
void pod_proxy(struct kube_call *call);
void service_proxy(struct kube_call *call);
void node_proxy(struct kube_call *call);
