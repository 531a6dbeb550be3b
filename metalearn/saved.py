"""An adapted model in one file, from which it predicts without its run.

A safetensors file as a checkpoint's (`checkpoints`): arrays by name, and a JSON record of what the
network is, its inputs and its classes. Nothing in it is executed; what does not fit is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import autograd_core as ac
from autograd_core import nn
from metalearn import checkpoints
from metalearn.adapted import BATCH, Adapted
from metalearn.config import MOST, MOST_UNITS
from metalearn.errors import OptionError, RunError
from metalearn.inputs import Inputs
from metalearn.models import COSINE, NETWORKS, Model, network
from metalearn.tasks import DataError

FORMAT = 1
KIND = "adapted model"
UNFIT = (
    *(DataError, OptionError, ac.AutogradError, ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)
"""What reading something else than an adapted model may end in."""
EXAMPLES = 2  # to try a network on
TOLERANCE = 1e-4
"""How far apart, of the largest output, the network and the one a file describes may be."""


def save_adapted(path: Path, adapted: Adapted) -> None:
    """Write an adapted model. Raises `RunError` when that fails, `OptionError` for a network that a
    file cannot describe, or one that normalises by whatever is predicted together."""
    check_frozen(adapted)
    record, tree = state_of(adapted)
    checkpoints.save(path, tree, record)


def load_adapted(path: Path) -> Adapted:
    """The model in a file. Raises `RunError` when it is missing, damaged or something else."""
    arrays, record = checkpoints.read(path)
    try:
        return from_state(record, arrays)
    except UNFIT as error:
        raise RunError(
            f"{path}: not an adapted model of this program ({type(error).__name__}: {error}); "
            "expected a file that `metalearn export` wrote"
        ) from error


def state_of(adapted: Adapted) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record of an adapted model in plain JSON, and its tree of arrays. Raises `OptionError`
    for a network that they cannot describe."""
    check_described(adapted)
    batch = adapted.statistics == BATCH
    record = {
        "kind": KIND,
        "adapted_format": FORMAT,
        "network": {"name": adapted.model.name, "arguments": dict(adapted.model.arguments)},
        "inputs": adapted.inputs.to_dict(),
        "statistics": BATCH if batch else "given",
        "classes": None if adapted.classes is None else _classes_record(adapted.classes),
        "about": dict(adapted.about),
    }
    given = [] if batch else [tuple(s) for s in adapted.statistics]
    return record, {"params": adapted.params, "statistics": given}


def from_state(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Adapted:
    """An adapted model from its record and its arrays by name. Raises one of the errors that
    `load_adapted` tells for what does not fit."""
    if record["kind"] != KIND or record["adapted_format"] != FORMAT:
        raise ValueError(f"{record['kind']} of format {record['adapted_format']}")
    if any(array.dtype not in (np.float32, np.float64) for array in arrays.values()):
        raise ValueError("arrays of other numbers than floats")
    tree = _nested(arrays)
    given = [nn.Statistics(mean, var) for mean, var in tree.get("statistics", [])]
    classes = record["classes"]
    adapted = Adapted(
        model=_network(record["network"]),
        params=tree["params"],
        statistics=BATCH if record["statistics"] == BATCH else tuple(given),
        inputs=Inputs.from_dict(record["inputs"]),
        classes=None if classes is None else _classes(classes),
        about=dict(record["about"]),
    )
    found = adapted.apply(_examples(adapted.inputs.shape), compiled=False)
    if found.shape != (EXAMPLES, adapted.outputs):
        raise ValueError(f"outputs of shape {found.shape}; expected {(EXAMPLES, adapted.outputs)}")
    return adapted


# Networks -------------------------------------------------------------------------------------


def check_frozen(adapted: Adapted) -> None:
    """Raise `OptionError` for a model that normalises by whatever is predicted together."""
    if adapted.statistics == BATCH:
        raise OptionError(
            "batch norm transductive: normalises by what is predicted together, which a saved "
            "model cannot know; adapt with batch norm support, by the support set's statistics"
        )


def check_described(adapted: Adapted) -> None:
    """Raise `OptionError` where a model's arguments do not describe its network: a user's own, or
    one whose last layer an algorithm has replaced."""
    name = adapted.model.name
    advice = (
        "expected one that metalearn.models.NETWORKS makes "
        f"({', '.join(NETWORKS)}) as it stands; pickle the parameters with your own code"
    )
    if name not in NETWORKS or not adapted.model.arguments:
        raise OptionError(f"the network {name!r} cannot be described in a file; {advice}")
    made = network(name, dict(adapted.model.arguments))
    x = _examples(adapted.inputs.shape)
    try:
        ours = adapted.apply(x, compiled=False)
        theirs = replace(adapted, model=made).apply(x, compiled=False)
        same = np.allclose(ours, theirs, TOLERANCE, TOLERANCE * np.abs(ours).max())
    except (KeyError, IndexError, TypeError, ac.AutogradError):
        same = False
    if not same:
        raise OptionError(f"this network is not the {name} that its arguments describe; {advice}")


def _examples(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random((EXAMPLES, *shape), np.float32)


def _network(record: Mapping[str, Any]) -> Model:
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record["arguments"].items()
    }
    limits = {"inputs": 1 << 22, "size": 1024, "channels": 3, "outputs": MOST, COSINE: MOST}
    for name, value in arguments.items():
        kinds = (int, bool, float) if name == COSINE else (int, bool)
        for number in value if isinstance(value, tuple) else (value,):
            if type(number) not in kinds or not 0 <= number <= limits.get(name, MOST_UNITS):
                raise ValueError(f"{name}={value!r}")
    return network(record["name"], arguments)


def _nested(arrays: Mapping[str, np.ndarray]) -> Any:
    """A tree from its leaves by dotted path: numbers are places in lists, in order."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *above, name = path.split(".")
        place = tree
        for key in above:
            place = place.setdefault(key, {})
        place[name] = ac.asarray(array)
    return _with_lists(tree)


def _with_lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    grown = {key: _with_lists(value) for key, value in tree.items()}
    if all(key.isdecimal() for key in grown):
        return [grown[str(i)] for i in range(len(grown))]
    return grown


# Classes --------------------------------------------------------------------------------------


def _classes_record(classes: np.ndarray) -> dict[str, Any]:
    values = classes.tolist()
    if not all(isinstance(value, str | bool | int | float) for value in values):
        kinds = sorted({type(value).__name__ for value in values})
        raise OptionError(f"classes of {', '.join(kinds)}; expected strings or numbers to save")
    return {"dtype": classes.dtype.str, "values": values}


def _classes(record: Mapping[str, Any]) -> np.ndarray:
    kind = np.dtype(str(record["dtype"]))
    values = record["values"]
    if kind.kind not in "biufUO" or not all(
        isinstance(v, str | bool | int | float) for v in values
    ):
        raise ValueError(f"classes {values!r} of {kind}")
    classes = np.array(values, kind)
    if classes.ndim != 1 or not 1 <= len(classes) <= MOST:
        raise ValueError(f"{classes.shape} classes")
    return classes
