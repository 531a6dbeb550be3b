"""What gradient checks look at: functions of any library, as functions of NumPy arrays.

Each kind of subject says how to compute values, how to pull cotangents back, how to push tangents
forward, and what the function is whose derivatives are the second ones. Libraries are recognised
by the types of the arguments and are never imported for it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.errors import RuleError
from autograd_core.tensor import Tensor, asarray
from autograd_core.tree import tree_flatten, tree_paths, tree_unflatten

Arrays = Sequence[np.ndarray]


class Unavailable(Exception):
    """A mode or an order that the function does not have; the message says why."""


class Subject:
    """A function of arrays, `leaves`, of which those at `places` are floating point.

    Attributes:
        leaves: the arguments' arrays.
        names: of the leaves, for messages.
        places: which leaves are differentiated.
        name: of the function.
        library: whose it is.
    """

    library = "numpy"
    has_layouts = True
    """Whether its arrays can be laid out in several ways in memory."""

    def __init__(self, name: str, leaves: Arrays, names: Sequence[str]):
        self.name, self.leaves, self.names = name, list(leaves), list(names)
        self.places = [i for i, x in enumerate(self.leaves) if x.dtype.kind == "f"]

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        """The floating-point outputs."""
        raise NotImplementedError

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        """For each place, the cotangent; raises Unavailable."""
        raise NotImplementedError

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        """For each output, the tangent; raises Unavailable."""
        raise NotImplementedError

    def pulled(self, cts: Arrays) -> Subject:
        """What pulls back, as a function of cotangents and leaves; raises Unavailable."""
        raise NotImplementedError

    @property
    def floats(self) -> list[np.ndarray]:
        """The leaves that are differentiated."""
        return [self.leaves[i] for i in self.places]

    def filled(self, floats: Arrays) -> list[np.ndarray]:
        """All leaves, with others at the places."""
        leaves = list(self.leaves)
        for i, x in zip(self.places, floats, strict=True):
            leaves[i] = x
        return leaves


def subject_of(f: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Subject:
    """The subject for a function and its arguments.

    Raises:
        TypeError: there is nothing in the arguments to differentiate.
    """
    leaves, structure = tree_flatten(tuple(args))
    names = [named(path) for path in tree_paths(tuple(args))]
    if isinstance(f, tuple | list):
        return Pair(f, leaves, names, structure, kwargs)
    kinds: list[type[Traced]] = [Torch, Jax, Ours]
    kind = next(kind for kind in kinds if kind.takes(f, leaves))
    return kind.of(f, leaves, names, structure, kwargs)


def named(path: str) -> str:
    """`[0]` is argument 0, `[1]['w']` is argument 1['w']."""
    first, _, rest = path.removeprefix("[").partition("]")
    return f"argument {first}{rest}"


def name_of(f: Any) -> str:
    """What a function is called."""
    f = f[0] if isinstance(f, tuple | list) else f
    return getattr(f, "__name__", None) or type(f).__name__


def loaded(library: str) -> Any:
    """A library, if somebody has imported it."""
    return sys.modules.get(library)


def is_of(x: Any, library: str) -> bool:
    return type(x).__module__.partition(".")[0] == library


# NumPy: a function and its gradient -------------------------------------------------------------


class Pair(Subject):
    """A NumPy function beside its derivative, both written by hand.

    `(f, vjp)` or `(f, vjp, jvp)`, where `vjp(g, *args)` gives the cotangents of all arguments (of
    a single one, itself), and `jvp(args, tangents)` the tangent of the output. Also taken are
    `(f, grad)` with `grad(*args)`, for functions with one number as their result, and
    `(f, f_vjp)` with `f_vjp(*args)` returning the output and the function that pulls back. A vjp
    may be a pair itself, `(vjp, vjp_of_it)`, as a function of g and the arguments: then second
    derivatives are checked too.
    """

    def __init__(self, pair: Any, leaves: Arrays, names: Any, structure: Any, kwargs: dict):
        self.second = None
        if len(pair) > 1 and isinstance(pair[1], tuple | list):
            self.second = pair[1]
            pair = (pair[0], pair[1][0], *pair[2:])
        if not 2 <= len(pair) <= 3 or not all(callable(f) or f is None for f in pair):
            raise TypeError(
                f"check_grads: expected a function, or (f, vjp) or (f, vjp, jvp), got {pair!r}"
            )
        self.f, self.vjp, self.jvp = (*pair, None)[:3]
        self.structure, self.kwargs = structure, kwargs
        super().__init__(name_of(pair), [np.asarray(x) for x in leaves], names)

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        return floating(self.f(*tree_unflatten(self.structure, leaves), **self.kwargs))

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        if self.vjp is None:
            raise Unavailable("the pair has no vjp")
        args = tree_unflatten(self.structure, leaves)
        ct = cts[0] if len(cts) == 1 else tuple(cts)
        if self._takes_cotangent(len(args)):
            found = self.vjp(ct, *args, **self.kwargs)
        else:
            found = self.vjp(*args, **self.kwargs)
            if isinstance(found, tuple) and len(found) == 2 and callable(found[1]):
                found = found[1](ct)
            else:
                found = scaled(found, cts)
        return self._by_place(found, len(args))

    def _takes_cotangent(self, arity: int) -> bool:
        try:
            inspect.signature(self.vjp).bind(*range(arity + 1), **self.kwargs)
        except TypeError:
            return False
        except ValueError:  # a built-in function that does not say
            return True
        return True

    def _by_place(self, found: Any, arity: int) -> list[Any]:
        given = found if isinstance(found, tuple | list) and arity > 1 else (found,)
        if isinstance(found, tuple | list) and arity == 1 and len(found) == 1:
            given = found
        if len(given) == len(self.places) != arity:  # of the floating ones only
            return list(given)
        if len(given) != arity:
            raise Mismatch(f"{len(given)} cotangents for {arity} arguments")
        spread: list[Any] = []
        for each, child in zip(given, self.structure.children(), strict=True):
            parts = tree_flatten(each)[0] if child.num_leaves != 1 else [each]
            spread += parts if len(parts) == child.num_leaves else [None] * child.num_leaves
        return [spread[i] for i in self.places]

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        if self.jvp is None:
            raise Unavailable("the pair has no jvp")
        full = [np.zeros_like(x) for x in leaves]
        for i, t in zip(self.places, tangents, strict=True):
            full[i] = t
        args, ts = (tuple(tree_unflatten(self.structure, x)) for x in (leaves, full))
        found = self.jvp(args, ts, **self.kwargs)
        return floating(found)

    def pulled(self, cts: Arrays) -> Subject:
        if self.second is None:
            raise Unavailable("the vjp has no vjp of its own: give (f, (vjp, vjp_of_it))")
        args = tree_unflatten(self.structure, self.leaves)
        ct = cts[0] if len(cts) == 1 else tuple(cts)
        leaves, structure = tree_flatten((ct, *args))
        names = [f"cotangent {n}" for n in range(len(cts))] + self.names
        found = Pair(self.second, leaves, names, structure, self.kwargs)
        found.name = f"the gradient of {self.name}"
        return found


class Mismatch(Exception):
    """A derivative of the wrong structure; the message says how."""


def floating(found: Any) -> list[np.ndarray]:
    """The floating-point leaves of a result."""
    arrays = [np.asarray(x) for x in tree_flatten(found)[0]]
    return [x for x in arrays if x.dtype.kind == "f"]


def scaled(gradient: Any, cts: Arrays) -> Any:
    """A gradient of one number, times its cotangent."""
    if len(cts) != 1 or cts[0].size != 1:
        raise TypeError(
            "check_grads: (f, grad) with grad(*args) is for functions with one number as their "
            "result; give vjp(g, *args)"
        )
    (number,) = cts[0].reshape(-1)
    if isinstance(gradient, tuple | list):
        return tuple(np.asarray(x) * number for x in gradient)
    return np.asarray(gradient) * number


# Functions that a library traces ----------------------------------------------------------------


class Traced(Subject):
    """A function of a library's arrays, which differentiates it.

    Args:
        flat: from all leaves as the library's arrays to a tuple of floating-point ones.
        leaves: as NumPy arrays.
    """

    def __init__(self, name: str, flat: Callable, leaves: Arrays, names: Sequence[str]):
        super().__init__(name, leaves, names)
        self.flat = flat

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        raise NotImplementedError

    @classmethod
    def of(cls, f: Any, leaves: Any, names: Any, structure: Any, kwargs: dict) -> Traced:
        def flat(*given: Any) -> tuple:
            out = f(*tree_unflatten(structure, given), **kwargs)
            return tuple(y for y in tree_flatten(out)[0] if cls.is_floating(y))

        return cls(name_of(f), flat, [cls.host(x) for x in leaves], names)

    @classmethod
    def is_floating(cls, y: Any) -> bool:
        return np.dtype(y.dtype).kind == "f" if hasattr(y, "dtype") else isinstance(y, float)

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return np.asarray(x)

    def native(self, x: np.ndarray) -> Any:
        """An array of the library."""
        raise NotImplementedError

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        return [self.host(y) for y in self.flat(*map(self.native, leaves))]

    def at_places(self, leaves: Sequence[Any]) -> Callable:
        """The function of the floating leaves alone."""

        def f(*floats: Any) -> tuple:
            full = list(leaves)
            for i, x in zip(self.places, floats, strict=True):
                full[i] = x
            return self.flat(*full)

        return f

    def pulled(self, cts: Arrays) -> Subject:
        count = len(cts)

        def flat(*both: Any) -> tuple:
            return tuple(self.pull_native(both[count:], both[:count]))

        names = [f"cotangent {n}" for n in range(count)] + self.names
        name = f"the gradient of {self.name}"
        return type(self)(name, flat, [*cts, *self.leaves], names)

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        raise NotImplementedError

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        found = self.pull_native(list(map(self.native, leaves)), list(map(self.native, cts)))
        return [self.host(x) for x in found]


class Ours(Traced):
    """A function of tensors."""

    library = "autograd_core"

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        return True

    @classmethod
    def is_floating(cls, y: Any) -> bool:
        return asarray(y).dtype.kind == "f"

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return x.detach().numpy() if x.__class__ is Tensor else np.asarray(x)

    def native(self, x: np.ndarray) -> Any:
        return asarray(x)

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        floats = [leaves[i] for i in self.places]
        try:
            return transforms.vjp(self.at_places(leaves), *floats)[1](tuple(cts))
        except RuleError as error:
            raise Unavailable(str(error)) from error

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        given = list(map(self.native, leaves))
        floats = tuple(given[i] for i in self.places)
        try:
            pushed = transforms.jvp(
                self.at_places(given), floats, tuple(map(self.native, tangents))
            )[1]
        except RuleError as error:
            raise Unavailable(str(error)) from error
        return [self.host(y) for y in pushed]


class Torch(Traced):
    """A function of PyTorch's tensors."""

    library = "torch"

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        torch = loaded("torch")
        if torch is None:
            return False
        return isinstance(f, torch.nn.Module) or any(isinstance(x, torch.Tensor) for x in leaves)

    @classmethod
    def is_floating(cls, y: Any) -> bool:
        return hasattr(y, "is_floating_point") and y.is_floating_point()

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)

    def native(self, x: np.ndarray) -> Any:
        if any(stride < 0 for stride in x.strides):
            x = x.copy()
        return loaded("torch").from_numpy(np.asarray(x) if x.flags.writeable else x.copy())

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        return [self.host(y).copy() for y in self.flat(*map(self.native, leaves))]

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        torch = loaded("torch")
        floats = [leaves[i] for i in self.places]
        floats = [x if x.requires_grad else x.detach().requires_grad_() for x in floats]
        with torch.enable_grad():
            outs = self.at_places(leaves)(*floats)
            pairs = [(y, g) for y, g in zip(outs, cts, strict=True) if y.requires_grad]
            if any(is_cut(y.grad_fn) for y, _ in pairs):
                raise Unavailable("a function of it is once_differentiable")
            if not pairs:
                return [torch.zeros_like(x) for x in floats]
            found = torch.autograd.grad(
                [y for y, _ in pairs],
                floats,
                [g for _, g in pairs],
                create_graph=True,
                allow_unused=True,
            )
        return [torch.zeros_like(x) if g is None else g for x, g in zip(floats, found, strict=True)]

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        try:
            return super().pull(leaves, cts)
        except RuntimeError as error:
            if "once_differentiable" in str(error) or "not implemented" in str(error):
                raise Unavailable(str(error)) from error
            raise

    def pulled(self, cts: Arrays) -> Subject:
        found = super().pulled(cts)
        found.pull(found.leaves, found.values(found.leaves))  # forward mode would not say
        return found

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        torch = loaded("torch")
        ahead = torch.autograd.forward_ad
        given = list(map(self.native, leaves))
        try:
            with ahead.dual_level():
                duals = [
                    ahead.make_dual(given[i].detach().requires_grad_(), self.native(t))
                    for i, t in zip(self.places, tangents, strict=True)
                ]
                outs = self.at_places(given)(*duals)
                pushed = [ahead.unpack_dual(y).tangent for y in outs]
                found = [
                    torch.zeros_like(y) if t is None else t
                    for y, t in zip(outs, pushed, strict=True)
                ]
                return [self.host(t).copy() for t in found]
        except (RuntimeError, NotImplementedError) as error:
            raise Unavailable(str(error).splitlines()[0]) from error


def is_cut(node: Any) -> bool:
    """Whether PyTorch would refuse to differentiate what a node made: it is connected to nothing,
    so that asking gives zeros instead of an error."""
    seen, waiting = set(), [node]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name().endswith("autograd::Error"):
            return True
        seen.add(node)
        waiting += [after for after, _ in node.next_functions]
    return False


class Jax(Traced):
    """A function of JAX's arrays, computed in the precision of its arguments."""

    library = "jax"
    has_layouts = False

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        jax = loaded("jax")
        if jax is None:
            return False
        return is_of(f, "jax") or any(isinstance(x, jax.Array) for x in leaves)

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return np.array(x)

    def native(self, x: np.ndarray) -> Any:
        return loaded("jax").numpy.asarray(x)

    @staticmethod
    def precise() -> Any:
        """Double precision, which JAX has to be asked for."""
        jax = loaded("jax")
        if hasattr(jax, "enable_x64"):
            return jax.enable_x64(True)
        try:
            return jax.experimental.enable_x64()
        except AttributeError:
            return nullcontext()

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        with self.precise():
            return super().values(leaves)

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        floats = [leaves[i] for i in self.places]
        _, pull = loaded("jax").vjp(self.at_places(leaves), *floats)
        return pull(tuple(cts))

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        try:
            with self.precise():
                return super().pull(leaves, cts)
        except TypeError as error:
            if "can't apply forward-mode" in str(error):  # what custom_vjp cannot do twice
                raise Unavailable(str(error).splitlines()[0]) from error
            raise

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        try:
            with self.precise():
                given = list(map(self.native, leaves))
                floats = tuple(given[i] for i in self.places)
                ts = tuple(map(self.native, tangents))
                return [
                    self.host(y) for y in loaded("jax").jvp(self.at_places(given), floats, ts)[1]
                ]
        except TypeError as error:
            if "forward-mode" in str(error):
                raise Unavailable(str(error).splitlines()[0]) from error
            raise
