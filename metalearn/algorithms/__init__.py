"""Meta-learning algorithms by name. A new one is one file here and one line in `ALGORITHMS`; a
user's own is a file anywhere, named with its class: "my_file.py:MyAlgorithm"."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from metalearn.algorithms.anil import Anil
from metalearn.algorithms.base import REMAT, Algorithm
from metalearn.algorithms.boil import Boil
from metalearn.algorithms.cavia import Cavia
from metalearn.algorithms.finetuning import FineTuning, FromScratch, Joint, Pretrained
from metalearn.algorithms.imaml import Imaml
from metalearn.algorithms.maml import Maml
from metalearn.algorithms.maml_plus_plus import MamlPlusPlus
from metalearn.algorithms.meta_curvature import MetaCurvature
from metalearn.algorithms.meta_sgd import MetaSgd
from metalearn.algorithms.oml import Oml
from metalearn.algorithms.prototypes import ProtoMaml, ProtoNet
from metalearn.algorithms.reptile import Reptile
from metalearn.errors import OptionError
from metalearn.own import is_own, own_class

COMMON = ("steps", "rate", "remat")
"""Settings with options of their own on the command line."""

ALGORITHMS: Mapping[str, Callable[..., Algorithm]] = {
    "maml": Maml,
    "fomaml": functools.partial(Maml, order=1),
    "maml++": MamlPlusPlus,
    "anil": Anil,
    "boil": Boil,
    "meta-sgd": MetaSgd,
    "meta-curvature": MetaCurvature,
    "cavia": Cavia,
    "imaml": Imaml,
    "reptile": Reptile,
    "protonet": ProtoNet,
    "protomaml": ProtoMaml,
    "foprotomaml": functools.partial(ProtoMaml, order=1),
    "pretrained": Pretrained,
    "oml": Oml,
    "joint": Joint,
    "scratch": FromScratch,
}


def make_algorithm(name: str, **settings: Any) -> Algorithm:
    """An algorithm by name, or "file.py:Class", with its settings, such as `steps` and `rate`.

    Raises `OptionError` for a name that is not registered, a file without such a class, or a
    setting that the algorithm does not have or cannot use.
    """
    make = find_algorithm(name)
    known = {field.name for field in dataclasses.fields(class_of(make)) if field.init}
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise OptionError(
            f"algorithm {name!r}: no setting {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    return make(**settings)


def class_of(make: Callable[..., Algorithm]) -> type[Algorithm]:
    """What makes an algorithm, without the settings that its name fixes."""
    found = make.func if isinstance(make, functools.partial) else make
    assert isinstance(found, type)
    return found


def find_algorithm(name: str) -> Callable[..., Algorithm]:
    """What makes an algorithm of that name. Raises `OptionError`."""
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    if is_own(name):
        return _own(name)
    raise OptionError(
        f"algorithm {name!r}; expected one of {', '.join(ALGORITHMS)}, or one of yours as "
        "file.py:Class"
    )


def _own(name: str) -> type[Algorithm]:
    found: type[Algorithm] = own_class("algorithm", name, Algorithm)
    parameters = getattr(found, "__dataclass_params__", None)
    if not (parameters and parameters.frozen and "__dataclass_params__" in vars(found)):
        raise OptionError(f"algorithm {name}: expected @dataclass(frozen=True) above the class")
    return found


def read_settings(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Settings of an algorithm from their text, such as {"adapts": "head"}, in the types of its
    fields. Raises `OptionError`."""
    make = find_algorithm(name)
    cls, fixed = class_of(make), getattr(make, "keywords", {})
    types = get_type_hints(cls)
    hidden = {*COMMON, *fixed, *cls.without}
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init and f.name not in hidden}
    found = {}
    for setting, text in given.items():
        if setting not in fields:
            expected = ", ".join(f"{f.name}={_text(f.default)}" for f in fields.values())
            raise OptionError(
                f"--set {setting}={text}: {name} has no such setting; it has {expected or 'none'}"
            )
        found[setting] = _read(setting, text, types[setting])
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(setting: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise OptionError(f"--set {setting}={text}: expected {_NAMES.get(kind, kind.__name__)}")
    return value


_NAMES = {int: "a whole number", float: "a number", bool: "true or false"}

__all__ = [
    "ALGORITHMS",
    "REMAT",
    "Algorithm",
    "FineTuning",
    "Imaml",
    "Maml",
    "MamlPlusPlus",
    "Pretrained",
    "Reptile",
    "class_of",
    "find_algorithm",
    "make_algorithm",
    "read_settings",
]
