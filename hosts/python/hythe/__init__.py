# SPDX-License-Identifier: Apache-2.0
"""hythe serves machine-learning models; this package serves those that are Python, by hythe's own server written in C."""

__version__ = "0.1.0"
