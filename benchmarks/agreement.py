"""How far engines' losses and gradients are from each other, and from float64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import relative_error, verdict

OURS, REFERENCE = "ours", "reference"
TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
"""The most that a first loss or meta-gradient may differ between engines, relative."""

LEAST_SHARE = 1e-2
"""A leaf of the gradient is compared relative to its own norm, or to this share of the whole
gradient's where that is more: the bias before a batch normalisation has gradient 0, rounded."""


def gradient_errors(
    gradient: Sequence[np.ndarray], reference: Sequence[np.ndarray]
) -> dict[str, float]:
    """The relative error of a gradient as a whole, and that of its worst leaf.

    Raises:
        ValueError: the leaves differ in number or shape.
    """
    whole = [np.concatenate([leaf.ravel() for leaf in leaves]) for leaves in (gradient, reference)]
    least = LEAST_SHARE * float(np.linalg.norm(whole[1]))
    worst = 0.0
    for found, expected in zip(gradient, reference, strict=True):
        if found.shape != expected.shape:
            raise ValueError(f"expected a gradient of shape {expected.shape}, got {found.shape}")
        scale = max(float(np.linalg.norm(expected)), least)
        worst = max(worst, float(np.linalg.norm(found - expected)) / scale)
    return {"gradient_error": relative_error(*whole), "worst_leaf_error": worst}


def compare(found: dict[str, dict[str, Any]], folder: Path) -> None:
    """Add errors to what was found of each engine, from the gradients saved in `folder`.

    Peers get the error of ours relative to them, and all of them, where a reference is saved, the
    error of their gradient relative to that ("rounding").
    """
    gradients = {engine: load(folder / f"{engine}.npz") for engine in found}
    reference = folder / f"{REFERENCE}.npz"
    for engine, result in found.items():
        if reference.exists():
            errors = gradient_errors(gradients[engine], load(reference))
            result["rounding"] = errors["gradient_error"]
        if engine != OURS and OURS in found:
            result["loss_error"] = relative_error(found[OURS]["loss"], result["loss"])
            result |= gradient_errors(gradients[OURS], gradients[engine])


def load(path: Path) -> list[np.ndarray]:
    """The arrays of a file that `numpy.savez` wrote, in order."""
    with np.load(path) as arrays:
        return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]


def judge(found: dict[str, dict[str, Any]], tolerance: float) -> list[str]:
    """A line for each peer: does ours agree with it?"""
    lines = []
    for engine, result in found.items():
        if "loss_error" not in result:
            continue
        loss, gradient = result["loss_error"], result["gradient_error"]
        line = f"ours agrees with {engine}: loss to {loss:.1e} {verdict(loss, tolerance)}"
        line += f", gradient to {gradient:.1e} {verdict(gradient, tolerance)} (goal {tolerance:g})"
        if gradient > tolerance and "rounding" in result:
            own, theirs = found[OURS]["rounding"], result["rounding"]
            line += f"; from float64 ours is {own:.1e}, {engine} {theirs:.1e}"
        lines.append(line)
    return lines
