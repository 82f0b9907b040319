# SPDX-License-Identifier: Apache-2.0
"""The names of the package seldon-core that a model's own code imports, for where that package is not installed.

hythe serves such code either way. Servers, clients and graphs are not here: `pip install seldon-core` for these.
"""
from .user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse  # noqa: F401

__version__ = "1.18.2"  # of the contract
