"""How windows lie on an image: the arithmetic that every convolution and pooling kernel shares."""

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

NO_PADDING: Padding = ((0, 0), (0, 0))


def output_shape(
    shape: Pair,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
) -> Pair:
    """Count the windows that fit: ``(H, W)`` of the image → ``(Ho, Wo)`` of the result.

    ``padding`` is ``((top, bottom), (left, right))``. A window larger than the padded image fits
    no times: the count is 0 then, not an error.

    Raises:
        ValueError: a window, stride or dilation below 1, or a negative padding.
    """
    if min(*window, *stride, *dilation) < 1:
        raise ValueError(
            f"window {window}, stride {stride} and dilation {dilation} have to be at least 1"
        )
    if min(*padding[0], *padding[1]) < 0:
        raise ValueError(f"padding has to be non-negative, got {padding}")
    return (
        _count(shape[0], window[0], stride[0], padding[0], dilation[0]),
        _count(shape[1], window[1], stride[1], padding[1], dilation[1]),
    )


def pooling_shape(shape: Pair, window: Pair, stride: Pair, padding: Padding) -> Pair:
    """Like :func:`output_shape`, for windows that each have to hold an element of the image.

    Raises:
        ValueError: padding as large as the window, or an empty image, would leave a window that
            holds nothing but padding.
    """
    output = output_shape(shape, window, stride, padding)
    if max(padding[0]) >= window[0] or max(padding[1]) >= window[1]:
        raise ValueError(f"padding {padding} has to be smaller than the window {window}")
    if 0 in shape and 0 not in output:
        raise ValueError(f"an image of shape {shape} has no element to choose")
    return output


def _count(length: int, window: int, stride: int, padding: Pair, dilation: int) -> int:
    room = length + sum(padding) - (window - 1) * dilation - 1
    return 0 if room < 0 else room // stride + 1
