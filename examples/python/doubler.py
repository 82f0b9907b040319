# SPDX-License-Identifier: Apache-2.0
"""The smallest model: a class as Seldon Core calls it. Needs numpy.

Run:   hythe serve examples/python/doubler.py
Ask:   curl localhost:8080/predict -d '{"data":{"ndarray":[[1,2]]}}'
"""


class Doubler:
    def predict(self, X, features_names):
        return X * 2
