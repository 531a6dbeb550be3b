"""Linear algebra where tables of well-behaved matrices do not reach: singular and degenerate
matrices, no entries, what identifies a factorisation, and errors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.testing import check_grads


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
    stack = np.stack([np.zeros((2, 2)), np.diag([2.0, 4.0])])
    with np.errstate(all="ignore"):
        gradient = ac.grad(lambda x: ac.sum(ac.slogdet(x)[1]))(stack).numpy()
    assert np.isnan(gradient[0]).all()
    np.testing.assert_array_equal(gradient[1], np.diag([0.5, 0.25]))


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


# Complex matrices -----------------------------------------------------------------------------


def _complex(*shape: int, seed: int = 0) -> np.ndarray:
    return _matrix(*shape, seed=seed) + 1j * _matrix(*shape, seed=seed + 100)


def _adjoint(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2).conj()


@pytest.mark.parametrize(("m", "n"), [(3, 3), (4, 2), (2, 4), (1, 3), (3, 0), (0, 0)])
def test_what_complex_factorisations_are(m: int, n: int) -> None:
    x, k = _complex(2, m, n), min(m, n)
    u, s, vh = (y.data for y in ac.svd(x))
    assert s.dtype == np.float64 and (np.diff(s) <= 0).all() and (s >= 0).all()
    np.testing.assert_allclose((u * s[..., None, :]) @ vh, x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(_adjoint(u) @ u, np.tile(np.eye(k), (2, 1, 1)), atol=1e-13)
    q, r = (y.data for y in ac.qr(x))
    np.testing.assert_allclose(q @ r, x, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(np.tril(r, -1), 0)
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    assert (diagonal.real >= 0).all() and np.abs(diagonal.imag).max(initial=0) < 1e-14
    hermitian = _adjoint(x) @ x
    w, v = (y.data for y in ac.eigh(hermitian))
    assert w.dtype == np.float64
    np.testing.assert_allclose((v * w[..., None, :]) @ _adjoint(v), hermitian, atol=1e-12)
    for columns in (u, v):
        if columns.size:
            lead = np.take_along_axis(columns, np.abs(columns).argmax(-2)[..., None, :], -2)
            assert (lead.real > 0).all() and np.abs(lead.imag).max() < 1e-14


@pytest.mark.parametrize(("m", "n"), [(3, 3), (4, 2), (2, 4), (3, 0)])
def test_what_complete_factorisations_are(m: int, n: int) -> None:
    for x in (_matrix(2, m, n), _complex(2, m, n)):
        u, s, vh = (y.data for y in ac.linalg.svd(x))
        k = min(m, n)
        np.testing.assert_allclose((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x, atol=1e-13)
        q, r = (y.data for y in ac.linalg.qr(x, mode="complete"))
        np.testing.assert_allclose(q @ r, x, rtol=0, atol=1e-13)
        for basis in (u, vh, q):
            ones = np.tile(np.eye(basis.shape[-1]), (2, 1, 1))
            np.testing.assert_allclose(_adjoint(basis) @ basis, ones, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(5, 2), (2, 5), (2, 4, 1)])
@pytest.mark.parametrize("imaginary", [0, 1])
def test_projections_on_what_completes_a_basis(shape: tuple, imaginary: int) -> None:
    """They do not depend on which basis it is, so that differences tell what derivatives are."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0)
    k, n = min(shape[-2:]), max(shape[-2:])
    weights = rng.normal(size=(2, n, n))

    def projected(x: Any) -> Any:
        u, _, vh = ac.linalg.svd(x)
        columns = u[..., k:] if shape[-2] == n else ac.linalg.matrix_transpose(vh[..., k:, :])
        onto = columns @ ac.linalg.matrix_transpose(ac.conj(columns))
        return ac.sum(ac.real(onto) * weights[0] + ac.imag(onto) * weights[1])

    check_grads(projected, x, order=2, search=False)


def test_what_is_determined_by_a_complete_factorisation() -> None:
    la, x = ac.linalg, _matrix(4, 2)
    np.testing.assert_allclose(ac.grad(lambda x: ac.sum(la.svd(x).S ** 2))(x).data, 2 * x)
    reduced = ac.grad(lambda x: ac.sum(la.qr(x).R))(x).data
    complete = ac.grad(lambda x: ac.sum(la.qr(x, mode="complete").R))(x).data
    np.testing.assert_allclose(complete, reduced, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rank", range(5))
def test_gradient_of_complex_det_is_the_cofactors_of_singular_matrices_too(rank: int) -> None:
    x = _complex(4, rank, seed=1) @ _complex(rank, 4, seed=2)
    expected = np.empty_like(x)
    for i, j in np.ndindex(x.shape):
        rest = np.delete(np.delete(x, i, 0), j, 1)
        expected[i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    got = ac.grad(ac.det, holomorphic=True)(x).data
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * scale)


def test_the_sign_of_a_complex_determinant_turns() -> None:
    x = np.diag([np.exp(0.3j), 2.0, 3.0])
    turn = lambda a: ac.linalg.slogdet(x * ac.exp(1j * a)).sign
    sign, slope = ac.jvp(turn, (0.0,), (1.0,))
    assert sign.item() == pytest.approx(np.exp(0.3j))
    assert slope.item() == pytest.approx(3j * np.exp(0.3j))  # each of three rows turns
    second = ac.jvp(lambda a: ac.jvp(turn, (a,), (1.0,))[1], (0.0,), (1.0,))[1]
    assert second.item() == pytest.approx(-9 * np.exp(0.3j))


def test_equal_eigenvalues_of_complex_matrices() -> None:
    """Σ wᵢ² and Σ sᵢ² are squared norms: with gradient 2 conj(x) here."""
    v = np.linalg.qr(_complex(4, 4))[0]
    x = (v * [1, 1, 1, 3]) @ _adjoint(v)
    x = (x + _adjoint(x)) / 2
    for values in (ac.linalg.eigvalsh, ac.linalg.svdvals, lambda x: ac.eigh(x)[0]):
        gradient = ac.grad(lambda x, f=values: ac.sum(f(x) ** 2))(x).data
        np.testing.assert_allclose(gradient, 2 * x.conj(), rtol=0, atol=1e-13)


def test_phases_do_not_depend_on_rounding_where_magnitudes_are_equal() -> None:
    """A rotation by half a turn, and the second of Pauli's matrices."""
    for x in (np.array([[2, 1], [1, 2.0]]), np.array([[2, 1j], [-1j, 2]])):
        for seed in range(20):
            noise = 1e-15 * (_matrix(2, 2, seed=seed) * x)
            for vectors in (ac.eigh(x + noise)[1], ac.svd(x + noise)[0]):
                np.testing.assert_allclose(vectors.data[0], np.sqrt([0.5, 0.5]), atol=1e-14)


def test_gradients_of_complex_cholesky_and_eigh_are_hermitian() -> None:
    x = 0.1 * _complex(3, 3) + np.diag([1.0, 2.0, 3.0])
    weights = _complex(3, 3, seed=5)
    for f in (ac.cholesky, lambda x: ac.eigh(x)[1]):
        np.testing.assert_allclose(f(x).data, f((x + _adjoint(x)) / 2).data, rtol=0, atol=1e-14)
        gradient = ac.grad(lambda x, f=f: ac.real(ac.sum(weights * f(x))))(x).data
        np.testing.assert_allclose(gradient, _adjoint(gradient), rtol=0, atol=1e-13)


def test_pinv_of_complex_matrices_that_keep_their_rank() -> None:
    a, b, da, db = (_complex(*s, seed=i) for i, s in enumerate([(4, 2), (2, 3), (4, 2), (2, 3)]))
    at = lambda s: (a + s * da) @ (b + s * db)
    h = 1e-6
    expected = (np.linalg.pinv(at(h), 1e-10) - np.linalg.pinv(at(-h), 1e-10)) / (2 * h)
    f = lambda x: ac.pinv(x, rtol=1e-10)
    tangent = da @ b + a @ db
    got = ac.jvp(f, (at(0),), (tangent,))[1].data
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    g = _complex(3, 4, seed=9)
    pulled = ac.vjp(f, at(0))[1](g)[0].data
    assert np.sum(g * got).real == pytest.approx(np.sum(pulled * tangent).real, rel=1e-10)


def test_pinv_with_a_tolerance_for_each_matrix() -> None:
    x, rtol = np.stack([np.diag([1.0, 0.1, 2.0])] * 2), np.array([1e-9, 0.3])
    for f in (lambda x: ac.pinv(x, rtol), lambda x: ac.vmap(ac.pinv)(x, ac.asarray(rtol))):
        np.testing.assert_allclose(f(x).data, np.linalg.pinv(x, rtol=rtol), rtol=0, atol=1e-14)
        gradient = ac.grad(lambda x, f=f: ac.sum(f(x)[:, 1, 1]))(x).data
        np.testing.assert_allclose(gradient[0], np.diag([0, -100.0, 0]), rtol=0, atol=1e-11)
    # A tolerance has no derivative, and none flows into it.
    slope = ac.grad(lambda r: ac.sum(ac.pinv(x[0], r)))(0.01)
    assert slope.item() == 0


def test_dtypes_of_single_precision() -> None:
    for dtype, real in ((np.float32, np.float32), (np.complex64, np.float32)):
        x = (_complex(3, 3) if dtype == np.complex64 else _matrix(3, 3)).astype(dtype)
        la, h = ac.linalg, x @ _adjoint(x)
        assert [y.dtype for y in la.svd(x)] == [dtype, real, dtype]
        assert [y.dtype for y in la.eigh(h)] == [real, dtype]
        assert [y.dtype for y in la.eig(x)] == [np.complex64, np.complex64]
        assert [y.dtype for y in la.slogdet(x)] == [dtype, real]
        for f in (la.svdvals, la.cond, la.norm, la.matrix_norm, la.vector_norm):
            assert f(x).dtype == real
            assert ac.grad(lambda x, f=f: ac.sum(f(x)))(x).dtype == dtype
        for f in (la.inv, la.pinv, la.expm, la.cholesky, la.det):
            assert f(h).dtype == dtype


# Eigenvalues of any matrices ------------------------------------------------------------------


def test_eig_of_real_matrices_is_complex() -> None:
    x = np.array([[0.0, -1.0], [1.0, 0.0]])
    for y in (x, np.diag([1.0, 2.0])):
        w, v = ac.linalg.eig(y)
        assert w.dtype == v.dtype == np.complex128
        np.testing.assert_allclose(y @ v.data, v.data * w.data, rtol=0, atol=1e-14)
        np.testing.assert_allclose(np.linalg.norm(v.data, axis=0), 1)
    gradient = ac.grad(lambda x: ac.sum(ac.imag(ac.linalg.eigvals(x)) ** 2))(x)
    assert gradient.dtype == np.float64
    np.testing.assert_allclose(gradient.data, [[0, -2], [2, 0]], rtol=0, atol=1e-14)


def test_functions_of_all_eigenvalues_are_those_of_the_matrix() -> None:
    """Σ wᵏ = trace(xᵏ), to the second derivative."""
    x, t = _matrix(5, 5), _matrix(5, 5, seed=3)
    f = lambda x: ac.real(ac.sum(ac.linalg.eigvals(x) ** 3))
    g = lambda x: ac.trace(ac.matrix_power(x, 3))
    for f_, g_ in ((f, g), (ac.grad(f), ac.grad(g)), (lambda x: ac.hvp(f, (x,), (t,)), None)):
        expected = g_(x) if g_ else ac.hvp(g, (x,), (t,))
        np.testing.assert_allclose(f_(x).data, expected.data, rtol=0, atol=1e-10)


# The namespace --------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [_matrix(4, 3), _complex(4, 3)], ids=["real", "complex"])
@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf, 0, 3, -2.5])
def test_norm_as_numpy(x: np.ndarray, ord: Any) -> None:
    vectors = not isinstance(ord, str)
    for axis in (None, 0, -1, (0, 1), (1, 0)):
        of_matrix = isinstance(axis, tuple) or (axis is None and ord is not None)
        if of_matrix and ord in (0, 3, -2.5):
            with pytest.raises(ValueError, match="expected ord"):
                ac.linalg.norm(x, ord, axis)
        elif of_matrix or vectors:
            for keepdims in (False, True):
                got = ac.linalg.norm(x, ord, axis, keepdims).data
                expected = np.linalg.norm(x, ord, axis, keepdims)
                np.testing.assert_allclose(got, expected, rtol=1e-13)
                assert got.shape == expected.shape


def test_norm_of_other_shapes() -> None:
    x = _matrix(2, 3, 4)
    assert ac.linalg.norm(x).item() == pytest.approx(np.linalg.norm(x))
    with pytest.raises(ac.ShapeError, match="norm: expected one axis or two"):
        ac.linalg.norm(x, 2)
    with pytest.raises(ac.ShapeError, match="norm: expected one axis or two"):
        ac.linalg.norm(x, axis=(0, 1, 2))


@pytest.mark.parametrize("ord", [-1, -2, -0.5, -np.inf])
def test_vector_norm_of_negative_order_at_zero(ord: float) -> None:
    x = np.array([3.0, 0.0, -2.0])
    value, gradient = ac.value_and_grad(lambda x: ac.linalg.vector_norm(x, ord=ord))(x)
    assert value.item() == 0
    np.testing.assert_array_equal(gradient.data, np.zeros(3))


def test_cond_and_rank_as_numpy() -> None:
    stack = np.stack([_of_rank(4, r) for r in range(5)])
    np.testing.assert_array_equal(ac.linalg.matrix_rank(stack).data, range(5))
    rtol = np.array([0.1, 0.1, 0.9, 0.1, 2.0])
    np.testing.assert_array_equal(
        ac.linalg.matrix_rank(stack, rtol=rtol).data, np.linalg.matrix_rank(stack, rtol=rtol)
    )
    assert ac.linalg.matrix_rank(np.zeros((0, 3))).item() == 0
    for p in (None, 2, -2, 1, "fro", np.inf):
        x = _complex(2, 3, 3)
        np.testing.assert_allclose(ac.linalg.cond(x, p).data, np.linalg.cond(x, p), rtol=1e-12)
    with np.errstate(all="ignore"):
        assert ac.linalg.cond(np.diag([1.0, 0.0])).item() == np.inf


@pytest.mark.parametrize(("m", "n", "rank"), [(5, 3, 3), (3, 5, 3), (4, 4, 2), (5, 3, 2)])
def test_lstsq_as_numpy(m: int, n: int, rank: int) -> None:
    a = _complex(m, rank) @ _complex(rank, n, seed=1)
    for b in (_complex(m, seed=2), _matrix(m, 2, seed=3)):
        found, expected = ac.linalg.lstsq(a, b), np.linalg.lstsq(a, b)
        np.testing.assert_allclose(found.solution.data, expected[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.singular_values.data, expected[3], rtol=0, atol=1e-12)
        assert found.rank.item() == expected[2] == rank
        if rank == n:
            got = np.atleast_1d(found.residuals.data)
            np.testing.assert_allclose(got, expected[1], rtol=0, atol=1e-12)
    with pytest.raises(ac.ShapeError, match="lstsq: shapes"):
        ac.linalg.lstsq(a, np.ones(m + 1))


def test_multi_dot_takes_the_cheapest_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from autograd_core.ops.linalg import powers

    shapes = []
    product = powers.matmul
    monkeypatch.setattr(
        powers, "matmul", lambda x, y: (shapes.append((x.shape, y.shape)), product(x, y))[1]
    )
    xs = [_matrix(*s, seed=i) for i, s in enumerate([(10, 100), (100, 5), (5, 50)])]
    np.testing.assert_allclose(ac.linalg.multi_dot(xs).data, np.linalg.multi_dot(xs), rtol=1e-12)
    assert shapes == [((10, 100), (100, 5)), ((10, 5), (5, 50))]
    for wrong in ([], xs[:1], [xs[0], np.ones((2, 2, 2)), xs[1]], xs[::-1]):
        with pytest.raises(ac.ShapeError, match=r"multi_dot|matmul"):
            ac.linalg.multi_dot(wrong)


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 5.0, 300.0])
def test_expm_of_small_and_large_matrices(scale: float) -> None:
    """Of matrices with known eigenvectors; beside each other they are scaled each on its own."""
    v = np.linalg.qr(_complex(4, 4))[0]
    w = scale * np.array([-1.0, 0.5j, 0.1 + 1j, -2.0])
    x = (v * w) @ _adjoint(v)
    expected = (v * np.exp(w)) @ _adjoint(v)
    for y in (ac.linalg.expm(x), ac.linalg.expm(np.stack([x, 0 * x]))[0]):
        atol = 1e-13 * max(1, scale) * np.abs(expected).max()
        np.testing.assert_allclose(y.data, expected, rtol=0, atol=atol)
    assert ac.linalg.expm(np.zeros((2, 0, 0))).shape == (2, 0, 0)
    with np.errstate(all="ignore"):
        assert np.isnan(ac.linalg.expm(np.full((2, 2), np.nan)).data).all()


def test_named_tuples_go_through_transforms() -> None:
    la, x = ac.linalg, np.stack([_complex(3, 3, seed=i) for i in range(2)])
    h = x @ _adjoint(x)
    for f, fields in (
        (la.svd, "U S Vh"),
        (la.qr, "Q R"),
        (la.eigh, "eigenvalues eigenvectors"),
        (la.eig, "eigenvalues eigenvectors"),
        (la.slogdet, "sign logabsdet"),
    ):
        expected = f(h)
        for got in (ac.vmap(f)(h), ac.jit(f)(h)):
            assert " ".join(got._fields) == fields and type(got) is type(expected)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_allclose(a.data, b.data, rtol=0, atol=1e-12)


def test_errors_of_the_namespace_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="qr: expected mode"):
        ac.linalg.qr(np.eye(2), mode="raw")
    with pytest.raises(ValueError, match="matrix_norm: expected ord"):
        ac.linalg.norm(np.eye(2), 3)
    for f in (ac.linalg.eig, ac.linalg.eigvals, ac.linalg.eigvalsh, ac.linalg.expm):
        with pytest.raises(ac.ShapeError, match=r"expected shape \(…, n, n\), got \(2, 3\)"):
            f(np.ones((2, 3)))
    assert ac.linalg.trace(np.ones((2, 2), np.int8), dtype=np.int16).dtype == np.int16
    assert ac.linalg.trace(np.ones((2, 2), np.int8)).dtype == np.int64
