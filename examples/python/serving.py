# SPDX-License-Identifier: Apache-2.0
"""Will this customer buy the new product? A Flask app that trains its model when it starts. Needs Flask and scikit-learn.

Run:   hythe serve examples/python/serving.py        (or: python3 examples/python/serving.py [DATA.csv], on port 5000)
Ask:   curl localhost:8080/predict -H 'Content-Type: application/json' -d '{"G1":1,"G2":0,"G3":0,"G4":1,"G5":0,"G6":0,"G7":1,"G8":0,"G9":0,"G10":0}'
The data is the file named by $GAMES_CSV (ten columns of 0 and 1, then the label), or seeded random customers.
"""
import os
import sys

import flask
import numpy
from sklearn.linear_model import LogisticRegression

FEATURES = [f"G{i}" for i in range(1, 11)]


def customers(path=None, count=4000):
    if path:
        table = numpy.loadtxt(path, delimiter=",", skiprows=1)
        return table[:, :10], table[:, 10]
    random = numpy.random.default_rng(7)
    bought = (random.random((count, len(FEATURES))) < 0.4).astype(float)
    leaning = bought @ [1.5, -2.0, 0.7, 0.0, 1.1, -0.4, -1.3, 0.2, 0.9, -0.6] - 0.8
    return bought, random.random(count) < 1 / (1 + numpy.exp(-leaning))


def train(path=None):
    return LogisticRegression().fit(*customers(path))


app = flask.Flask(__name__)
model = train(sys.argv[1] if __name__ == "__main__" and len(sys.argv) > 1 else os.environ.get("GAMES_CSV"))


@app.post("/predict")
def predict():
    customer = flask.request.get_json()
    missing = [name for name in FEATURES if name not in customer]
    if missing:
        return {"success": False, "error": "missing: " + ", ".join(missing)}, 400
    row = [[float(customer[name]) for name in FEATURES]]
    return {"response": str(model.predict_proba(row)[0, 1]), "success": True}


if __name__ == "__main__":
    app.run(port=5000)
