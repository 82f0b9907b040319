#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a logistic regression and writes it as a hythe-linear model. Needs nothing but Python.

    python3 examples/train_propensity.py [DATA.csv] [MODEL.json]

DATA.csv has a header; its last column is the label (0 or 1), the others are numbers. Without it, seeded synthetic customers
are drawn: ten products G1..G10, each bought (1) or not (0), and whether the customer then bought the new one.
The fit is scikit-learn's default: L2 penalty with C = 1, by Newton's method (Hastie, Tibshirani, Friedman, "The Elements of
Statistical Learning", 4.4.1).
"""
import csv
import json
import math
import random
import sys


def synthetic(rows=4000, seed=20240607):
    r = random.Random(seed)
    names = [f"G{i}" for i in range(1, 11)]
    weights = [1.5, -2.0, 0.7, 0.0, 1.1, -0.4, -1.3, 0.2, 0.9, -0.6]
    x = [[float(r.random() < 0.4) for _ in names] for _ in range(rows)]
    y = [float(r.random() < 1 / (1 + math.exp(0.8 - sum(w * v for w, v in zip(weights, row))))) for row in x]
    return names, x, y


def read(path):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        names = next(rows)[:-1]
        data = [[float(v) for v in row] for row in rows if row]
    return names, [row[:-1] for row in data], [row[-1] for row in data]


def solve(a, b):
    """Gaussian elimination with partial pivoting: a x = b."""
    n = len(b)
    m = [row[:] + [v] for row, v in zip(a, b)]
    for i in range(n):
        p = max(range(i, n), key=lambda k: abs(m[k][i]))
        m[i], m[p] = m[p], m[i]
        for k in range(i + 1, n):
            f = m[k][i] / m[i][i]
            for j in range(i, n + 1):
                m[k][j] -= f * m[i][j]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][j] * x[j] for j in range(i + 1, n))) / m[i][i]
    return x


def fit(x, y, penalty=1.0, rounds=50):
    """Minimises the log loss plus penalty/2 * |coef|^2; the intercept (last) is not penalised."""
    n = len(x[0]) + 1
    counts = {}
    for row, label in zip(x, y):  # equal rows are counted once: the columns are few and binary
        key = (tuple(row), label)
        counts[key] = counts.get(key, 0) + 1
    beta = [0.0] * n
    for _ in range(rounds):
        gradient = [penalty * b for b in beta[:-1]] + [0.0]
        hessian = [[penalty if i == j and i < n - 1 else 0.0 for j in range(n)] for i in range(n)]
        for (row, label), count in counts.items():
            full = row + (1.0,)
            p = 1 / (1 + math.exp(-sum(b * v for b, v in zip(beta, full))))
            for i in range(n):
                if full[i]:
                    gradient[i] += count * (p - label) * full[i]
                    for j in range(n):
                        hessian[i][j] += count * p * (1 - p) * full[i] * full[j]
        step = solve(hessian, gradient)
        beta = [b - s for b, s in zip(beta, step)]
        if max(abs(s) for s in step) < 1e-12:
            break
    return beta[:-1], beta[-1]


def main():
    data = [a for a in sys.argv[1:] if a.endswith(".csv")]
    out = [a for a in sys.argv[1:] if a.endswith(".json")]
    names, x, y = read(data[0]) if data else synthetic()
    coef, intercept = fit(x, y)
    model = {
        "format": "hythe-linear",
        "version": 1,
        "task": "binary",
        "features": names,
        "classes": [0, 1],
        "coef": [coef],
        "intercept": [intercept],
    }
    text = json.dumps(model, indent=1) + "\n"
    if out:
        with open(out[0], "w") as file:
            file.write(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
