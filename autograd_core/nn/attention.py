"""Attention."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from autograd_core.errors import DtypeError
from autograd_core.nn.checks import promoted, shape_error
from autograd_core.nn.init import glorot_uniform, zeros
from autograd_core.nn.linear import linear
from autograd_core.ops.arithmetic import maximum, where
from autograd_core.ops.normalize import softmax
from autograd_core.ops.products import matmul
from autograd_core.ops.structural import astype, matrix_transpose, reshape, swapaxes
from autograd_core.random import split
from autograd_core.tensor import Tensor, asarray


def dot_product_attention(
    query: Any, key: Any, value: Any, mask: Any = None, causal: bool = False, scale: Any = None
) -> Tensor:
    """softmax(query keyᵀ · scale) value. Vaswani et al., "Attention is all you need" (2017).

    Args:
        query: (…, L, D).
        key: (…, S, D).
        value: (…, S, E).
        mask: broadcasts to (…, L, S). Booleans say which positions may be attended to; numbers
            are added to the scores before the softmax. A query that may attend to none attends to
            all alike.
        causal: let query i attend to positions up to i only.
        scale: 1 / √D by default.

    Returns:
        (…, L, E).

    >>> x = ac.asarray([[0.0], [0.0]])
    >>> value = ac.asarray([[1.0], [3.0]])
    >>> ac.nn.dot_product_attention(x, x, value)
    Tensor([[2.],
            [2.]], dtype=float64)
    >>> ac.nn.dot_product_attention(x, x, value, causal=True)
    Tensor([[1.],
            [2.]], dtype=float64)
    """
    query, key, value = promoted(query, key, value)
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise shape_error(
            "dot_product_attention",
            "expected query (…, L, D), key (…, S, D), value (…, S, E)",
            query=query,
            key=key,
            value=value,
        )
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matmul(query * scale, matrix_transpose(key))
    # The least finite number, not -inf: a row of -inf would give NaN.
    least = float(np.finfo(scores.dtype).min)
    if mask is not None:
        mask = asarray(mask)
        if mask.dtype.kind not in "bf":
            raise DtypeError(
                f"dot_product_attention: a mask of dtype {mask.dtype}; expected booleans (where to "
                "attend) or floating-point numbers (added to the scores)"
            )
        added = mask.dtype.kind == "f"
        masked = maximum(scores + astype(mask, scores.dtype), least) if added else None
        scores = where(mask, scores, least) if masked is None else masked
    if causal:
        past = np.arange(scores.shape[-2])[:, None] >= np.arange(scores.shape[-1])
        scores = where(past, scores, least)
    return matmul(softmax(scores), value)


class AttentionWeights(NamedTuple):
    """The weights (E, E) and biases (E,) of `multi_head_attention`, of width E."""

    query: Any
    key: Any
    value: Any
    out: Any
    query_bias: Any
    key_bias: Any
    value_bias: Any
    out_bias: Any


def attention_weights(key: Any, width: int, dtype: Any = np.float32) -> AttentionWeights:
    """Initial weights of `multi_head_attention`: Glorot's uniform distribution, and biases 0.

    >>> weights = ac.nn.attention_weights(ac.random.key(0), width=4)
    >>> weights.query.shape, weights.query_bias
    ((4, 4), Tensor([0., 0., 0., 0.], dtype=float32))
    """
    weights = [glorot_uniform(k, (width, width), dtype) for k in split(key, 4)]
    biases = [zeros(k, (width,), dtype) for k in split(key, 4)]
    return AttentionWeights(*weights, *biases)


def multi_head_attention(
    x: Any,
    context: Any,
    weights: AttentionWeights,
    heads: int,
    mask: Any = None,
    causal: bool = False,
) -> Tensor:
    """Attention in `heads` subspaces of width E / heads each, joined by a linear map.

    Args:
        x: what asks (…, L, E).
        context: what is attended to (…, S, E); x itself for self-attention.
        weights: see `attention_weights`.
        heads: a divisor of E.
        mask, causal: see `dot_product_attention`; a mask broadcasts to (…, heads, L, S).

    Returns:
        (…, L, E).

    Raises:
        ShapeError: the shapes do not fit, or `heads` does not divide the width.

    >>> key, weights_key = ac.random.split(ac.random.key(0))
    >>> x = ac.random.normal(key, (7, 4))
    >>> weights = ac.nn.attention_weights(weights_key, width=4)
    >>> ac.nn.multi_head_attention(x, x, weights, heads=2).shape
    (7, 4)
    """
    x, context = promoted(x, context)
    if heads < 1 or x.shape[-1] % heads:
        raise shape_error("multi_head_attention", f"{heads} heads do not divide the width", x=x)
    query = _split_heads(linear(x, weights.query, weights.query_bias), heads)
    key = _split_heads(linear(context, weights.key, weights.key_bias), heads)
    value = _split_heads(linear(context, weights.value, weights.value_bias), heads)
    attended = swapaxes(dot_product_attention(query, key, value, mask, causal), -2, -3)
    joined = reshape(attended, x.shape)
    return linear(joined, weights.out, weights.out_bias)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """(…, L, E) to (…, heads, L, E / heads)."""
    x = reshape(x, (*x.shape[:-1], heads, x.shape[-1] // heads))
    return swapaxes(x, -2, -3)
