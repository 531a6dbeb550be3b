"""The examples of docs/interoperability.md that need PyTorch: gradients that cross the border."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_core as ac

torch = pytest.importorskip("torch", reason="the other side of the border")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "interoperability.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The names that the page's examples define."""
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for number, text in enumerate(blocks):
        exec(compile(text, f"{PAGE.name} block {number}", "exec"), names)
    return names


def both(x: Any, y: Any, library: Any) -> Any:
    return library.exp(x) * library.sin(x * y) + y


A, B = np.array([0.3, -0.7, 1.1]), np.array([0.5, 1.5, -0.4])


def test_the_values_on_the_page(page: dict[str, Any]) -> None:
    x = page["x"]
    u = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.logsumexp(u * 2 * u, -1).sum(), u, create_graph=True)
    gradient.pow(2).sum().backward()
    assert torch.allclose(x.grad, u.grad, rtol=1e-12)
    at = np.array([0.5, 1.0])
    h = 1e-6
    f = lambda x: ac.sum(page["theirs"](x, 2 * x) ** 2).item()
    steps = [(f(at + h * e) - f(at - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(page["slope"](at).numpy(), steps, rtol=1e-8)


def test_torch_here_has_derivatives_of_any_order(page: dict[str, Any]) -> None:
    theirs = page["from_torch"](lambda x, y: both(x, y, torch))
    ours = lambda x, y: both(x, y, ac)

    def orders(f: Any) -> list[Any]:
        first = ac.grad(lambda x, y: ac.sum(f(x, y) ** 2), (0, 1))
        second = ac.grad(lambda x, y: sum(ac.sum(g * g) for g in first(x, y)), (0, 1))
        third = ac.grad(lambda x, y: sum(ac.sum(g * g) for g in second(x, y)), (0, 1))
        return [f(A, B), *first(A, B), *second(A, B), *third(A, B)]

    for got, expected in zip(orders(theirs), orders(ours), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-10)


def test_torch_here_with_several_results_and_none_that_counts(page: dict[str, Any]) -> None:
    f = page["from_torch"](lambda x, y: (x * x, 3 * y))
    loss = lambda x, y: ac.sum(f(x, y)[0])
    gx, gy = ac.grad(loss, (0, 1))(A, B)
    np.testing.assert_allclose(gx.numpy(), 2 * A)
    assert gy.tolist() == [0, 0, 0]
    assert ac.grad(lambda x: ac.sum(ac.grad(loss)(x, B)))(A).tolist() == [2, 2, 2]


def test_torch_here_shares_memory(page: dict[str, Any]) -> None:
    seen = []

    def look(x: Any) -> Any:
        seen.append(x.data_ptr())
        return 2 * x

    x = ac.asarray(A)
    page["from_torch"](look)(x)
    assert seen == [x.data.__array_interface__["data"][0]]


def test_torch_here_has_no_values_to_give_in_other_transforms(page: dict[str, Any]) -> None:
    f = page["from_torch"](lambda x: torch.sin(x))
    for transform in (ac.vmap, ac.jit, ac.jacrev):
        with pytest.raises(ac.ConcreteValueError, match="custom_vjp"):
            transform(f)(A)


def test_ours_in_torch(page: dict[str, Any]) -> None:
    ours = page["to_torch"](lambda x, y: both(x, y, ac))
    args = [torch.tensor(v, requires_grad=True) for v in (A, B)]
    assert torch.autograd.gradcheck(ours, args)
    assert torch.autograd.gradgradcheck(ours, args)


def test_ours_in_torch_with_several_results(page: dict[str, Any]) -> None:
    ours = page["to_torch"](lambda x, y: (ac.sum(x * y), ac.exp(x)))
    args = [torch.tensor(v, requires_grad=True) for v in (A, B)]
    assert torch.autograd.gradcheck(ours, args)
    assert torch.autograd.gradgradcheck(ours, args)


def test_gradients_in_torch_do_not_share_memory(page: dict[str, Any]) -> None:
    """Both cotangents of a sum are one tensor here; PyTorch adds to gradients in place."""
    ours = page["to_torch"](ac.add)
    x, y = (torch.tensor(v, requires_grad=True) for v in (A, B))
    for _ in range(2):
        ours(x, y).sum().backward()
        (3 * x).sum().backward()
    assert x.grad.tolist() == [8, 8, 8] and y.grad.tolist() == [2, 2, 2]
