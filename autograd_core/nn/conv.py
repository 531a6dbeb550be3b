"""Convolutions and their transposes, with PyTorch's layout and conventions.

Images are (N, C, H, W) and filters (O, C / groups, kh, kw). Inside they are channels-last: the two
layouts meet in transposed views, so a network of such layers moves no data between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd_core.errors import ShapeError
from autograd_core.nn.checks import as_pair, check_rank, promoted, shape_error
from autograd_core.ops.complex import imag, real, to_complex
from autograd_core.ops.conv import conv_input_p, conv_p, count_windows
from autograd_core.ops.structural import expand_dims, reshape, squeeze, transpose
from autograd_core.tensor import Tensor, asarray

Pair = tuple[int, int]
Padding = int | Sequence[int] | str


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters.

    Args:
        x: images (N, C, H, W).
        w: filters (O, C / groups, kh, kw).
        b: one bias for each filter (O,).
        stride: steps between neighbouring windows: one number, or (vertical, horizontal).
        padding: rows and columns of zeros on each side: likewise, or "valid" for none, or "same"
            for as many that the result has the size of x (then stride has to be 1; where the number
            is odd, one more goes to the bottom and the right).
        dilation: steps between neighbouring elements of a window.
        groups: how many groups of channels and filters there are, which do not mix.

    Returns:
        (N, O, Ho, Wo), where Ho = ⌊(H + padding - dilation · (kh - 1) - 1) / stride⌋ + 1 with the
        padding of both sides, and so Wo.

    Raises:
        ShapeError: the shapes do not fit.

    >>> x, w = ac.ones((1, 1, 3, 3)), ac.ones((1, 1, 2, 2))
    >>> ac.nn.conv2d(x, w), ac.nn.conv2d(x, w, padding=1).shape
    (Tensor([[[[4., 4.],
              [4., 4.]]]], dtype=float64), (1, 1, 4, 4))
    >>> ac.grad(lambda w: ac.sum(ac.nn.conv2d(x, w)))(w)
    Tensor([[[[4., 4.],
              [4., 4.]]]], dtype=float64)
    """
    return _conv("conv2d", 2, x, w, b, stride, padding, dilation, groups)


def conv1d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate sequences with filters: `conv2d` along one axis.

    Args:
        x: sequences (N, C, L).
        w: filters (O, C / groups, k).
        b: one bias for each filter (O,).
        stride, padding, dilation, groups: numbers; see `conv2d`.

    Returns:
        (N, O, Lo), with Lo as Ho there.

    Raises:
        ShapeError: the shapes do not fit.

    >>> x, w = ac.asarray([[[1.0, 2.0, 4.0, 8.0]]]), ac.asarray([[[-1.0, 1.0]]])
    >>> ac.nn.conv1d(x, w), ac.nn.conv1d(x, w, stride=2)
    (Tensor([[[1., 2., 4.]]], dtype=float64), Tensor([[[1., 4.]]], dtype=float64))
    """
    return _conv("conv1d", 1, x, w, b, stride, padding, dilation, groups)


def _conv(name: str, rank: int, x: Any, w: Any, b: Any, *placing: Any) -> Tensor:
    stride, padding, dilation, groups = placing
    if _any_complex(x, w):
        out = _by_parts(lambda x, w: _conv(name, rank, x, w, None, *placing), x, w)
        _check_bias(name, b, out.shape[1])
        return _with_bias(out, b)
    x, w = promoted(x, w)
    check_rank(name, rank + 2, x=x, w=w)
    _check_channels(name, x, w, groups, w.shape[1] * groups)
    _check_bias(name, b, w.shape[0])
    images, filters = _as_2d(x, rank), _as_2d(w, rank)
    window = filters.shape[2:]
    geometry = _geometry(name, window, stride, padding, dilation, rank)
    if min(count_windows(images.shape[2:], window, **geometry)) < 1:
        raise shape_error(name, "the window is larger than the padded image", x=x, w=w)
    out = conv_p(_split_images(images, groups), _split_filters(filters, groups), **geometry)
    return _with_bias(_join_images(out, rank), b)


def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The transpose (not the inverse) of `conv2d` in its images: it spreads each pixel by a filter.

    Args:
        x: images (N, C, H, W).
        w: filters (C, O / groups, kh, kw), as of the `conv2d` from O to C channels.
        b: one bias for each output channel (O,).
        stride, padding, dilation, groups: those of that `conv2d`.
        output_padding: rows and columns more on the bottom and the right of the result, less than
            the stride; several sizes would have given H and W.

    Returns:
        (N, O, Ho, Wo), where Ho = (H - 1) · stride - 2 · padding + dilation · (kh - 1) +
        output_padding + 1, and so Wo.

    Raises:
        ShapeError: the shapes do not fit.

    >>> x, w = ac.ones((1, 1, 2, 2)), ac.ones((1, 1, 2, 2))
    >>> ac.nn.conv_transpose2d(x, w)
    Tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]], dtype=float64)
    """
    return _conv_transpose(
        "conv_transpose2d", 2, x, w, b, stride, padding, output_padding, dilation, groups
    )


def conv_transpose1d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    groups: int = 1,
    dilation: int = 1,
) -> Tensor:
    """The transpose of `conv1d`: it spreads each entry of sequences by a filter.

    Args:
        x: sequences (N, C, L).
        w: filters (C, O / groups, k), as of the `conv1d` from O to C channels.
        b: one bias for each output channel (O,).
        stride, padding, output_padding, groups, dilation: numbers; see `conv_transpose2d`.

    Returns:
        (N, O, Lo), with Lo as Ho there.

    Raises:
        ShapeError: the shapes do not fit.

    >>> x, w = ac.asarray([[[1.0, 2.0]]]), ac.asarray([[[1.0, 10.0]]])
    >>> ac.nn.conv_transpose1d(x, w), ac.nn.conv_transpose1d(x, w, stride=2)
    (Tensor([[[ 1., 12., 20.]]], dtype=float64), Tensor([[[ 1., 10.,  2., 20.]]], dtype=float64))
    """
    return _conv_transpose(
        "conv_transpose1d", 1, x, w, b, stride, padding, output_padding, dilation, groups
    )


def _conv_transpose(name: str, rank: int, x: Any, w: Any, b: Any, *placing: Any) -> Tensor:
    stride, padding, output_padding, dilation, groups = placing
    if _any_complex(x, w):
        out = _by_parts(lambda x, w: _conv_transpose(name, rank, x, w, None, *placing), x, w)
        _check_bias(name, b, out.shape[1])
        return _with_bias(out, b)
    x, w = promoted(x, w)
    check_rank(name, rank + 2, x=x, w=w)
    _check_channels(name, x, w, groups, w.shape[0])
    _check_bias(name, b, w.shape[1] * groups)
    images, filters = _as_2d(x, rank), _as_2d(w, rank)
    window = filters.shape[2:]
    geometry = _geometry(name, window, stride, padding, dilation, rank)
    extra = as_pair(name, "output_padding", output_padding, rank)
    steps = zip(geometry["stride"], geometry["dilation"], strict=True)
    if any(e >= max(pair) for e, pair in zip(extra, steps, strict=True) if e):
        raise ShapeError(
            f"{name}: output_padding {output_padding} has to be smaller than the stride"
        )
    size = _transposed_size(images.shape[2:], window, extra, **geometry)
    if min(size) < 1:
        raise shape_error(name, "the padding leaves nothing of the result", x=x, w=w)
    images, filters = _split_images(images, groups), _split_filters(filters, groups)
    out = conv_input_p(images, filters, shape=size, **geometry)
    return _with_bias(_join_images(out, rank), b)


def _transposed_size(
    size: Any, window: Any, extra: Pair, stride: Pair, padding: Any, dilation: Pair
) -> Pair:
    """The size of images on which windows are laid out `size` times, with `extra` to spare."""
    rows, columns = (
        (size[i] - 1) * stride[i] - sum(padding[i]) + dilation[i] * (window[i] - 1) + extra[i] + 1
        for i in range(2)
    )
    return rows, columns


# Complex numbers --------------------------------------------------------------------------------


def _any_complex(*arrays: Any) -> bool:
    return any(asarray(x).dtype.kind == "c" for x in arrays)


def _by_parts(convolved: Callable[[Tensor, Tensor], Tensor], x: Any, w: Any) -> Tensor:
    """A convolution of complex numbers, by four of their parts."""
    a, b, c, d = real(x), imag(x), real(w), imag(w)
    return to_complex(convolved(a, c) - convolved(b, d), convolved(a, d) + convolved(b, c))


# Layouts --------------------------------------------------------------------------------------


def _as_2d(x: Tensor, rank: int) -> Tensor:
    """Sequences (N, C, L) as images of one row."""
    return expand_dims(x, 2) if rank == 1 else x


def _split_images(x: Tensor, groups: int) -> Tensor:
    """(N, G C, H, W) to (G, N, H, W, C)."""
    n, channels, height, width = x.shape
    x = reshape(x, (n, groups, channels // groups, height, width))
    return transpose(x, (1, 0, 3, 4, 2))


def _split_filters(w: Tensor, groups: int) -> Tensor:
    """(G O, C, kh, kw) to (G, kh, kw, C, O)."""
    filters, *rest = w.shape
    return transpose(reshape(w, (groups, filters // groups, *rest)), (0, 3, 4, 2, 1))


def _join_images(x: Tensor, rank: int) -> Tensor:
    """(G, N, H, W, O) to (N, G O, H, W), or (N, G O, W) for sequences."""
    groups, n, height, width, filters = x.shape
    x = reshape(transpose(x, (1, 0, 4, 2, 3)), (n, groups * filters, height, width))
    return squeeze(x, 2) if rank == 1 else x


def _with_bias(x: Tensor, b: Any) -> Tensor:
    return x if b is None else x + reshape(b, (-1, *[1] * (x.ndim - 2)))


# Checks ---------------------------------------------------------------------------------------


def _geometry(
    name: str, window: Any, stride: Any, padding: Padding, dilation: Any, rank: int
) -> dict[str, Any]:
    """How windows lie on the images, as the primitives take it."""
    stride = as_pair(name, "stride", stride, rank)
    dilation = as_pair(name, "dilation", dilation, rank)
    if padding == "same":
        if max(stride) > 1:
            raise ShapeError(f'{name}: padding="same" needs stride 1, got {stride}')
        totals = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        sides = tuple((total // 2, total - total // 2) for total in totals)
    elif isinstance(padding, str) and padding != "valid":
        raise ValueError(f'{name}: expected padding "same" or "valid" or numbers, got {padding!r}')
    else:
        pair = as_pair(name, "padding", 0 if isinstance(padding, str) else padding, rank)
        sides = tuple((n, n) for n in pair)
    return {"stride": stride, "padding": sides, "dilation": dilation}


def _check_channels(name: str, x: Tensor, w: Tensor, groups: int, expected: int) -> None:
    if groups < 1 or w.shape[0] % groups:
        raise shape_error(name, f"axis 0 of w does not divide into {groups} groups", x=x, w=w)
    if x.shape[1] != expected:
        of = f" in {groups} groups" if groups > 1 else ""
        problem = f"x has {x.shape[1]} channels but w expects {expected}{of}"
        raise shape_error(name, problem, x=x, w=w)


def _check_bias(name: str, b: Any, filters: int) -> None:
    if b is not None and tuple(b.shape) != (filters,):
        raise ShapeError(f"{name}: expected b of shape ({filters},), got {tuple(b.shape)}")
