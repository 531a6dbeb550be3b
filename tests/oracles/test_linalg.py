"""Linear algebra where tables of well-behaved matrices do not reach: singular and degenerate
matrices, no entries, what identifies a factorisation, and errors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import autograd_core as ac


def _matrix(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def _of_rank(n: int, rank: int) -> np.ndarray:
    return _matrix(n, rank, seed=1) @ _matrix(rank, n, seed=2)


def _minors(x: np.ndarray) -> np.ndarray:
    """The matrix of cofactors by its definition."""
    out = np.empty_like(x)
    for i, j in np.ndindex(x.shape):
        rest = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return out


# Determinants ---------------------------------------------------------------------------------


SINGULAR = [_of_rank(n, rank) for n in (1, 2, 3, 4, 5) for rank in range(n + 1)]
SINGULAR += [np.eye(5), np.diag([1e20, 1, 1, 1, 1, 1, 1]), np.zeros((7, 7)), np.ones((6, 6))]


@pytest.mark.parametrize("x", SINGULAR, ids=lambda x: f"{len(x)} of {np.linalg.matrix_rank(x)}")
def test_gradient_of_det_is_the_cofactors_of_singular_matrices_too(x: np.ndarray) -> None:
    t = _matrix(*x.shape)
    expected = _minors(x)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(ac.grad(ac.det)(x).data, expected, rtol=0, atol=1e-12 * scale)
    slope = ac.jvp(ac.det, (x,), (t,))[1].item()
    assert abs(slope - float(np.sum(expected * t))) < 1e-11 * scale


@pytest.mark.parametrize("x", SINGULAR, ids=lambda x: f"{len(x)} of {np.linalg.matrix_rank(x)}")
def test_higher_derivatives_of_det_of_singular_matrices(x: np.ndarray) -> None:
    """det(x + s t) is a polynomial in s: its coefficients, from its values at n + 1 points."""
    n, t = len(x), _matrix(*x.shape)
    points = 2 * np.cos(np.pi * (np.arange(n + 1) + 0.5) / (n + 1))
    values = [np.linalg.det(x + s * t) for s in points]
    coefficients = np.linalg.solve(np.vander(points, n + 1, increasing=True), values)
    scale = float(np.abs(values).max())
    f = lambda s: ac.det(x + s * t)
    for order in (1, 2, 3):
        f = ac.grad(f)
        expected = math.factorial(order) * coefficients[order] if order <= n else 0.0
        assert abs(f(0.0).item() - expected) < 1e-10 * scale, order


def test_gradient_of_det_in_a_batch_of_which_one_is_singular() -> None:
    stack = np.stack([_of_rank(3, 3), _of_rank(3, 2)])
    got = ac.vmap(ac.grad(ac.det))(stack).data
    np.testing.assert_allclose(got, np.stack([_minors(x) for x in stack]), rtol=0, atol=1e-12)


def test_third_derivative_of_det_is_the_permutation_symbol() -> None:
    """Along E₁₁, E₂₂, E₃₃ it is 1, along E₁₂, E₂₁, E₃₃ it is -1, along E₁₁ twice it is 0."""

    def third(*places: tuple[int, int]) -> float:
        f = lambda x: ac.det(x)
        for i, j in places:
            unit = np.zeros((3, 3))
            unit[i, j] = 1
            f = lambda x, f=f, unit=unit: ac.jvp(f, (x,), (unit,))[1]
        return f(np.eye(3)).item()

    assert third((0, 0), (1, 1), (2, 2)) == pytest.approx(1, abs=1e-13)
    assert third((0, 1), (1, 0), (2, 2)) == pytest.approx(-1, abs=1e-13)
    assert third((0, 0), (0, 0), (2, 2)) == pytest.approx(0, abs=1e-13)


def test_slogdet_of_singular_and_negative_matrices() -> None:
    sign, log = ac.slogdet(np.diag([2.0, -3.0]))
    assert (sign.item(), log.item()) == (-1, pytest.approx(np.log(6)))
    sign, log = ac.slogdet(np.zeros((2, 2)))
    assert (sign.item(), log.item()) == (0, -np.inf)
    with pytest.raises(np.linalg.LinAlgError, match="inv"):
        ac.grad(lambda x: ac.slogdet(x)[1])(np.zeros((2, 2)))


def test_no_derivative_flows_through_the_sign_of_a_determinant() -> None:
    gradient = ac.grad(lambda x: ac.slogdet(x)[0])(_matrix(3, 3))
    np.testing.assert_array_equal(gradient.data, np.zeros((3, 3)))


# Eigenvalues and singular values --------------------------------------------------------------


def test_eigenvalues_that_are_equal_have_derivatives() -> None:
    """Those of functions that treat them alike: Σ wᵢ² is the squared norm, with gradient 2x."""
    x = np.diag([1.0, 1.0, 3.0])
    gradient = ac.grad(lambda x: ac.sum(ac.eigh(x)[0] ** 2))(x)
    np.testing.assert_allclose(gradient.data, 2 * x, rtol=0, atol=1e-14)


def test_eigenvectors_of_equal_eigenvalues_have_none_and_say_so() -> None:
    x = np.diag([1.0, 1.0, 3.0])
    with np.errstate(all="ignore"):
        gradient = ac.grad(lambda x: ac.sum(ac.eigh(x)[1][:, 0] * _matrix(3)))(x)
    assert not np.isfinite(gradient.data).all()


def test_singular_values_of_square_singular_matrices_have_derivatives() -> None:
    x = _of_rank(3, 2)
    weights = np.array([1.0, 2.0, 0.0])  # the one that is 0 has a kink there
    gradient = ac.grad(lambda x: ac.sum(weights * ac.svd(x)[1] ** 2))(x)
    u, s, vt = np.linalg.svd(x)
    np.testing.assert_allclose(gradient.data, (u * 2 * weights * s) @ vt, rtol=0, atol=1e-12)


def test_singular_vectors_of_square_singular_matrices_have_derivatives() -> None:
    x, t, h = _of_rank(3, 2), _matrix(3, 3, seed=3), 1e-6
    f = lambda x: ac.svd(x)[0][:, 0]
    expected = (f(x + h * t).data - f(x - h * t).data) / (2 * h)
    got = ac.jvp(f, (x,), (t,))[1].data
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("m", "n"), [(3, 3), (4, 2), (2, 4), (1, 3), (3, 0), (0, 0)])
def test_what_factorisations_are(m: int, n: int) -> None:
    x = _matrix(2, m, n)
    k = min(m, n)
    u, s, vt = (y.data for y in ac.svd(x))
    np.testing.assert_allclose((u * s[..., None, :]) @ vt, x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(u.swapaxes(-1, -2) @ u, np.tile(np.eye(k), (2, 1, 1)), atol=1e-13)
    assert (np.diff(s) <= 0).all() and (s >= 0).all()
    q, r = (y.data for y in ac.qr(x))
    np.testing.assert_allclose(q @ r, x, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(np.tril(r, -1), 0)
    assert (np.diagonal(r, axis1=-2, axis2=-1) >= 0).all()
    symmetric = x.swapaxes(-1, -2) @ x
    w, v = (y.data for y in ac.eigh(symmetric))
    np.testing.assert_allclose((v * w[..., None, :]) @ v.swapaxes(-1, -2), symmetric, atol=1e-12)
    for columns in (u, v):
        if columns.size:
            largest = np.take_along_axis(columns, np.abs(columns).argmax(-2)[..., None, :], -2)
            assert (largest > 0).all()


def test_signs_do_not_depend_on_the_library() -> None:
    """x and the same matrix through another basis: vectors differ by the basis alone, not signs."""
    x = np.diag([1.0, 2.0, 3.0]) + 0.01 * _matrix(3, 3)
    for _, vectors in (ac.eigh(x), ac.svd(x)[:2][::-1]):
        places = np.abs(vectors.data).argmax(0)
        assert (vectors.data[places, range(3)] > 0).all()


@pytest.mark.parametrize("name", ["eigh", "cholesky"])
def test_the_symmetric_part_is_read_and_gradients_are_symmetric(name: str) -> None:
    x = _matrix(3, 3) * 0.1 + np.diag([1.0, 2.0, 3.0])
    f = lambda x: ac.eigh(x)[1] if name == "eigh" else ac.cholesky(x)
    symmetric = (x + x.T) / 2
    np.testing.assert_allclose(f(x).data, f(symmetric).data, rtol=0, atol=1e-14)
    gradient = ac.grad(lambda x: ac.sum(f(x) * _matrix(3, 3, seed=4)))(x).data
    np.testing.assert_allclose(gradient, gradient.T, rtol=0, atol=1e-13 * np.abs(gradient).max())
    assert np.abs(gradient).max() > 0.01


def test_pinv_of_matrices_that_keep_their_rank() -> None:
    """Along a curve of matrices of rank 2 the derivative is that of the curve's pseudo-inverses."""
    a, b, da, db = (_matrix(*s, seed=i) for i, s in enumerate([(4, 2), (2, 3), (4, 2), (2, 3)]))
    at = lambda s: (a + s * da) @ (b + s * db)
    h = 1e-6
    expected = (np.linalg.pinv(at(h), 1e-10) - np.linalg.pinv(at(-h), 1e-10)) / (2 * h)
    tangent = da @ b + a @ db
    got = ac.jvp(lambda x: ac.pinv(x, rtol=1e-10), (at(0),), (tangent,))[1].data
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


# solve ----------------------------------------------------------------------------------------

LEADS = [(), (1,), (2,), (3, 1), (3, 2)]


@pytest.mark.parametrize("lead_a", LEADS)
@pytest.mark.parametrize("lead_b", LEADS)
def test_solve_broadcasts_and_maps(lead_a: tuple, lead_b: tuple) -> None:
    a, b = _matrix(*lead_a, 3, 3) + 3 * np.eye(3), _matrix(*lead_b, 3, 2)
    expected = np.linalg.solve(a, b)
    np.testing.assert_allclose(ac.solve(a, b).data, expected, rtol=0, atol=1e-13)
    both, ones = np.stack([a, 2 * a]), np.stack([b, b + 1])
    for axes in ((0, None), (None, 0), (0, 0)):
        given = (both if axes[0] == 0 else a, ones if axes[1] == 0 else b)
        got = ac.vmap(ac.solve, axes)(*given).data
        slices = [
            np.linalg.solve(both[i] if axes[0] == 0 else a, ones[i] if axes[1] == 0 else b)
            for i in range(2)
        ]
        np.testing.assert_allclose(got, np.stack(slices), rtol=0, atol=1e-13)


def test_solve_with_one_matrix_for_many_right_sides_factorises_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from autograd_core.primitive import REGISTRY

    shapes = []
    kernel = REGISTRY["solve"].kernel

    def seen(a: Any, b: Any) -> Any:
        shapes.append((a.shape, b.shape))
        return kernel(a, b)

    monkeypatch.setattr(REGISTRY["solve"], "kernel", seen)
    ac.vmap(ac.solve, (None, 0))(np.eye(3), np.ones((100, 3, 2)))
    assert shapes == [((3, 3), (3, 200))]


# Everything ------------------------------------------------------------------------------------


def test_matrices_without_entries() -> None:
    nothing = np.zeros((0, 0))
    assert ac.det(nothing).item() == 1
    np.testing.assert_array_equal(ac.grad(ac.det)(nothing).data, nothing)
    assert ac.inv(nothing).shape == (0, 0)
    assert ac.solve(nothing, np.zeros((0, 2))).shape == (0, 2)
    assert ac.cholesky(np.zeros((4, 0, 0))).shape == (4, 0, 0)
    assert ac.pinv(np.zeros((3, 0))).shape == (0, 3)
    assert ac.trace(nothing).item() == 0
    assert ac.kron(np.ones((2, 0)), np.ones((3, 1))).shape == (6, 0)
    none_of_them = np.zeros((0, 3, 3))
    for f in (ac.inv, ac.det, ac.cholesky, ac.eigh, ac.svd, ac.qr, ac.slogdet, ac.pinv):
        gradient = ac.grad(lambda x, f=f: sum(ac.sum(y) for y in _outputs(f(x))))(none_of_them)
        assert gradient.shape == (0, 3, 3)


def _outputs(y: Any) -> tuple:
    return y if isinstance(y, tuple) else (y,)


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ac.ShapeError, match=r"inv: expected shape \(…, n, n\), got \(2, 3\)"):
        ac.inv(np.ones((2, 3)))
    with pytest.raises(ac.ShapeError, match=r"svd: expected shape \(…, m, n\), got \(3,\)"):
        ac.svd(np.ones(3))
    with pytest.raises(ac.ShapeError, match="solve: shapes"):
        ac.solve(np.eye(3), np.ones((2, 2)))
    with pytest.raises(np.linalg.LinAlgError, match=r"solve\(float64\[2,2\], float64\[2,1\]\)"):
        ac.solve(np.zeros((2, 2)), np.ones((2, 1)))
    with pytest.raises(np.linalg.LinAlgError, match="cholesky"):
        ac.cholesky(-np.eye(2))
    with pytest.raises(ac.ShapeError, match="cross: expected vectors of 3"):
        ac.cross(np.ones(2), np.ones(2))
    with pytest.raises(ac.ShapeError, match="diag: expected"):
        ac.diag(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="matrix_norm: expected ord"):
        ac.matrix_norm(np.eye(2), "spectral")


def test_integers_are_taken_as_float64() -> None:
    x = np.array([[2, 1], [1, 3]])
    for f in (ac.inv, ac.det, ac.cholesky, ac.pinv, ac.matrix_norm):
        assert f(x).dtype == np.float64
    assert ac.matrix_power(x, 3).dtype == np.int64
    np.testing.assert_array_equal(ac.matrix_power(x, 3).data, np.linalg.matrix_power(x, 3))
    np.testing.assert_array_equal(ac.matrix_power(x, 0).data, np.eye(2))


# Primitives with several outputs, and the ways of transforming them ------------------------------


def _through_eigh(x: Any) -> Any:
    w, v = ac.eigh(x)
    return ac.sum(w**3 * v[0] ** 2)


def test_backward_with_create_graph_goes_through_several_outputs() -> None:
    x, weights = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    leaf = ac.Tensor(x, requires_grad=True)
    _through_eigh(leaf).backward(create_graph=True)
    first, leaf.grad = leaf.grad, None
    ac.sum(first * weights).backward()
    expected = ac.grad(lambda x: ac.sum(ac.grad(_through_eigh)(x) * weights))(x)
    np.testing.assert_allclose(leaf.grad.data, expected.data, rtol=1e-13)
    assert np.abs(expected.data).max() > 1


def test_every_order_of_transforms_agrees() -> None:
    x = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, -1.0]])
    reverse = ac.jacrev(ac.jacrev(_through_eigh))(x).data
    for outer, inner in itertools.product((ac.jacrev, ac.jacfwd), repeat=2):
        got = outer(inner(_through_eigh))(x).data
        np.testing.assert_allclose(got, reverse, rtol=0, atol=1e-12 * np.abs(reverse).max())
    value, push = ac.linearize(lambda x: ac.eigh(x), x)
    np.testing.assert_allclose(
        push(x)[0].data, ac.jvp(ac.eigh, (x,), (x,))[1][0].data, rtol=0, atol=1e-14
    )
    assert len(value) == 2


def test_outputs_that_are_not_used_cost_no_derivative() -> None:
    """Eigenvalues alone: the derivative of the vectors, infinite here, is not evaluated."""
    with np.errstate(all="raise"):
        ac.grad(lambda x: ac.sum(ac.eigh(x)[0]))(np.eye(3))
        ac.grad(lambda x: ac.sum(ac.svd(x)[1]))(np.eye(3))
