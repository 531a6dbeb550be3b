"""Values, gradients and Hessian products of every operation that torch has too."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest

from tests.oracles.compare import (
    Found,
    directions_for,
    flat,
    ours,
    places_of_floats,
    require_same,
    weights_for,
)
from tests.oracles.rows import Row, identify
from tests.oracles.tables import TABLE

torch = pytest.importorskip("torch", reason="the oracle of these rows")
torch.set_num_threads(1)


def theirs(row: Row, args: list[np.ndarray]) -> Found:
    f = row.theirs
    if not callable(f):
        named = reduce(getattr, (f or row.name).split("."), torch)
        f = lambda _torch, *xs: named(*xs)
    tensors = [torch.tensor(x) for x in args]
    xs = [tensors[i].requires_grad_() for i in places_of_floats(args)]
    outs = flat(f(torch, *tensors))
    values = [y.detach().numpy() for y in outs]
    floats = [y for y in outs if y.is_floating_point()]
    if not floats or not xs:
        return Found(values, [], [])
    loss: Any = sum(
        (torch.from_numpy(w) * (y * y + y)).sum()
        for w, y in zip(weights_for(values), floats, strict=True)
    )
    gradients = _gradients(loss, xs)
    along = [torch.from_numpy(d) for d in directions_for(args)]
    slope: Any = sum((d * g).sum() for d, g in zip(along, gradients, strict=True))
    products = _gradients(slope, xs)
    return Found(values, _numbers(gradients), _numbers(products))


def _gradients(y: Any, xs: list[Any]) -> list[Any]:
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    found = torch.autograd.grad(y, xs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(xs, found, strict=True)]


def _numbers(tensors: list[Any]) -> list[np.ndarray]:
    return [x.detach().resolve_neg().numpy() for x in tensors]


@pytest.mark.parametrize("row", TABLE, ids=identify(TABLE))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_as_torch(row: Row) -> None:
    args = row.arguments()
    with np.errstate(all="ignore"):
        require_same(ours(row.function, args), theirs(row, args))
