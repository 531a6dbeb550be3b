"""Fourier transforms: NumPy's values at the edges, errors, dtypes, and what physics says."""

import itertools

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import fft
from autograd_core.testing import check_grads

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(3, 5, 4))
COMPLEX = REAL + 1j * RNG.normal(size=REAL.shape)
OF_REAL = ("rfft", "ihfft", "rfftn", "rfft2")
ALONG_ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
ALONG_SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")


def arguments(name):
    return [REAL] if name in OF_REAL else [REAL, COMPLEX]


def as_numpy(name, x, **options):
    """Values, dtypes and shapes of NumPy's function."""
    got, expected = getattr(fft, name)(x, **options), getattr(np.fft, name)(x, **options)
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    eps = np.finfo(expected.dtype).eps
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=64 * eps)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ALONG_ONE)
def test_one_axis_as_numpy(name, norm):
    for x, n, axis in itertools.product(arguments(name), [None, 1, 2, 3, 6, 9], [-1, 0, 1]):
        as_numpy(name, x, n=n, axis=axis, norm=norm)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ALONG_SEVERAL)
def test_several_axes_as_numpy(name, norm):
    for x in arguments(name):
        as_numpy(name, x, norm=norm)
        for axes, s in [((0, 1), (2, 8)), ((2, 0), (1, 4)), ((1, 2), (-1, 3))]:
            as_numpy(name, x, axes=axes, norm=norm)
            as_numpy(name, x, s=s, axes=axes, norm=norm)


def test_lengths_alone_are_of_the_last_axes():
    x = np.ones((2, 3, 4))
    for name in ("fftn", "ifftn", "rfftn", "irfftn"):
        got = getattr(fft, name)(x, s=(2, 5))
        expected = getattr(np.fft, name)(x, s=(2, 5), axes=(-2, -1))
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("n", range(1, 8))
def test_every_length_as_numpy(n):
    for name in ALONG_ONE:
        for x in arguments(name):
            as_numpy(name, x[0, 0, :1] if n == 1 else np.resize(x, n), n=n)
    for name in ("fftshift", "ifftshift"):
        as_numpy(name, np.arange(float(n)))
    as_numpy("fftfreq", n, d=0.25)
    as_numpy("rfftfreq", n, d=0.25)


def test_single_precision_stays():
    for name in (*ALONG_ONE, *ALONG_SEVERAL):
        for x in arguments(name):
            single = x.astype(np.complex64 if x.dtype.kind == "c" else np.float32)
            as_numpy(name, single)
            total = lambda x, name=name: ac.sum(ac.absolute(getattr(fft, name)(x)))
            assert ac.grad(total)(single).dtype == single.dtype


def test_dtypes():
    for dtype in (np.int32, np.uint8, bool):
        x = np.ones(4, dtype)
        assert fft.fft(x).dtype == fft.rfft(x).dtype == np.complex128
        assert fft.irfft(x).dtype == np.float64
    assert fft.fftfreq(4, dtype=np.float32).dtype == np.float32
    assert fft.rfftfreq(4).dtype == np.float64
    for name in OF_REAL:
        with pytest.raises(ac.DtypeError, match=rf"{name}: expected real numbers, got complex128"):
            getattr(fft, name)(COMPLEX)
    with pytest.raises(ac.DtypeError, match=r"fftfreq: .* got complex64"):
        fft.fftfreq(3, dtype=np.complex64)


def test_arrays_without_entries():
    for name in ALONG_ONE:
        as_numpy(name, np.ones((0, 4)))
        f = lambda x, name=name: ac.sum(ac.real(getattr(fft, name)(x)))
        assert ac.grad(f)(np.ones((0, 4))).shape == (0, 4)
    as_numpy("fftn", np.ones((0, 4)), axes=(1,))
    assert fft.fftn(2.0, axes=()).dtype == np.complex128  # for NumPy these stay real


ERRORS = [
    (lambda: fft.fft(REAL, n=0), ac.ShapeError, "fft: expected n of at least 1, got 0"),
    (lambda: fft.irfft(REAL, n=-2), ac.ShapeError, "irfft: expected n of at least 1, got -2"),
    (lambda: fft.irfft(np.ones(1)), ac.ShapeError, "irfft: expected n of at least 1, got 0"),
    (lambda: fft.fft(np.ones((2, 0))), ac.ShapeError, "fft: expected n of at least 1, got 0"),
    (lambda: fft.fft(2.0), ac.ShapeError, "fft: axis -1 is out of range"),
    (lambda: fft.hfft(REAL, axis=3), ac.ShapeError, "hfft: axis 3 is out of range"),
    (lambda: fft.rfft(REAL, norm="both"), ValueError, "rfft: expected norm backward or"),
    (lambda: fft.hfft(REAL, norm="both"), ValueError, "hfft: expected norm backward or"),
    (lambda: fft.fftn(REAL, s=(2, 2, 2, 2)), ac.ShapeError, "fftn: axis -4 is out of range"),
    (lambda: fft.fft2(REAL, s=(2,)), ac.ShapeError, r"fft2: expected as many lengths in s=\(2,\)"),
    (lambda: fft.ifftn(REAL, axes=(1, -2)), ac.ShapeError, "ifftn: repeated axis"),
    (lambda: fft.rfftn(REAL, s=(0, 2), axes=(0, 1)), ac.ShapeError, "rfftn: expected lengths s of"),
    (lambda: fft.rfftn(REAL, axes=()), ac.ShapeError, "rfftn: expected at least one axis"),
    (lambda: fft.irfftn(REAL, axes=()), ac.ShapeError, "irfftn: expected at least one axis"),
    (lambda: fft.irfft2(np.ones((3, 1))), ac.ShapeError, "irfft2: expected the last length of"),
    (lambda: fft.fftfreq(0), ac.ShapeError, "fftfreq: expected n of at least 1, got 0"),
    (lambda: fft.fftshift(REAL, axes=(0, 0)), ac.ShapeError, "fftshift: repeated axis"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_name_the_operation_and_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


# What must hold --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 7])
def test_energy_is_the_same_in_time_and_frequency(n):
    """Parseval; so the gradient of the spectrum's energy is that of the signal's, 2 n x."""
    x = RNG.normal(size=n)
    energy = lambda x: ac.sum(ac.absolute(fft.fft(x)) ** 2)
    value, gradient = ac.value_and_grad(energy)(x)
    np.testing.assert_allclose(value.numpy(), n * np.sum(x**2))
    np.testing.assert_allclose(gradient.numpy(), 2 * n * x, atol=1e-12)
    unitary = lambda z: ac.sum(ac.absolute(fft.ifft(z, norm="ortho")) ** 2)
    z = x + 1j * RNG.normal(size=n)
    np.testing.assert_allclose(ac.grad(unitary)(z).numpy(), 2 * z.conj(), atol=1e-12)


def test_the_derivative_by_the_spectrum_is_exact_for_waves():
    """d/dt multiplies frequency k by 2πik, and is a linear map whose transpose is its negative."""
    n = 16
    t = np.arange(n) / n
    slope = lambda x: fft.irfft(2j * np.pi * fft.rfftfreq(n, d=1 / n) * fft.rfft(x), n=n)
    wave = np.sin(2 * np.pi * 3 * t)
    np.testing.assert_allclose(slope(wave).numpy(), 6 * np.pi * np.cos(6 * np.pi * t), atol=1e-11)
    matrix = ac.jacrev(slope)(wave).numpy()
    np.testing.assert_allclose(matrix, -matrix.T, atol=1e-11)
    np.testing.assert_allclose(matrix @ wave, slope(wave).numpy(), atol=1e-11)


def filtered(x, response):
    """A signal, filtered in frequency, and squared."""
    return fft.irfft(fft.rfft(x) * response, n=x.shape[-1]) ** 2


def test_a_spectral_filter_by_differences():
    check_grads(filtered, RNG.normal(size=(2, 7)), RNG.normal(size=4), order=2)
    check_grads(lambda x: ac.absolute(fft.fft2(x, s=(4, 3))) ** 2, RNG.normal(size=(3, 4)))
    check_grads(lambda x: ac.angle(fft.hfft(x, n=5) + 1j), RNG.normal(size=3))


def test_jit_and_vmap_of_gradients():
    z, response = COMPLEX, RNG.normal(size=4) + 1j * RNG.normal(size=4)
    t = np.conj(z) + 1

    def loss(z):
        back = fft.ifft(fft.fft(z) * response)
        return ac.sum(ac.absolute(back) ** 2 * ac.imag(fft.fftshift(back)))

    gradient = ac.grad(loss)
    product = lambda z: ac.jvp(gradient, (z,), (t,))[1]
    mapped = ac.vmap(ac.vmap(gradient))
    for f in (gradient, product, mapped):
        expected = f(z).numpy()
        assert ac.jit(f).explain(z).steps  # a program, not operations one by one
        for got in (ac.jit(f)(z), f(ac.asarray(z))):
            assert got.dtype == np.complex128
            np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-13 * np.abs(z).max())
    np.testing.assert_allclose(ac.grad(ac.jit(loss))(z).numpy(), gradient(z).numpy(), atol=1e-13)
    rows = np.stack([np.stack([gradient(x).numpy() for x in each]) for each in z])
    np.testing.assert_allclose(mapped(z).numpy(), rows, atol=1e-13)
