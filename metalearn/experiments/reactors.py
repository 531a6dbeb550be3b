"""A table of tasks that differ by constants nobody wrote down: chemical reactors, simulated.

Each reactor has its own activation energy E, order n, saturation K, half-life of the catalyst and
scale, and a row is a run of it: what was set, and the yield, with noise of 2 % of its range. The
rate is Arrhenius' k = exp(−E / R·T) relative to 350 K, times the usual factors:

    yield = scale · k(T)/k(350 K) · pⁿ/4ⁿ · ratio/(ratio + K) · 2^(−age/half-life)

Humidity is in the table and has no effect.
"""

import csv
import io
from pathlib import Path

import numpy as np

from metalearn.checkpoints import write_atomically
from metalearn.tasks.random import between, normals, stream_key, uniforms

COLUMNS = ("reactor", "temperature_K", "pressure_bar", "ratio", "age_days", "humidity", "yield")
GAS_CONSTANT = 8.314e-3
"""kJ / (mol K)."""
NOISE = 0.02


def write_reactors(path: Path, reactors: int, rows: int, seed: int = 0) -> Path:
    """Write a CSV file of `rows` runs of each of so many reactors, the same for the same seed; its
    path."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    key = stream_key(seed, "reactors")
    for reactor, numbers in enumerate(uniforms(key, 0, range(reactors), 5 + 7 * rows)):
        name = f"R{reactor:03d}"
        for row in _runs(numbers[:5], numbers[5:].reshape(rows, 7)):
            writer.writerow([name, *(f"{value:.5g}" for value in row)])
    write_atomically(path, file.getvalue().encode())
    return path


def _runs(constants: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Rows of a reactor, (rows, 6): its five settings, and the yield."""
    energy, order, saturation, half_life, scale = (
        between(u, bounds)
        for u, bounds in zip(
            constants, ((5, 35), (-0.5, 0.8), (0.1, 3), (30, 300), (0.5, 1.5)), strict=True
        )
    )
    bounds = ((330, 370), (1, 8), (0.2, 4), (0, 100), (0, 1))
    settings = np.stack([between(numbers[:, i], b) for i, b in enumerate(bounds)], axis=1)
    temperature, pressure, ratio, age, _ = settings.T
    arrhenius = np.exp(-energy / GAS_CONSTANT * (1 / temperature - 1 / 350))
    exact = scale * arrhenius * (pressure / 4) ** order * ratio / (ratio + saturation)
    exact = exact * 2 ** (-age / half_life)
    noise = normals(numbers[:, 5:7])[:, :1]
    noisy = exact[:, None] + NOISE * np.ptp(exact) * noise
    return np.concatenate([settings, noisy], axis=1)
