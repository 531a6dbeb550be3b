"""Functions of complex numbers, in every library: right ones pass, planted errors are named."""

# ruff: noqa: ARG005 — rules take what their callers give

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core.testing import GradientError, check_grads, check_property, tensors
from tests.checking.corpus import arrays

X, Y = arrays((2, 3), (2, 3), seed=3)
Z = X + 1j * Y


def message_of(f, *args, **options):
    with pytest.raises(GradientError) as raised:
        check_grads(f, *args, **options)
    return str(raised.value)


# Right ones -----------------------------------------------------------------------------------

OURS = {
    "product with itself": (lambda z: z * z, Z),
    "squared size": (lambda z: ac.absolute(z) ** 2, Z),
    "angle": (ac.angle, Z),
    "root": (ac.sqrt, Z),
    "spectrum": (lambda z: ac.fft.fft(z) * ac.conj(z), Z),
    "filter": (lambda x, h: ac.fft.irfft(ac.fft.rfft(x) * h, n=3), X, Z[0, :2]),
    "of real numbers": (ac.fft.rfft, X),
    "one number": (lambda z: ac.sin(z), 0.5 + 0.25j),
    "tree": (lambda tree: {"y": tree["w"] * tree["b"]}, {"w": Z, "b": 2.0}),
    "single precision": (lambda z: z * z, Z.astype(np.complex64)),
}


@pytest.mark.parametrize("name", OURS)
def test_functions_of_tensors(name):
    report = check_grads(*OURS[name])
    for what in ("order 1, rev", "order 1, fwd", "order 2, rev", "order 2, fwd"):
        assert report.checked[what] <= 1


PAIRS = {
    "square": ((np.square, lambda g, z: 2 * g * z), Z),
    "all rules": (
        (
            np.square,
            (lambda g, z: 2 * g * z, lambda ct, g, z: (2 * ct * z, 2 * ct * g)),
            lambda args, ts: 2 * args[0] * ts[0],
        ),
        Z,
    ),
    "squared size": ((lambda z: np.abs(z) ** 2, lambda g, z: 2 * g * z.conj()), Z),
    "gradient": ((lambda z: np.sum(np.abs(z) ** 2), lambda z: 2 * z.conj()), Z),
    "angle": ((np.angle, lambda g, z: -1j * g / z), Z),
    "spectrum": ((np.fft.fft, lambda g, z: np.fft.fft(g)), Z),
    "of real numbers": ((np.fft.fft, lambda g, x: np.fft.fft(g).real), X),
    "real and complex": ((np.multiply, lambda g, x, z: ((g * z).real, g * x)), X, Z),
    "a count": ((lambda z, n: z**n, lambda g, z, n: n * g * z ** (n - 1)), Z, 3),
    "several outputs": (
        (lambda z: (z.real, 2 * z), lambda gs, z: gs[0] + 2 * gs[1]),
        Z,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    assert check_grads(*PAIRS[name]).decided > 10


def test_functions_of_torch():
    torch = pytest.importorskip("torch")
    z = torch.from_numpy(Z)

    class Size(torch.autograd.Function):  # its gradient is ∂f/∂x + i ∂f/∂y
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z.abs() ** 2

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    for f in (lambda z: torch.fft.fft(z) * z.conj(), torch.angle, Size.apply):
        assert check_grads(f, z).checked["order 2, rev"] <= 1
    assert check_grads(torch.fft.rfft, torch.from_numpy(X)).decided

    class Conjugated(Size):
        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0].conj()

    said = message_of(Conjugated.apply, z)
    assert "it is conjugated" in said and "argument 0, imaginary part" in said


def test_functions_of_jax():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    with jax.enable_x64(True):
        z = jnp.asarray(Z)
        for f in (lambda z: jnp.fft.fft(z) * z.conj(), jnp.angle, lambda z: jnp.abs(z) ** 2):
            assert check_grads(f, z).checked["order 2, fwd"] <= 1

        @jax.custom_vjp
        def square(z):
            return z * z

        square.defvjp(lambda z: (z * z, z), lambda z, g: (2 * g * z.conj(),))
        assert "it is conjugated" in message_of(square, z)


# Wrong ones -----------------------------------------------------------------------------------


def of_tensors(f, bwd):
    """A function of tensors with a reverse rule."""
    made = ac.custom_vjp(f)
    made.defvjp(lambda z: (f(z), z), lambda z, g: (bwd(g, z),))
    return made


WRONG = {
    "conjugate missing": (
        (lambda z: np.abs(z) ** 2, lambda g, z: 2 * g * z),
        ("imaginary part is wrong", "it is conjugated"),
    ),
    "conjugate too many": (
        (np.square, lambda g, z: 2 * g * z.conj()),
        ("real part is wrong", "it is conjugated"),
    ),
    "adjoint for transpose": (
        (np.fft.fft, lambda g, z: z.shape[-1] * np.fft.ifft(g)),
        ("real part is wrong", "it is conjugated"),
    ),
    "factor": (
        (np.square, lambda g, z: g * z),
        ("real part is wrong", "a factor is wrong: it is 1/2 times"),
    ),
    "imaginary direction alone": (
        (lambda z: z.real * z.imag, lambda g, z: g * (z.imag - 2j * z.real)),
        ("argument 0, imaginary part is wrong", "it is 2 times"),
    ),
    "of a real argument": (
        (np.fft.fft, lambda g, z: np.fft.fft(g)),
        ("it is complex, its arguments are not",),
    ),
    "tensors, conjugate too many": (
        of_tensors(ac.square, lambda g, z: 2 * g * ac.conj(z)),
        ("real part is wrong", "it is conjugated"),
    ),
    "tensors, real part alone": (
        of_tensors(ac.square, lambda g, z: 2 * g * z + ac.real(g) * ac.imag(z)),
        ("real part is wrong",),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_planted_errors_are_named(name):
    f, says = WRONG[name]
    said = message_of(f, X if name == "of a real argument" else Z, search=False)
    for words in says:
        assert words in said, said


def test_what_is_shown_can_be_typed():
    f = (np.square, lambda g, z: g * z)
    line = message_of(f, Z[0, :2]).splitlines()[-1]
    called = line.removeprefix("  see it again: ").replace("<lambda>", "rule")
    names = {"np": np, "check_grads": check_grads, "square": f[0], "rule": f[1]}
    with pytest.raises(GradientError, match="1/2 times"):
        eval(called, names)


def test_an_error_in_the_second_derivative_is_found():
    rules = (lambda g, z: 2 * g * z, lambda ct, g, z: (2 * ct * z, 2 * ct * np.conj(g)))
    said = message_of((np.square, rules), Z)
    assert "at order 2" in said and "argument 0, real part is wrong" in said


# Drawn arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["autograd_core", "numpy"])
@given(data=st.data(), dtype=st.sampled_from([np.complex64, np.complex128]))
@settings(max_examples=20)
def test_complex_tensors_are_drawn(library, data, dtype):
    z = data.draw(tensors(dtype, domain="0<x<2", library=library))
    x = z.numpy() if library == "autograd_core" else z
    assert x.dtype == dtype
    assert all(((part > 0) & (part < 2)).all() for part in (x.real, x.imag))


@check_property(z=tensors("complex128", domain="0.5<x<2"), examples=5, reference=np.sqrt)
def test_a_property(z):
    return ac.sqrt(z)


@check_property(
    z=tensors("complex128", shapes=[(3,), (2, 4)]),
    examples=5,
    order=2,
    reference=lambda z: np.abs(np.fft.fft(z)) ** 2,
)
def test_a_property_of_spectra(z):
    y = ac.fft.fft(z)
    return ac.real(y * ac.conj(y))  # of |y|² the second derivative at 0 would be that of |y|
