"""What all of linear algebra shares: stacks of matrices, adjoints, and domains of matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.complex import conj_p, real_dtype
from autograd_core.ops.structural import Aval, astype, expand_dims, matrix_transpose
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import INEXACT, Tensor, asarray


def matrices(x: Any, name: str, square: bool = True) -> Tensor:
    """x as a stack of matrices of floating-point numbers; integers become float64, as in NumPy.

    Raises:
        ShapeError: x has fewer than two axes, or `square` is asked for and not so.
    """
    x = asarray(x)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        wanted = "(…, n, n)" if square else "(…, m, n)"
        raise ShapeError(f"{name}: expected shape {wanted}, got {x.shape}")
    return inexact(x)


def inexact(x: Any) -> Tensor:
    x = asarray(x)
    return x if x.dtype.kind in INEXACT else astype(x, np.float64)


def on_stacks(name: str, kernel: Callable, **rules: Any) -> Primitive:
    """A primitive of one stack of matrices: the mapped axis is one more leading axis of it."""
    primitive = Primitive(
        name,
        kernel,
        batch=lambda _size, args, _batched, **params: bind(primitive, args, params),
        **rules,
    )
    return primitive


def scalars(x: Aval) -> Aval:
    """One number for each matrix."""
    return Aval(x.shape[:-2], x.dtype)


def real_values(x: Aval, count: int) -> Aval:
    """Real numbers, so many for each matrix."""
    return Aval((*x.shape[:-2], count), real_dtype(x.dtype))


def eye(n: int, like: Any) -> Any:
    return np.eye(n, dtype=like.dtype)


def is_complex(x: Any) -> bool:
    return x.dtype.kind == "c"


def conjugate(x: Tensor) -> Tensor:
    """The conjugate, in rules: real tensors are spared an operation."""
    return conj_p(x) if is_complex(x) else x


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose."""
    return matrix_transpose(conjugate(x))


def hermitian(x: Tensor) -> Tensor:
    """The Hermitian part, which of real matrices is the symmetric one."""
    return (x + adjoint(x)) / 2


def hermitian_array(x: Any) -> Any:
    """`hermitian` of arrays, in kernels."""
    return (x + x.swapaxes(-1, -2).conj()) / 2


def times(x: Tensor, scale: Tensor) -> Tensor:
    """Each matrix of a stack times its own number."""
    return x * expand_dims(scale, (-2, -1))


def on_diagonal(x: Tensor) -> Tensor:
    """Square matrices with the entries of (…, n) on the diagonal."""
    return expand_dims(x, -1) * eye(x.shape[-1], x)


def half_lower(x: Tensor) -> Tensor:
    """The lower triangle, with half of the diagonal."""
    n = x.shape[-1]
    return x * (np.tri(n, dtype=x.dtype) - eye(n, x) / 2)


def inverse_gaps(w: Tensor) -> Tensor:
    """1 / (wⱼ - wᵢ) off the diagonal, and 0 on it: inf where two of w are equal."""
    n = w.shape[-1]
    gaps = expand_dims(w, -2) - expand_dims(w, -1)
    return (1 - eye(n, w)) / (gaps + eye(n, w))


# Domains --------------------------------------------------------------------------------------


def lead(draw: Any) -> tuple[int, ...]:
    return draw.shape(max_rank=1, min_length=0)


def entries(
    draw: Any, shape: tuple[int, ...], low: float = -3.0, high: float = 3.0, imaginary: bool = False
) -> np.ndarray:
    """An array with entries from low to high, and imaginary parts from there too if asked for."""
    x = draw.array(shape, low, high)
    return x + 1j * draw.array(shape, low, high) if imaginary else x


def orthonormal(
    draw: Any, lead: tuple[int, ...], m: int, n: int, imaginary: bool = False
) -> np.ndarray:
    """Columns near those of the identity, so that no phase is about to jump."""
    noise = entries(draw, (*lead, m, n), -0.4, 0.4, imaginary)
    return np.linalg.qr(-2 * np.eye(m, n) + noise)[0]


def spectrum(draw: Any, lead: tuple[int, ...], n: int, low: float = 1.0) -> np.ndarray:
    """n well separated numbers from `low` upwards."""
    return np.arange(n) + draw.array((*lead, n), low - 0.2, low + 0.2)


def hermitian_domain(draw: Any, low: float, imaginary: bool = False) -> tuple[tuple, dict]:
    some, n = lead(draw), draw.integer(1, 3)
    v = orthonormal(draw, some, n, n, imaginary)
    x = v * spectrum(draw, some, n, low)[..., None, :] @ v.swapaxes(-1, -2).conj()
    return (hermitian_array(x),), {}


def draw_matrix(
    draw: Any, lead: tuple[int, ...], m: int, n: int, imaginary: bool = False
) -> np.ndarray:
    """Of full rank, well conditioned, its singular values apart."""
    k = min(m, n)
    u = orthonormal(draw, lead, m, k, imaginary)
    v = orthonormal(draw, lead, n, k, imaginary)
    return u * spectrum(draw, lead, k)[..., None, :] @ v.swapaxes(-1, -2).conj()


def square_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    some, n = lead(draw), draw.integer(1, 3)
    return (draw_matrix(draw, some, n, n, imaginary),), {}


def rectangular_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    some = lead(draw)
    return (draw_matrix(draw, some, draw.integer(1, 3), draw.integer(1, 3), imaginary),), {}


def tall_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    some, n = lead(draw), draw.integer(1, 3)
    return (draw_matrix(draw, some, n + draw.integer(0, 2), n, imaginary),), {}


def both(domain: Callable, **options: Any) -> dict[str, Any]:
    """The domains of real and of complex arguments, as a primitive takes them."""
    return {
        "domain": partial(domain, **options),
        "complex": partial(domain, **options, imaginary=True),
    }
