# SPDX-License-Identifier: Apache-2.0
"""Sends a picture as Seldon's `binData`, and writes the picture that comes back as a tensor. Needs numpy and Pillow.

Run:   python3 examples/python/image_client.py URL PICTURE OUTPUT
URL is http://127.0.0.1:8080 for `hythe serve examples/python/image.py`.
"""
import base64
import json
import sys
import urllib.error
import urllib.request

import numpy
from PIL import Image

MEANINGS = {500: "the model failed", 503: "the model is not up; try again later"}


def ask(url, picture):
    body = json.dumps({"binData": base64.b64encode(picture).decode()}).encode()
    request = urllib.request.Request(url + "/api/v0.1/predictions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        data = json.load(answer)["data"]
    if "tensor" in data:
        return numpy.array(data["tensor"]["values"]).reshape(data["tensor"]["shape"])
    return numpy.array(data["ndarray"])


def main():
    url, source, target = sys.argv[1:]
    with open(source, "rb") as file:
        picture = file.read()
    try:
        pixels = ask(url, picture)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {MEANINGS.get(error.code, 'not as expected')}: {error.read().decode(errors='replace')}")
    print("shape", "x".join(map(str, pixels.shape)))
    Image.fromarray(pixels.astype(numpy.uint8)).save(target)


if __name__ == "__main__":
    main()
