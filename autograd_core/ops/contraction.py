"""einsum: sums of products in index notation, compiled to transposes, reshapes and matmuls.

A subscript becomes one row of labels for each operand. Operands are contracted in pairs, in the
order NumPy's planner chooses. A pair is one stacked matrix product: labels of both that stay are
the stack, labels of both that go are summed by the product, the others are its rows and columns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import multiply
from autograd_core.ops.linalg import diagonal
from autograd_core.ops.products import matmul_p
from autograd_core.ops.structural import (
    astype,
    expand_dims,
    reshape,
    sum_axes,
    transpose,
    without,
)
from autograd_core.tensor import Tensor, asarray

__all__ = ["einsum"]

Label = Hashable  # a letter, an integer, or ("...", i) for the i-th axis from the right under "..."
Labels = tuple[Label, ...]
Term = tuple[Tensor, Labels]


def einsum(subscripts: Any, *operands: Any) -> Tensor:
    """The sum of products of the operands over the indices that the result does not have.

    NumPy's notation: `einsum("ij,jk->ik", x, y)`, with `...` for any further axes, which broadcast.
    An index named twice in one operand is its diagonal. Without `->` the result has the indices
    named once, in alphabetical order; with one that leaves `...` out, those axes are summed too. Or
    with lists: `einsum(x, [0, 1], y, [1, 2], [0, 2])`.

    Raises:
        ShapeError: the subscripts do not fit the operands, or lengths of one index differ.

    >>> x, y = ac.asarray([[1.0, 2.0], [3.0, 4.0]]), ac.asarray([1.0, 10.0])
    >>> ac.einsum("ij,j->i", x, y), ac.einsum("ii", x)
    (Tensor([21., 43.], dtype=float64), Tensor(5., dtype=float64))
    >>> ac.grad(lambda x: ac.einsum("i,ij,j->", y, x, y))(x)
    Tensor([[  1.,  10.],
            [ 10., 100.]], dtype=float64)
    """
    if isinstance(subscripts, str):
        inputs, output = _parse(subscripts)
    else:
        inputs, output, operands = _from_lists((subscripts, *operands))
    tensors = [asarray(x) for x in operands]
    if len(inputs) != len(tensors):
        raise ShapeError(f"einsum: subscripts for {len(inputs)} operands, got {len(tensors)}")
    shapes = tuple(x.shape for x in tensors)
    rows, out = _resolve(inputs, output, shapes)
    lengths = _lengths(rows, shapes)

    dtype = np.result_type(*(x.dtype for x in tensors))
    exact = np.dtype(np.int64) if dtype.kind == "b" else dtype  # sums of booleans are counts
    terms = [_simplified(astype(x, exact), r, lengths) for x, r in zip(tensors, rows, strict=True)]
    for places in _order(tuple(r for _, r in terms), out, tuple(x.shape for x, _ in terms)):
        chosen = [terms[i] for i in places]
        terms = [term for i, term in enumerate(terms) if i not in places]
        terms.append(_contract_all(chosen, {*out, *(a for _, r in terms for a in r)}))
    x, row = _sum_out(terms[0], set(out))
    return astype(transpose(x, [row.index(a) for a in out]), dtype)


# Notation -------------------------------------------------------------------------------------

Tokens = tuple[Label, ...]  # labels, with Ellipsis for "..."


@lru_cache(maxsize=1024)
def _parse(subscripts: str) -> tuple[tuple[Tokens, ...], Tokens | None]:
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    inputs = tuple(_tokens(part, subscripts) for part in left.split(","))
    return inputs, _tokens(right, subscripts) if arrow else None


def _tokens(part: str, subscripts: str) -> Tokens:
    before, dots, after = part.partition("...")
    for letter in before + after:
        if not (letter.isascii() and letter.isalpha()):
            raise ShapeError(f"einsum: unexpected {letter!r} in the subscripts {subscripts!r}")
    return (*before, *([Ellipsis] if dots else []), *after)


def _from_lists(given: tuple) -> tuple[tuple[Tokens, ...], Tokens | None, tuple]:
    """Operands and lists of integers, alternating; an odd one at the end is the output's."""
    output = tuple(given[-1]) if len(given) % 2 else None
    pairs = len(given) // 2
    return tuple(tuple(row) for row in given[1 : 2 * pairs : 2]), output, given[: 2 * pairs : 2]


def _resolve(
    inputs: tuple[Tokens, ...], output: Tokens | None, shapes: tuple[tuple[int, ...], ...]
) -> tuple[list[Labels], Labels]:
    """The labels of each operand's axes and of the result's, ellipses spelled out."""
    rows = [_spell_out(tokens, len(s)) for tokens, s in zip(inputs, shapes, strict=True)]
    dots = max([sum(_under_dots(a) for a in row) for row in rows], default=0)
    spelled: Labels = tuple(("...", i) for i in reversed(range(dots)))
    named = Counter(a for tokens in inputs for a in tokens if a is not Ellipsis)
    if output is None:
        once = sorted((a for a, count in named.items() if count == 1), key=_rank)
        return rows, (*spelled, *once)
    out: Labels = tuple(b for a in output for b in (spelled if a is Ellipsis else (a,)))
    unknown = [a for a in out if not _under_dots(a) and a not in named]
    if unknown or len(set(out)) != len(out):
        raise ShapeError(f"einsum: the output {output} names {unknown or 'an index twice'}")
    return rows, out


def _spell_out(tokens: Tokens, ndim: int) -> Labels:
    missing = ndim - sum(a is not Ellipsis for a in tokens)
    if missing < 0 or (missing and Ellipsis not in tokens):
        raise ShapeError(f"einsum: {len(tokens)} indices for an operand of {ndim} axes")
    dots = tuple(("...", i) for i in reversed(range(missing)))
    return tuple(b for a in tokens for b in (dots if a is Ellipsis else (a,)))


def _rank(label: Label) -> Any:
    """The order of letters, or of the numbers of the form with lists."""
    return label


def _under_dots(label: Label) -> bool:
    return isinstance(label, tuple)


def _lengths(rows: list[Labels], shapes: tuple[tuple[int, ...], ...]) -> dict[Label, int]:
    """The length of every index; axes of length 1 broadcast, as in NumPy."""
    lengths: dict[Label, int] = {}
    for row, shape in zip(rows, shapes, strict=True):
        for label, n in zip(row, shape, strict=True):
            known = lengths.get(label, 1)
            if n not in (1, known) and known != 1:
                raise ShapeError(f"einsum: index {label!r} has lengths {known} and {n}")
            lengths[label] = n if known == 1 else known
    return lengths


# Contraction ----------------------------------------------------------------------------------


def _simplified(x: Tensor, row: Labels, lengths: dict[Label, int]) -> Term:
    """An operand with each index once, and without the axes that it only broadcasts along."""
    for label in [a for a, count in Counter(row).items() if count > 1]:
        while row.count(label) > 1:
            i = row.index(label)
            j = row.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(f"einsum: no diagonal {label!r}{label!r} in shape {x.shape}")
            x = diagonal(x, 0, i, j)
            row = (*row[:i], *row[i + 1 : j], *row[j + 1 :], label)
    idle = tuple(i for i, a in enumerate(row) if x.shape[i] == 1 and lengths[a] != 1)
    if idle:
        x, row = reshape(x, without(x.shape, idle)), _without(row, idle)
    return x, row


def _without(row: Labels, places: Sequence[int]) -> Labels:
    return tuple(a for i, a in enumerate(row) if i not in places)


@lru_cache(maxsize=1024)
def _order(
    rows: tuple[Labels, ...], out: Labels, shapes: tuple[tuple[int, ...], ...]
) -> list[tuple[int, ...]]:
    """Which terms to contract, step by step; the result of each step goes to the end."""
    if len(rows) <= 2:
        return [tuple(range(len(rows)))]
    number = {label: i for i, label in enumerate(dict.fromkeys(a for row in rows for a in row))}
    given: list[Any] = []
    for row, shape in zip(rows, shapes, strict=True):
        given += [np.broadcast_to(np.float64(0), shape), [number[a] for a in row]]
    given.append([number[a] for a in out])
    return [tuple(step) for step in np.einsum_path(*given, optimize="greedy")[0][1:]]


def _contract_all(terms: list[Term], needed: set[Label]) -> Term:
    """The product of some terms, summed over the indices that are not needed any more."""
    while len(terms) > 1:
        first, second, *terms = terms
        later = needed.union(*(row for _, row in terms))
        terms = [_contract(first, second, later), *terms]
    return _sum_out(terms[0], needed)


def _sum_out(term: Term, needed: set[Label]) -> Term:
    x, row = term
    gone = tuple(i for i, a in enumerate(row) if a not in needed)
    return sum_axes(x, gone), _without(row, gone)


def _contract(left: Term, right: Term, needed: set[Label]) -> Term:
    """The product of two terms, summed over the indices that are not needed."""
    (x, a), (y, b) = _sum_out(left, needed | set(right[1])), _sum_out(right, needed | set(left[1]))
    both = [label for label in a if label in b]
    stacked = [label for label in both if label in needed]
    summed = [label for label in both if label not in needed]
    rows, columns = [i for i in a if i not in b], [i for i in b if i not in a]
    if not summed:
        return _multiply((x, a), (y, b), (*stacked, *rows, *columns))
    x = transpose(x, [a.index(i) for i in (*stacked, *rows, *summed)])
    y = transpose(y, [b.index(i) for i in (*stacked, *summed, *columns)])
    s, r = len(stacked), len(rows)
    stack, rows_shape = x.shape[:s], x.shape[s : s + r]
    columns_shape = y.shape[s + len(summed) :]
    k = math.prod(x.shape[s + r :])
    # One leading axis for all indices of the stack: what matmul's kernel is fastest with.
    lead = (math.prod(stack),) if stack else ()
    product = matmul_p(
        reshape(x, (*lead, math.prod(rows_shape), k)),
        reshape(y, (*lead, k, math.prod(columns_shape))),
    )
    return reshape(product, (*stack, *rows_shape, *columns_shape)), (*stacked, *rows, *columns)


def _multiply(left: Term, right: Term, out: Labels) -> Term:
    """The entrywise product of two terms, where nothing is summed."""
    aligned = []
    for x, row in (left, right):
        kept = [label for label in out if label in row]
        absent = tuple(i for i, label in enumerate(out) if label not in row)
        aligned.append(expand_dims(transpose(x, [row.index(i) for i in kept]), absent))
    return multiply(*aligned), out
