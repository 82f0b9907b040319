# SPDX-License-Identifier: Apache-2.0
"""Protobuf messages of the prediction API; they need the package protobuf."""
