"""Calls of NumPy's functions, for arrays and tensors alike, by the name of the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """A call, and arrays to call it with."""

    name: str  # as in "sum", "linalg.norm", "add.reduce"
    call: Callable
    args: tuple
    smooth: bool = True  # whether NumPy's values can be differentiated at these arguments
    maps: bool = True  # whether the call works under vmap: it needs no numbers to decide by


rng = np.random.default_rng(0)
ABOVE = rng.uniform(0.3, 2.0, (3, 4))
WIDE = rng.normal(size=(3, 4)) + 0.1 * np.sign(rng.normal(size=(3, 4)))
INSIDE = rng.uniform(-0.8, 0.8, (3, 4))
OTHER = rng.uniform(0.4, 1.7, (4,))
CUBE = rng.normal(size=(2, 3, 4))
VECTOR = np.array([0.3, -1.2, 2.5, 0.9, -0.4])
SQUARE = rng.normal(size=(3, 3)) + 3 * np.eye(3)
SYMMETRIC = SQUARE @ SQUARE.T + np.diag([1.0, 3.0, 6.0])
TALL = rng.normal(size=(4, 3))
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])
HOLES = np.where(MASK, WIDE, np.nan)
COUNTS = np.arange(12).reshape(3, 4)


def ufuncs(names: str, *args: Any, smooth: bool = True) -> list[Case]:
    return [Case(name, getattr(np, name), args, smooth) for name in names.split()]


UFUNCS = [
    *ufuncs("absolute fabs negative positive conjugate square sin cos tanh sinh cosh exp", WIDE),
    *ufuncs("exp2 expm1 arcsinh arctan deg2rad rad2deg degrees radians cbrt", WIDE),
    *ufuncs("sqrt log log2 log10 reciprocal", ABOVE),
    *ufuncs("log1p arcsin arccos arctanh tan", INSIDE),
    *ufuncs("arccosh", ABOVE + 1),
    *ufuncs("floor ceil trunc rint sign signbit isfinite isinf isnan", WIDE, smooth=False),
    *ufuncs("logical_not", MASK, smooth=False),
    *ufuncs("add subtract multiply divide maximum minimum fmax fmin hypot arctan2", WIDE, OTHER),
    *ufuncs("logaddexp logaddexp2 copysign", WIDE, OTHER),
    *ufuncs("power float_power", ABOVE, OTHER),
    *ufuncs("remainder fmod divmod", ABOVE * 3, OTHER),
    *ufuncs("floor_divide heaviside", WIDE, OTHER, smooth=False),
    *ufuncs("equal not_equal less less_equal greater greater_equal", WIDE, OTHER, smooth=False),
    *ufuncs("logical_and logical_or logical_xor", WIDE, OTHER, smooth=False),
    *ufuncs("bitwise_and bitwise_or bitwise_xor", COUNTS, COUNTS + 1, smooth=False),
    *ufuncs("invert", COUNTS, smooth=False),
    Case("nextafter", np.nextafter, (WIDE, OTHER), False, False),
    Case("modf", np.modf, (WIDE,)),
    Case("ldexp", lambda x: np.ldexp(x, np.array([1, 0, 2, -1])), (WIDE,)),
    Case("matmul", np.matmul, (CUBE, TALL)),
    Case("vecdot", np.vecdot, (WIDE, OTHER)),
    Case("matvec", np.matvec, (WIDE, OTHER)),
    Case("vecmat", np.vecmat, (OTHER, TALL)),
    Case("add", lambda x: np.add(x, 1, dtype=np.float64), (WIDE,)),
    Case("add.reduce", np.add.reduce, (WIDE,)),
    Case("add.reduce", lambda x: np.add.reduce(x, axis=(0, 1), keepdims=True), (WIDE,)),
    Case("add.reduce", lambda x: np.add.reduce(x, 1, initial=2.0, where=MASK), (WIDE,)),
    Case("multiply.reduce", lambda x: np.multiply.reduce(x, axis=None), (WIDE,)),
    Case("maximum.reduce", lambda x: np.maximum.reduce(x, -1), (WIDE,)),
    Case("minimum.reduce", np.minimum.reduce, (WIDE,)),
    Case("fmax.reduce", np.fmax.reduce, (HOLES[:, 2:],)),
    Case("logaddexp.reduce", np.logaddexp.reduce, (WIDE,)),
    Case("logical_and.reduce", np.logical_and.reduce, (MASK,), False),
    Case("logical_or.reduce", np.logical_or.reduce, (MASK,), False),
    Case("add.accumulate", np.add.accumulate, (WIDE,)),
    Case("multiply.accumulate", lambda x: np.multiply.accumulate(x, axis=1), (WIDE,)),
    Case("add.reduceat", lambda x: np.add.reduceat(x, [0, 2, 1, 3], axis=1), (WIDE,)),
    Case("multiply.reduceat", lambda x: np.multiply.reduceat(x, [0, 1]), (WIDE,)),
    Case("multiply.outer", np.multiply.outer, (WIDE, OTHER)),
    Case("subtract.outer", np.subtract.outer, (OTHER, WIDE)),
]  # fmt: skip


def case(name: str, call: Callable, *args: Any, smooth: bool = True, maps: bool = True) -> Case:
    return Case(name, call, args, smooth, maps)


def over_axes(names: str, x: np.ndarray, **flags: Any) -> list[Case]:
    """Reductions: over all axes, over one, and over one that is kept."""
    cases = []
    for name in names.split():
        f = getattr(np, name)
        cases += [
            case(name, f, x, **flags),
            case(name, lambda x, f=f: f(x, axis=1), x, **flags),
            case(name, lambda x, f=f: f(x, 0, keepdims=True), x, **flags),
        ]
    return cases


REDUCTIONS = [
    *over_axes("sum prod mean std var max min amax amin ptp median", WIDE),
    *over_axes("nansum nanmean nanmax nanmin nanprod nanvar nanstd", HOLES),
    *over_axes("all any argmax argmin count_nonzero", WIDE, smooth=False),
    case("sum", lambda x: np.sum(x, axis=0, dtype=np.float64, initial=1.5, where=MASK), WIDE),
    case("prod", lambda x: np.prod(x, initial=2.0, where=MASK), WIDE),
    case("max", lambda x: np.max(x, axis=1, initial=-9.0, where=MASK), WIDE),
    case("min", lambda x: np.min(x, initial=0.3), WIDE),
    case("all", lambda x: np.all(x, where=MASK), WIDE, smooth=False),
    case("mean", lambda x: np.mean(x, axis=1, where=MASK), WIDE),
    case("std", lambda x: np.std(x, axis=0, ddof=1), WIDE),
    case("var", lambda x: np.var(x, 1, correction=1), WIDE),
    case("cumsum", np.cumsum, WIDE),
    case("cumsum", lambda x: np.cumsum(x, axis=1), WIDE),
    case("cumprod", lambda x: np.cumprod(x, 0), WIDE),
    case("average", np.average, WIDE),
    case("average", lambda x, w: np.average(x, axis=1, weights=w), WIDE, OTHER),
    case("quantile", lambda x: np.quantile(x, 0.3, axis=1), WIDE),
    case("percentile", lambda x: np.percentile(x, [20, 70], axis=0, keepdims=True), WIDE),
    case("diff", lambda x: np.diff(x, 2, axis=0), WIDE),
    case("diff", lambda x: np.diff(x, prepend=0.0, append=x[:, :1]), WIDE),
    case("trapezoid", lambda y, x: np.trapezoid(y, x=x), WIDE, np.sort(OTHER)),
    case("ediff1d", lambda x: np.ediff1d(x, to_end=[1.0]), WIDE),
    case("cov", np.cov, WIDE),
    case("corrcoef", lambda x: np.corrcoef(x)[0, 1:], WIDE),
    case("sort", lambda x: np.sort(x, axis=0), WIDE),
    case("argsort", np.argsort, WIDE, smooth=False),
    case("partition", lambda x: np.partition(x, 1)[:, 1], WIDE),
    case("argpartition", lambda x: np.argpartition(x, 1)[:, 1], WIDE, smooth=False),
    case("searchsorted", np.searchsorted, np.sort(OTHER), WIDE, smooth=False),
    case("nonzero", np.nonzero, MASK, smooth=False, maps=False),
]  # fmt: skip

STRUCTURE = [
    case("reshape", lambda x: np.reshape(x, (2, -1)), WIDE),
    case("reshape", lambda x: np.reshape(x, (6, 2), order="F"), WIDE),
    case("ravel", np.ravel, WIDE),
    case("ravel", lambda x: np.ravel(x, order="F"), WIDE),
    case("transpose", np.transpose, CUBE),
    case("transpose", lambda x: np.transpose(x, (1, 2, 0)), CUBE),
    case("matrix_transpose", np.matrix_transpose, CUBE),
    case("swapaxes", lambda x: np.swapaxes(x, 0, 2), CUBE),
    case("moveaxis", lambda x: np.moveaxis(x, 0, -1), CUBE),
    case("rollaxis", lambda x: np.rollaxis(x, 2), CUBE),
    case("expand_dims", lambda x: np.expand_dims(x, (0, -1)), WIDE),
    case("squeeze", lambda x: np.squeeze(x[:, :1], axis=1), WIDE),
    case("broadcast_to", lambda x: np.broadcast_to(x, (2, 3, 4)), WIDE),
    case("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y)[1], WIDE, OTHER),
    case("atleast_1d", np.atleast_1d, np.array(1.5)),
    case("atleast_2d", np.atleast_2d, OTHER),
    case("atleast_3d", np.atleast_3d, WIDE),
    case("concatenate", lambda x: np.concatenate([x, WIDE], axis=1), WIDE),
    case("concatenate", lambda x: np.concatenate((x, x), None, dtype=np.float64), WIDE),
    case("stack", lambda x, y: np.stack([x, y, x], axis=-1), WIDE, ABOVE),
    case("vstack", lambda x, y: np.vstack([x, y]), WIDE, OTHER),
    case("hstack", lambda x: np.hstack([x, 2 * x]), WIDE),
    case("dstack", lambda x: np.dstack([x, WIDE]), WIDE),
    case("column_stack", lambda x: np.column_stack([x, OTHER, x]), OTHER),
    case("append", lambda x: np.append(x, [1.0, 2.0]), WIDE),
    case("insert", lambda x: np.insert(x, 1, 5.0, axis=1), WIDE),
    case("delete", lambda x: np.delete(x, [0, 2], axis=1), WIDE),
    case("block", lambda x: np.block([[x, x], [2 * x, WIDE]]), WIDE),
    case("split", lambda x: np.split(x, [1, 3], axis=1), WIDE),
    case("array_split", lambda x: np.array_split(x, 3, axis=1), WIDE),
    case("hsplit", lambda x: np.hsplit(x, 2), WIDE),
    case("vsplit", lambda x: np.vsplit(x, 3), WIDE),
    case("dsplit", lambda x: np.dsplit(x, 2), CUBE),
    case("unstack", np.unstack, WIDE),
    case("flip", lambda x: np.flip(x, 1), WIDE),
    case("fliplr", np.fliplr, WIDE),
    case("flipud", np.flipud, WIDE),
    case("rot90", np.rot90, WIDE),
    case("roll", lambda x: np.roll(x, 1, axis=0), WIDE),
    case("roll", lambda x: np.roll(x, (1, -2), axis=(0, 1)), WIDE),
    case("tile", lambda x: np.tile(x, (2, 1)), WIDE),
    case("repeat", lambda x: np.repeat(x, 2, axis=0), WIDE),
    case("resize", lambda x: np.resize(x, (2, 7)), WIDE),
    case("pad", lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3.0), WIDE),
    case("pad", lambda x: np.pad(x, 1, mode="reflect"), WIDE),
    case("pad", lambda x: np.pad(x, 1, "wrap"), WIDE),
    case("take", lambda x: np.take(x, [2, 0, 0], axis=1), WIDE),
    case("take_along_axis", lambda x: np.take_along_axis(x, COUNTS % 3, 0), WIDE),
    case("compress", lambda x: np.compress([True, False, True], x, axis=0), WIDE),
    case("extract", lambda x: np.extract(MASK, x), WIDE),
    case("apply_along_axis", lambda x: np.apply_along_axis(lambda r: r * np.sum(r), 0, x), WIDE),
    case("apply_along_axis", lambda x: np.apply_along_axis(np.sum, 1, x), WIDE),
    case("meshgrid", lambda x, y: np.meshgrid(x, y, indexing="ij"), OTHER, VECTOR),
    case("diag", lambda x: np.diag(x, k=1), SQUARE),
    case("diagflat", np.diagflat, OTHER),
    case("diagonal", np.diagonal, CUBE),
    case("trace", np.trace, CUBE),
    case("tril", lambda x: np.tril(x, -1), SQUARE),
    case("triu", lambda x: np.triu(x, k=1), SQUARE),
    case("astype", lambda x: np.astype(x, np.float64), WIDE),
    case("copy", np.copy, WIDE),
    case("real", np.real, WIDE),
    case("real_if_close", np.real_if_close, WIDE),
    case("zeros_like", np.zeros_like, WIDE, smooth=False),
    case("zeros_like", lambda x: np.zeros_like(x, shape=(2,), dtype=int), WIDE, smooth=False),
    case("ones_like", lambda x: np.ones_like(x, dtype=np.float32), WIDE, smooth=False),
    case("empty_like", lambda x: np.empty_like(x) * 0, WIDE, smooth=False),
    case("full_like", lambda x: np.full_like(x, 2.5), WIDE, smooth=False),
    case("full_like", lambda x: np.full_like(x, 2.5, shape=(2, 2)), WIDE, smooth=False),
    case("linspace", lambda a, b: np.linspace(a, b, 5), np.array(0.5), np.array(2.0)),
    case("logspace", lambda a, b: np.logspace(a, b, num=4), np.array(0.5), np.array(2.0)),
    case("geomspace", lambda a, b: np.geomspace(a, b, 4), np.array(0.5), np.array(2.0)),
]  # fmt: skip

PRODUCTS = [
    case("dot", np.dot, CUBE, TALL),
    case("inner", np.inner, WIDE, OTHER),
    case("outer", np.outer, OTHER, VECTOR),
    case("vdot", np.vdot, WIDE, ABOVE),
    case("tensordot", lambda x, y: np.tensordot(x, y, axes=([2], [0])), CUBE, TALL),
    case("einsum", lambda x, y: np.einsum("ijk,kl->il", x, y, optimize=True), CUBE, TALL),
    case("kron", np.kron, WIDE, SQUARE),
    case("cross", np.cross, SQUARE, SQUARE.T),
    case("convolve", lambda x, y: np.convolve(x, y, mode="same"), VECTOR, OTHER),
    case("correlate", np.correlate, VECTOR, OTHER),
    case("polyval", np.polyval, OTHER, WIDE),
    case("vander", lambda x: np.vander(x, N=3), OTHER),
    case("interp", lambda x, f: np.interp(x, [-1.0, 0.1, 0.5, 2.0], f, left=0.0), WIDE, OTHER),
    case("gradient", lambda x: np.gradient(x, 0.5, axis=1, edge_order=2), WIDE),
    case("gradient", lambda x: np.gradient(x)[0], WIDE),
    case("unwrap", lambda x: np.unwrap(4 * x), WIDE),
    case("clip", lambda x: np.clip(x, -0.5, None), WIDE),
    case("clip", lambda x: np.clip(x, min=-0.5, max=0.7), WIDE),
    case("where", lambda x, y: np.where(MASK, x, y), WIDE, OTHER),
    case("where", lambda x: np.where(x), MASK, smooth=False, maps=False),
    case("select", lambda x: np.select([x > 0.5, x > 0], [x * x, 2 * x], default=-x), WIDE),
    case("choose", lambda x: np.choose(COUNTS % 2, [x, x * x]), WIDE),
    case("piecewise", lambda x: np.piecewise(x, [x < 0, x > 1], [lambda v: v**2, np.log, np.sin]),
         WIDE),
    case("nan_to_num", lambda x: np.nan_to_num(x, nan=2.0), HOLES),
    case("round", lambda x: np.round(x, decimals=1), WIDE, smooth=False),
    case("around", lambda x: np.around(x, 1), WIDE, smooth=False),
    case("fix", np.fix, WIDE, smooth=False),
    case("sinc", np.sinc, WIDE),
    case("angle", np.angle, WIDE, smooth=False),
    case("imag", np.imag, WIDE, smooth=False),
    case("isreal", np.isreal, WIDE, smooth=False),
    case("iscomplex", np.iscomplex, WIDE, smooth=False),
    case("isposinf", np.isposinf, WIDE, smooth=False),
    case("isneginf", np.isneginf, WIDE, smooth=False),
    case("isin", lambda x: np.isin(x, WIDE[0], assume_unique=True), WIDE, smooth=False),
    case("cumulative_sum", lambda x: np.cumulative_sum(x, axis=1, include_initial=True), WIDE),
    case("cumulative_prod", lambda x: np.cumulative_prod(x, axis=0), WIDE),
    case("unique_values", lambda x: np.sort(np.unique_values(x)), COUNTS % 5, smooth=False,
         maps=False),
    case("unique_counts", np.unique_counts, COUNTS % 5, smooth=False, maps=False),
    case("unique_inverse", np.unique_inverse, COUNTS % 5, smooth=False, maps=False),
    case("unique_all", np.unique_all, COUNTS % 5, smooth=False, maps=False),
    case("isclose", lambda x: np.isclose(x, WIDE + 1e-9), WIDE, smooth=False),
]  # fmt: skip

LINALG = [
    case("linalg.solve", np.linalg.solve, SQUARE, TALL[:3]),
    case("linalg.inv", np.linalg.inv, SQUARE),
    case("linalg.pinv", np.linalg.pinv, TALL),
    case("linalg.det", np.linalg.det, SQUARE),
    case("linalg.slogdet", lambda x: np.linalg.slogdet(x).logabsdet, SQUARE),
    case("linalg.cholesky", np.linalg.cholesky, SYMMETRIC),
    case("linalg.cholesky", lambda x: np.linalg.cholesky(x, upper=True), SYMMETRIC),
    case("linalg.eigh", lambda x: np.abs(np.linalg.eigh(x).eigenvectors), SYMMETRIC),
    case("linalg.eigh", lambda x: np.linalg.eigh(x, "U")[0], SYMMETRIC),
    case("linalg.eigvalsh", np.linalg.eigvalsh, SYMMETRIC),
    case("linalg.svd", lambda x: np.abs(np.linalg.svd(x, full_matrices=False).U), TALL),
    case("linalg.svd", lambda x: np.linalg.svd(x, compute_uv=False), TALL),
    case("linalg.svd", lambda x: np.linalg.svd(x)[1], SQUARE),
    case("linalg.svdvals", np.linalg.svdvals, TALL),
    case("linalg.qr", lambda x: np.abs(np.linalg.qr(x).Q), TALL),
    case("linalg.qr", lambda x: np.abs(np.linalg.qr(x, mode="r")), TALL),
    case("linalg.norm", np.linalg.norm, WIDE),
    case("linalg.norm", lambda x: np.linalg.norm(x, axis=1), WIDE),
    case("linalg.norm", lambda x: np.linalg.norm(x, 1, axis=0, keepdims=True), WIDE),
    case("linalg.norm", lambda x: np.linalg.norm(x, ord=2), WIDE),
    case("linalg.norm", lambda x: np.linalg.norm(x, "nuc", axis=(0, 2), keepdims=True), CUBE),
    case("linalg.norm", lambda x: np.linalg.norm(x, -np.inf), OTHER),
    case("linalg.matrix_norm", np.linalg.matrix_norm, CUBE),
    case("linalg.vector_norm", lambda x: np.linalg.vector_norm(x, axis=1, ord=3), WIDE),
    case("linalg.vecdot", np.linalg.vecdot, WIDE, OTHER),
    case("linalg.cond", np.linalg.cond, SQUARE),
    case("linalg.cond", lambda x: np.linalg.cond(x, p="fro"), SQUARE),
    case("linalg.lstsq", lambda a, b: np.linalg.lstsq(a, b, rcond=None)[:2], TALL, OTHER,
         maps=False),
    case("linalg.multi_dot", lambda x, y: np.linalg.multi_dot([x, y, x, y]), WIDE, TALL),
    case("linalg.multi_dot", lambda x, y: np.linalg.multi_dot([x, y, x[:, 0]]), WIDE, TALL),
    case("linalg.matrix_power", lambda x: np.linalg.matrix_power(x, 3), SQUARE),
    case("linalg.matrix_transpose", np.linalg.matrix_transpose, CUBE),
    case("linalg.matmul", np.linalg.matmul, CUBE, TALL),
    case("linalg.outer", np.linalg.outer, OTHER, VECTOR),
    case("linalg.cross", np.linalg.cross, SQUARE, SQUARE.T),
    case("linalg.tensordot", lambda x, y: np.linalg.tensordot(x, y, axes=1), CUBE, TALL),
    case("linalg.diagonal", np.linalg.diagonal, CUBE),
    case("linalg.trace", np.linalg.trace, CUBE),
]  # fmt: skip

LINALG.append(case("linalg.matrix_rank", np.linalg.matrix_rank, TALL, smooth=False))

FFT = [
    case("fft.rfft", lambda x: np.abs(np.fft.rfft(x, axis=0, norm="ortho")), WIDE),
    case("fft.irfft", lambda x: np.fft.irfft(np.fft.rfft(x) * OTHER[:3], n=4), WIDE),
    case("fft.ifft2", lambda x: np.real(np.fft.ifft2(np.fft.fft2(x) ** 2)), WIDE),
    case("fft.fftshift", np.fft.fftshift, WIDE),
    case("fft.ifftshift", lambda x: np.fft.ifftshift(x, axes=1), WIDE),
    *[
        case(f"fft.{name}", getattr(np.fft, name), CUBE, smooth=False)
        for name in (
            *("fft", "ifft", "rfft", "hfft", "irfft", "ihfft", "fft2", "ifft2", "rfft2", "irfft2"),
            *("fftn", "ifftn", "rfftn", "irfftn"),
        )
    ],
]

Z = WIDE + 1j * ABOVE
HERMITIAN = SYMMETRIC + 1j * np.triu(INSIDE[:, :3], 1) - 1j * np.triu(INSIDE[:, :3], 1).T
COMPLEX = [
    case(name, call, *args, smooth=False, maps=name != "real_if_close")
    for name, call, *args in [
        ("conjugate", np.conjugate, Z),
        ("angle", np.angle, Z),
        ("imag", np.imag, Z),
        ("isreal", np.isreal, Z * MASK),
        ("iscomplex", np.iscomplex, Z * MASK),
        ("real_if_close", np.real_if_close, Z),
        ("vecdot", np.vecdot, Z, 1j * OTHER),
        ("vecmat", np.vecmat, 1j * OTHER, TALL),
        ("cov", np.cov, Z),
        ("corrcoef", lambda z: np.corrcoef(z)[0, 1:], Z),
        ("convolve", np.convolve, Z[0], Z[1]),
        ("correlate", lambda x, y: np.correlate(x, y, "same"), Z[0], Z[1]),
        ("correlate", lambda x, y: np.correlate(x, y, "full"), Z[0, :2], Z[1]),
        ("polyval", np.polyval, Z[0], Z),
        ("gradient", lambda z: np.gradient(z, axis=1), Z),
        ("linalg.solve", np.linalg.solve, HERMITIAN, Z),
    ]
]

CASES = [*COMPLEX, *FFT, *UFUNCS, *REDUCTIONS, *STRUCTURE, *PRODUCTS, *LINALG]
IDS = [f"{i}-{case.name}" for i, case in enumerate(CASES)]
