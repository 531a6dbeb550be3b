"""`Tensor`: an array, or an array being traced by a transform.

A tensor has three slots. A plain one holds a raw array in `value` and nothing else. A traced one
holds the `interpreter` that follows it, in `value` the tensor one level down, and in
`mark` what that interpreter attached to it: a tape node (reverse), a tangent (forward), or nothing
(batching, where axis 0 of `value` is the batch). The mark of a plain one says where it comes from,
if that matters: see `NUMBER` and `FREE`. Operators and methods are installed by
`autograd_core.ops`, which knows the operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, final

import numpy as np

from autograd_core.errors import ConcreteValueError, DtypeError, operation
from autograd_core.fetching import Array, check_within, fetched, read_only
from kernels.devices import CPU, device_of, namespace, on_gpu

if TYPE_CHECKING:
    from autograd_core.primitive import Interpreter
    from autograd_core.typed import Methods as _Methods
else:
    _Methods = object  # autograd_core.ops.methods installs them

NUMBER = "number"
"""The mark of a tensor that stands for a Python number: it has no axes and is not promoted to."""
INEXACT = "fc"
"""The kinds of dtypes in which derivatives exist: real and complex floating-point numbers."""
FREE = "free"
"""The mark of an array that nobody placed on a device: it goes where what it meets lies."""


class Aval(NamedTuple):
    """An abstract value: what is known of an array without its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@final
class Tensor(_Methods):
    """An n-dimensional array that transforms can follow.

    Args:
        data: anything `numpy.asarray` accepts, or another tensor. Arrays are copied, so that a
            later write to them cannot falsify the tape (`asarray` shares them instead).
        dtype: dtype to convert to; NumPy's choice where not given.
        requires_grad: record what is computed from this tensor, so that `backward()` on a result
            fills `.grad` here.

    Raises:
        DtypeError: `requires_grad` on a dtype that is not floating point, or data of no numeric
            dtype.
    """

    __slots__ = ("__weakref__", "interpreter", "mark", "value")

    value: Any
    interpreter: Interpreter | None
    mark: Any

    # CuPy, whose arrays have 100, must leave `array * tensor` to Tensor.__rmul__.
    __array_priority__ = 1000

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False):
        plain = asarray(own(data), dtype)
        self.value, self.interpreter, self.mark = plain.value, plain.interpreter, plain.mark
        if self.interpreter is None:
            self.mark = None
        if requires_grad:
            from autograd_core.reverse import require_gradient

            require_gradient(self)

    @property
    def shape(self) -> tuple[int, ...]:
        trace = self.interpreter
        return self.value.shape if trace is None else trace.shape_of(self)

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def data(self) -> Array:
        """The raw array, gradients forgotten. It is shared, not copied: do not write to it."""
        return concrete(self, "`.data`")

    def numpy(self) -> np.ndarray:
        """The values of a tensor that is not being traced, as a read-only NumPy array: a view, or a
        copy of what lies on a GPU.

        Raises:
            ConcreteValueError: the tensor is traced; call `.detach()` first to drop its gradient.
        """
        if self.interpreter is not None:
            if entries(self) is None:
                concrete(self, "numpy()")
            raise ConcreteValueError(
                "numpy() on a traced tensor would silently drop its gradient; "
                "write x.detach().numpy() if that is meant, or use functions that take tensors: "
                "np.stack(parts) for np.array(parts), a @ x or np.dot(a, x) for a.dot(x)"
            )
        return read_only(fetched(self.value))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self, *index: Any) -> Any:
        """The single element as a Python number, where no transform would lose a derivative by it.

        Args:
            index: of which element, where there are several: a place in the flattened tensor, or
                one for each axis.

        Raises:
            ConcreteValueError: a transform differentiates or maps the tensor.
        """
        return fetched(self._without_derivative("`.item()`")).item(*index)

    def tolist(self) -> Any:
        """The values as nested Python lists, where `item` would give them."""
        return fetched(self._without_derivative("`.tolist()`")).tolist()

    def __float__(self) -> float:
        """The number, where no transform would lose a derivative by it (NumPy asks for it too).

        Raises:
            ConcreteValueError: a transform differentiates or maps the tensor.
        """
        return float(fetched(_real(self._without_derivative("float()"), "float()")))

    def __complex__(self) -> complex:
        """The number, where no transform would lose a derivative by it, as for `float`."""
        return complex(fetched(self._without_derivative("complex()")))

    def _without_derivative(self, wanted: str) -> Array:
        """The raw array, where no transform would lose a derivative by it."""
        value = concrete(self, wanted)
        if self.interpreter is not None and self.interpreter.level > 0:
            raise ConcreteValueError(
                f"{wanted} of a value traced by {self.interpreter.describe()}, as when it is "
                "written into a NumPy array or given to `math`, would drop its derivative; make "
                "the array one of tensors (np.zeros_like(x), np.stack(parts)), use this package's "
                "functions, or x.detach().item() to look at the number"
            )
        return value

    def __int__(self) -> int:
        return int(fetched(_real(concrete(self, "int()"), "int()")))

    def __index__(self) -> int:
        return fetched(concrete(self, "an index")).__index__()

    def __bool__(self) -> bool:
        return bool(fetched(concrete(self, "bool()")))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        """A tensor without axes is formatted as its number."""
        return format(self.data.item() if spec and not self.shape else repr(self), spec)

    def __reduce__(self) -> tuple:
        """For `copy` and `pickle`: the values, and whether they require a gradient."""
        plain = self.value if self.interpreter is not None and self._is_leaf else self
        if plain.interpreter is not None:
            raise ConcreteValueError(
                "a tensor that is being traced cannot be copied: its history would be lost; copy "
                "x.detach() if that is meant"
            )
        return Tensor, (np.array(fetched(plain.value)), None, plain is not self)

    def __repr__(self) -> str:
        plain = self.value if self.interpreter is not None and self._is_leaf else self
        if plain.interpreter is None:
            body = np.array2string(
                np.asarray(fetched(plain.value)), separator=", ", prefix="Tensor("
            )
            ending = "" if plain is self else ", requires_grad=True"
            ending += "" if device_of(plain.value) == CPU else f", device={device_of(plain.value)}"
            return f"Tensor({body}, dtype={self.dtype}{ending})"
        assert self.interpreter is not None
        return f"Tensor({self.interpreter.describe()}, shape={self.shape}, dtype={self.dtype})"

    __hash__ = object.__hash__


ArrayLike: TypeAlias = (
    Tensor | np.ndarray | np.generic | bool | int | float | complex | list[Any] | tuple[Any, ...]
)
"""What functions take for an array."""

_new = object.__new__


def box(value: Any, trace: Interpreter | None = None, mark: Any = None) -> Tensor:
    """Make a tensor from its three slots, unchecked: the engine's own constructor."""
    tensor = _new(Tensor)
    tensor.value = value
    tensor.interpreter = trace
    tensor.mark = mark
    return tensor


def boxes(arrays: Iterable[Any]) -> list[Tensor]:
    """A plain tensor of each array; a program has dozens of results."""
    found = []
    for array in arrays:
        tensor = _new(Tensor)
        tensor.value = array
        tensor.interpreter = tensor.mark = None
        found.append(tensor)
    return found


def entries(x: Tensor) -> Array | None:
    """The raw array under every trace of `x`, with axes that `vmap` maps in front; None where it is
    abstract. For checks of values, whose results no trace may follow."""
    while x.interpreter is not None:
        x = x.value
        if x.__class__ is not Tensor:
            return None
    return x.value


def require_within(x: Tensor, low: int, high: int, otherwise: str) -> Array | None:
    """The raw array under every trace of integers `x`, as `entries` has it. What is captured is
    looked at when its values are known.

    Args:
        low, high: what x must not be below, and what it must be below.
        otherwise: what the error says; "{}" stands for the wrong integer.

    Raises:
        IndexError: x is out of these bounds.
    """
    values = entries(x)
    if values is None:
        while x.value.__class__ is Tensor:
            x = x.value
        assert x.interpreter is not None  # or there were values
        x.interpreter.require_within(x, low, high, otherwise)
    elif values.size:
        least, most = int(fetched(values.min())), int(fetched(values.max()))
        check_within(least, most, (low, high, otherwise))
    return values


def alias(x: Tensor) -> Tensor:
    """The same value and history as a new object.

    `x[i] = v` and `x += v` give an *object* another value. So what the engine keeps, and what it
    hands out, is never an object that somebody else holds too.
    """
    return box(x.value, x.interpreter, x.mark)


def own(data: Any) -> Any:
    """An array as a copy that nobody else writes to; anything else as it is."""
    return data.copy() if isinstance(data, np.ndarray) or _is_foreign(data) else data


def _is_foreign(data: Any) -> bool:
    """Whether data is an array in a GPU's memory."""
    return data.__class__ is not Tensor and on_gpu(data)


def asarray(data: Any, dtype: Any = None) -> Tensor:
    """A tensor of `data`, without a copy where that is possible; tensors pass through.

    Args:
        data: a tensor, array, number, or nested sequence of numbers or tensors.
        dtype: dtype to convert to (NumPy's default rules where not given).

    Raises:
        DtypeError: `data` has no boolean, integer, floating or complex dtype.
    """
    if data.__class__ is not Tensor:
        data = _from_foreign(data)
    if dtype is not None and data.dtype != dtype:
        from autograd_core.ops import astype

        return astype(data, dtype)
    return data


def _from_foreign(data: Any) -> Tensor:
    if isinstance(data, (list, tuple)) and _holds_tensor(data):
        from autograd_core.ops import stack

        return stack([asarray(item) for item in data])
    if isinstance(data, np.ndarray) and type(data) is not np.ndarray:
        _require_plain(data)
    there = on_gpu(data)
    array = namespace(data).asarray(data) if there else np.asarray(data)
    if array.dtype.kind not in "biufc":
        advice = "; register_pytree makes a class a container" if array.dtype == object else ""
        raise DtypeError(
            f"{operation()}cannot make a tensor of dtype {array.dtype} (from "
            f"{type(data).__name__}); expected booleans, integers, floating-point or complex "
            f"numbers{advice}"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return box(array) if there else box(array, None, FREE)


def _require_plain(data: np.ndarray) -> None:
    """Raise where an array's operators mean something else than its entries do."""
    if isinstance(data, np.ma.MaskedArray | np.matrix):
        instead = "np.asarray(x)" if isinstance(data, np.matrix) else "x.filled(value)"
        raise DtypeError(
            f"{operation()}operators of a {type(data).__name__} mean something else than those of "
            f"its entries; give {instead}"
        )


def _holds_tensor(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return any(_holds_tensor(item) for item in data)
    return data.__class__ is Tensor


def concrete(tensor: Tensor, wanted: str) -> Array:
    """The raw array under every trace of `tensor`.

    Raises:
        ConcreteValueError: a transform (`vmap`) holds many values there, so that none is *the* one.
    """
    while tensor.interpreter is not None:
        tensor.interpreter.check_concrete(tensor, wanted)
        tensor = tensor.value
    return tensor.value


def _real(value: Array, wanted: str) -> Array:
    if value.dtype.kind == "c":
        raise TypeError(f"{wanted} of a complex tensor; take its real(x) or absolute(x) first")
    return value


def aval_of(x: Any) -> Aval:
    """The shape and dtype of a tensor, array or number."""
    if x.__class__ is Tensor or hasattr(x, "dtype"):
        return Aval(x.shape, x.dtype)
    array = np.asarray(x)
    return Aval(array.shape, array.dtype)
