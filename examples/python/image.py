# SPDX-License-Identifier: Apache-2.0
"""A picture in, its pixels out: a class as Seldon Core calls it. Needs numpy and Pillow.

Run:   hythe serve examples/python/image.py
Ask:   python3 examples/python/image_client.py http://127.0.0.1:8080 picture.jpg copy.png
"""
import io

import numpy
from PIL import Image


class MyModel:
    def predict(self, X, features_names):
        """X is the bytes of a picture (`binData`); the answer is height x width x 3 numbers of 0 to 255."""
        with Image.open(io.BytesIO(X)) as picture:
            return numpy.asarray(picture.convert("RGB"))
