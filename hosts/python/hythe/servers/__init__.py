# SPDX-License-Identifier: Apache-2.0
"""Prepackaged servers as components: models that only Python's own libraries read. scikit-learn's are in hythe.sklearn."""
