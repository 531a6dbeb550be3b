"""From image files to pixels: polarity, levels, colour, resizing, and files that are broken."""

import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from metalearn.tasks import DataError, Preprocess, images
from metalearn.tasks.images import is_coloured, read_image

from .helpers import encode, huge_png, png, raises_data_error


def page(paper, ink, side=105):
    """A bar of ink on paper."""
    pixels = np.full((side, side), paper, np.uint8)
    pixels[30:60, 20:50] = ink
    return pixels


def read(pixels, **settings_):
    return read_image(png(pixels), "page.png", Preprocess(**settings_))


@pytest.mark.parametrize(
    ("paper", "ink"), [(255, 0), (0, 255), (180, 40), (100, 20), (60, 150), (140, 250), (200, 199)]
)
def test_auto_takes_paper_to_0_and_ink_to_255(paper, ink):
    image = read(page(paper, ink), size=28, ink="auto")
    assert image.shape == (1, 28, 28) and image.dtype == np.uint8
    assert image[0, 12, 9] == 255 and image[0, 25, 25] == 0


@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.4))
@settings(max_examples=25)
def test_auto_is_dark_or_light_on_black_and_white_images(seed, share):
    ink = np.random.default_rng(seed).random((40, 40)) < share
    dark, light = png(~ink), png(ink)
    for size in (28, 40):
        expected = read_image(dark, "x", Preprocess(size, 1, "dark"))
        for data, mode in ((dark, "auto"), (light, "auto"), (light, "light")):
            np.testing.assert_array_equal(
                read_image(data, "x", Preprocess(size, 1, mode)), expected
            )
    np.testing.assert_array_equal(expected[0], np.where(ink, 255, 0))


def test_paper_with_noise_becomes_nearly_clean():
    noise = np.random.default_rng(0).integers(-6, 7, (105, 105))
    photo = (page(190, 50) + noise).clip(0, 255).astype(np.uint8)
    image = read(photo)
    assert image[0, 20:, 20:].max() < 20 and image[0, 10:14, 7:12].min() > 235


def test_a_blank_page_has_no_ink():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not read(np.full((50, 50), 77, np.uint8)).any()


def test_fixed_polarity_does_not_stretch():
    assert read(page(200, 50), size=105, ink="dark")[0, 0, 0] == 55
    assert read(page(200, 50), size=105, ink="light")[0, 0, 0] == 200


def test_keep_keeps_grey_and_colour():
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 200, 50
    image = read(pixels, size=5, channels=3, ink="keep")
    assert image.shape == (3, 5, 5)
    assert [image[c].min() for c in range(3)] == [image[c].max() for c in range(3)] == [200, 50, 0]
    grey = read(pixels[..., 0], size=5, ink="keep")
    assert (grey == 200).all()


def test_ink_on_an_oblong_page_keeps_its_proportions():
    pixels = np.full((20, 60), 255, np.uint8)
    pixels[5:15, 25:35] = 0  # a square
    image = read(pixels, size=60)[0]
    np.testing.assert_array_equal(np.argwhere(image == 255).min(axis=0), [25, 25])
    np.testing.assert_array_equal(np.argwhere(image == 255).max(axis=0), [34, 34])


def test_resizing_is_antialiased():
    stripes = np.ones((105, 105), bool)
    stripes[:, ::2] = False
    image = read(stripes, ink="dark")[0]
    # Stripes finer than a pixel become an even grey, of 53 black columns in 105.
    assert abs(image[3:-3, 3:-3].astype(int) - 128).max() < 12


def test_transparent_ground_is_white_paper():
    pixels = np.zeros((30, 30, 4), np.uint8)  # black and transparent
    pixels[10:20, 10:20, 3] = 255  # black and opaque
    image = read(pixels, size=30)[0]
    assert image[15, 15] == 255 and image[2, 2] == 0


def test_sixteen_bit_greys_keep_their_top_eight_bits():
    pixels = np.full((8, 8), 0x1234, np.uint16)
    data = encode(Image.fromarray(pixels), "PNG")
    assert (read_image(data, "x", Preprocess(8, 1, "keep")) == 0x12).all()


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_sixteen_bits_are_sixteen_bits_in_any_format(kind):
    wide = Image.fromarray(page(255, 0).astype(np.uint16) * 257)
    if kind == "TIFF":
        wide = Image.fromarray(page(255, 0).astype(np.int32) * 257)
    data = encode(wide, kind)
    expected = read(page(255, 0))
    np.testing.assert_array_equal(read_image(data, "wide", Preprocess()), expected)


@pytest.mark.parametrize("level", [1 << 20, -5])
def test_levels_of_no_known_scale_are_refused(level):
    strange = Image.fromarray(np.full((9, 9), level, np.int32))
    with raises_data_error("strange.tif", "levels"):
        read_image(encode(strange, "TIFF"), "strange.tif", Preprocess())


def test_a_thin_image_is_not_padded_to_gigabytes():
    thin = Image.new("L", (20_000, 1), 255)
    with raises_data_error("thin.png", "too large", "square"):
        read_image(encode(thin, "PNG"), "thin.png", Preprocess())


def test_a_photo_taken_on_its_side_is_set_upright():
    pixels = np.full((20, 20), 255, np.uint8)
    pixels[:5] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to view: the top row goes to the right
    data = encode(Image.fromarray(pixels), "PNG", exif=exif)
    image = read_image(data, "x", Preprocess(20))[0]
    assert (image[:, -5:] == 255).all() and not image[:, :-6].any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_common_formats_are_read(kind):
    image = read_image(encode(Image.fromarray(page(255, 0)), kind), "x", Preprocess())
    assert image[0, 12, 9] > 240 and image[0, 25, 25] < 15


def test_a_file_is_read_like_its_bytes(tmp_path):
    data = png(page(255, 0))
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png", "a", Preprocess()), read_image(data, "a", Preprocess())
    )


def test_an_unreadable_image_is_named():
    with raises_data_error("folder/a.png", "cannot be read", "expected"):
        read_image(b"not an image", "folder/a.png", Preprocess())


def test_a_truncated_image_is_named():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    with raises_data_error("folder/a.png", "cannot be read", "complete"):
        read_image(png(noise)[:2000], "folder/a.png", Preprocess())


# Pillow warns from 89 million pixels, raises from 179 million, and lets smaller ones through.
@pytest.mark.parametrize("side", [8001, 10_000, 100_000])
def test_an_image_with_too_many_pixels_is_refused(side):
    with raises_data_error("bomb.png", "too large", "64,000,000"):
        read_image(huge_png(side), "bomb.png", Preprocess())


@pytest.mark.parametrize("kind", ["PCX", "EPS"])
def test_formats_out_of_the_list_are_not_even_tried(kind):
    # Pillow would read the first, and hand the second, a program, to an interpreter.
    data = encode(Image.fromarray(page(255, 0)), kind)
    with raises_data_error("a.img", "cannot be read", "not a known format"):
        read_image(data, "a.img", Preprocess())


@pytest.mark.parametrize("error", [struct.error("x"), IndexError("x"), SyntaxError("x")])
def test_whatever_a_decoder_raises_the_image_is_named(monkeypatch, error):
    def load(_):
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with raises_data_error("a.png", "cannot be read"):
        read_image(png(page(255, 0)), "a.png", Preprocess())


def test_another_size_than_expected_is_refused():
    with raises_data_error("a.png", "105×105", "expected 28×28"):
        read_image(png(page(255, 0)), "a.png", Preprocess(), expected_size=(28, 28))


IMAGES = [
    encode(Image.fromarray(page(200, 30, side=80)), kind)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")
]


@given(
    data=st.sampled_from(IMAGES),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    length=st.floats(0, 1),
)
@settings(max_examples=200)
def test_a_damaged_image_is_read_or_named_and_nothing_else(data, damage, length):
    damaged = bytearray(data)
    for place, value in damage:
        damaged[int(place * len(damaged))] = value
    try:
        image = read_image(bytes(damaged[: int(length * len(damaged))]), "a.img", Preprocess())
    except DataError as error:
        assert str(error).startswith("a.img: ") and "\n" not in str(error)
    else:
        assert image.shape == (1, 28, 28) and image.dtype == np.uint8


@pytest.mark.parametrize(
    ("settings_", "field"),
    [
        ({"size": 0}, "size"),
        ({"channels": 2}, "channels"),
        ({"ink": "blue"}, "ink"),
        ({"channels": 3}, "ink='keep'"),
    ],
)
def test_settings_out_of_range_are_refused(settings_, field):
    with raises_data_error(field):
        Preprocess(**settings_)


def test_settings_survive_a_record():
    preprocess = Preprocess(32, 3, "keep")
    assert Preprocess.from_dict(preprocess.to_dict()) == preprocess
    with raises_data_error("colour"):
        Preprocess.from_dict({"colour": 3})


# Colours --------------------------------------------------------------------------------------


def coloured(pixels, kind="PNG", **options):
    return is_coloured(encode(Image.fromarray(pixels), kind, **options), "x")


def hue(*levels, side=80):
    """An even patch of a colour on white, of a quarter of the image."""
    pixels = np.full((side, side, 3), 255, np.uint8)
    pixels[: side // 2, : side // 2] = levels
    return pixels


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_colours_are_seen(kind):
    assert coloured(hue(200, 60, 60), kind)
    assert coloured(hue(90, 90, 140), kind)
    assert not coloured(hue(90, 90, 90), kind)
    assert not coloured(hue(90, 90, 90)[..., 0], kind)


def test_noise_and_paper_are_no_colours():
    rng = np.random.default_rng(0)
    paper = np.broadcast_to(np.uint8([240, 240, 225]), (360, 280, 3)).copy()
    paper[120:160, 40:240] = 20
    noisy = np.clip(paper + rng.normal(0, 25, paper.shape), 0, 255).astype(np.uint8)
    for pixels in (paper, noisy):
        for quality in (30, 75, 95):
            assert not coloured(pixels, "JPEG", quality=quality)
            data = encode(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=quality)
            assert not is_coloured(data, "x")


def test_colours_of_other_modes():
    red = Image.fromarray(hue(220, 30, 30))
    for mode in ("P", "RGBA", "CMYK"):
        image = red.convert(mode)
        assert is_coloured(encode(image, "TIFF"), "x"), mode
    unseen = np.zeros((40, 40, 4), np.uint8)
    unseen[..., 0] = 255  # red, and transparent
    assert not coloured(unseen)
    wide = Image.fromarray(np.full((9, 9), 0x1234, np.uint16))
    assert not is_coloured(encode(wide, "PNG"), "x")


def test_what_cannot_be_looked_at_is_named():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with raises_data_error("a.png", "cannot be read", "complete"):
        is_coloured(png(noise)[:2000], "a.png")
    with raises_data_error("a.png", "too large", "64,000,000"):
        is_coloured(huge_png(10_000), "a.png")


# Large photos ---------------------------------------------------------------------------------


@pytest.fixture
def small_limits(monkeypatch):
    """As if 4,000 pixels were many; Pillow warns from 6,000 and refuses 12,000."""
    monkeypatch.setattr(images, "LOOKED_AT", 16)
    monkeypatch.setattr(images, "MAX_PIXELS", 4_000)
    monkeypatch.setattr(images, "MAX_PHOTO_PIXELS", 30_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6_000)


def ramp(height, width):
    levels = np.linspace(0, 255, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    return Image.fromarray(np.broadcast_to(levels, (height, width, 3)).astype(np.uint8))


@pytest.mark.parametrize("size", [(64, 80), (80, 104), (152, 192)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_large_photo_is_read_at_less_than_its_size(request, size, turned):
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    data = encode(ramp(*size), "JPEG", quality=95, exif=exif)
    settings = Preprocess(8, 3, "keep")
    whole = read_image(data, "x", settings).astype(int)
    request.getfixturevalue("small_limits")
    assert np.abs(read_image(data, "x", settings).astype(int) - whole).max() <= 3
    assert not is_coloured(data, "x")


def test_what_is_too_large_is_told_with_one_limit(small_limits, tmp_path):
    for size, kind, limit in (
        ((180, 180), "JPEG", "at most 30,000 pixels"),
        ((70, 70), "PNG", "4,900 pixels|70×70"),
        ((90, 90), "PNG", "8,100 pixels"),
        ((150, 150), "PNG", "22,500 pixels"),
    ):
        (tmp_path / "a.jpg").write_bytes(encode(ramp(*size), kind))
        for read_it in (read_image, lambda *args: is_coloured(*args[:2])):
            with pytest.raises(DataError, match=limit) as found:
                read_it(tmp_path / "a.jpg", "a.jpg", Preprocess(8, 3, "keep"))
            assert "bomb" not in str(found.value) and "exceeds" not in str(found.value)
            assert str(found.value).count("at most") == 1


def test_a_photo_that_stays_too_large_is_refused(small_limits):
    thin = encode(ramp(12, 700), "JPEG")
    with raises_data_error("thin.jpg", "too large", "4,000"):
        read_image(thin, "thin.jpg", Preprocess(8, 3, "keep"))
