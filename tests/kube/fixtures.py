# SPDX-License-Identifier: Apache-2.0
"""Fixtures that the Kubernetes suites import: one `hythe up` for each file, whose tests change nothing but their own namespaces."""
import os
import signal

import pytest
from client import Cluster
from cluster import Up


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory):
    """Path of a kubeconfig: of a running `hythe up`, or of the server that KUBE_SUITE_KUBECONFIG names (the real one, to test the tests)."""
    given = os.environ.get("KUBE_SUITE_KUBECONFIG")
    if given:
        yield given
        return
    up = Up(tmp_path_factory.mktemp("up"))
    yield str(up.kubeconfig)
    code = up.stop()
    assert code in (0, -signal.SIGTERM), f"hythe up ended with {code}:\n{up.said()[-4000:]}"


@pytest.fixture(scope="session")
def kube(kubeconfig):
    return Cluster(kubeconfig)
