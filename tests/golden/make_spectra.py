"""Writes spectra.json: matrices with what numpy's SVD says of their change, for tests/tools/spectrum_golden_test.cpp.

    python3 tests/golden/make_spectra.py > tests/golden/spectra.json
"""
import json

import numpy as np


def intruders(base, tuned, count, epsilon):
    old, _, _ = np.linalg.svd(base, full_matrices=False)
    new, _, _ = np.linalg.svd(tuned, full_matrices=False)
    cosines = np.abs(new[:, :count].T @ old).max(axis=1)
    return int((cosines < epsilon).sum())


def case(name, base, tuned):
    base, tuned = np.round(base, 6), np.round(tuned, 6)
    s = np.linalg.svd(tuned - base, compute_uv=False)
    share = np.cumsum(s**2) / np.sum(s**2)
    p = s / s.sum()
    p = p[p > 0]
    return {
        "name": name,
        "rows": base.shape[0],
        "columns": base.shape[1],
        "base": base.ravel().tolist(),
        "tuned": tuned.ravel().tolist(),
        "singular_values": s.tolist(),
        "rank90": int(np.argmax(share >= 0.9)) + 1,
        "stable_rank": float((s**2).sum() / s[0] ** 2),
        "effective_rank": float(np.exp(-(p * np.log(p)).sum())),
        "frobenius": float(np.linalg.norm(tuned - base)),
        "relative_change": float(np.linalg.norm(tuned - base) / np.linalg.norm(base)),
        "intruder_dimensions": intruders(base, tuned, 10, 0.5),
    }


def main():
    draw = np.random.default_rng(20240510)
    square, wide, tall = (draw.normal(0, 0.1, s) for s in ((17, 17), (12, 25), (23, 11)))
    low = draw.normal(size=(12, 2)) @ draw.normal(size=(2, 25))
    print(json.dumps([
        case("a dense small change", square, square + draw.normal(0, 0.01, square.shape)),
        case("a large change of rank 2", wide, wide + 0.5 * low),
        case("a dense large change", tall, tall + draw.normal(0, 0.2, tall.shape)),
    ]))


main()
