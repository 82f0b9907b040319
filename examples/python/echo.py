# SPDX-License-Identifier: Apache-2.0
"""Says back what it was told: a Flask app that answers GET and POST. Needs Flask.

Run:   hythe serve examples/python/echo.py
Ask:   curl 'localhost:8080/predict?msg=Hi_from_docker'
"""
import flask

app = flask.Flask(__name__)


@app.route("/predict", methods=["GET", "POST"])
def predict():
    told = flask.request.get_json(silent=True) or flask.request.args
    if "msg" not in told:
        return {"success": False}
    return {"response": told["msg"], "success": True}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=80)
