"""`.npz` files of images on the command line and in Python: which ink they have."""

import json

import numpy as np
import pytest

import metalearn
from metalearn.commands import resume
from metalearn.config import Config
from metalearn.inputs import Inputs, inputs_of
from metalearn.runs import open_run
from metalearn.tasks import Preprocess

from .helpers import GLYPHS, SIDE, command, drawings, fails, flags

SMALL = [
    *flags({name: value for name, value in GLYPHS.items() if name != "image_size"}),
    *("--ways", 3, "--model", "conv4", "--no-jit"),
]


def ink(x, dark=False):
    """Drawings as grey levels with strokes that are bright, or dark."""
    return np.where(x ^ dark, 255, 0).astype(np.uint8)


@pytest.fixture
def files(tmp_path):
    """The same drawings with dark and with bright ink, to train on and to adapt to."""
    x, y = drawings(classes=12, each=4)
    for name, dark in (("dark", True), ("bright", False)):
        np.savez(tmp_path / f"{name}.npz", x=ink(x, dark), y=y)
        np.savez(tmp_path / f"{name} support.npz", x=ink(x[:12:2], dark), y=y[:12:2])
        np.save(tmp_path / f"{name} query.npy", ink(x[1:12:2], dark))
    return tmp_path


def trained(capsys, files, name, *more):
    """A run on a file, and what was said."""
    out = files / f"{name} run"
    result = command(capsys, "train", files / f"{name}.npz", *SMALL, *more, "--out", out)
    assert result.code == 0, result.err
    return open_run(out), result.out


def predictions(capsys, files, run, name):
    given = ["--support", files / f"{name} support.npz", "--query", files / f"{name} query.npy"]
    out = files / f"{run.path.name} {name}"
    result = command(capsys, "adapt", run.path, *given, "--out", out)
    assert result.code == 0, result.err
    return [line.split(",", 1)[1] for line in (out / "predictions.csv").open()], result.out


def test_dark_ink_is_told_recorded_and_treated_alike_ever_after(capsys, files):
    dark, said = trained(capsys, files, "dark")
    told = "images grey, 1×16×16: dark ink on light, inverted (--ink keep leaves them as they are)"
    assert told in said
    bright, said = trained(capsys, files, "bright")
    assert "images grey, 1×16×16: light ink on dark, as they are (--ink dark inverts them)" in said
    assert (dark.config.ink, bright.config.ink) == ("dark", "light")
    assert dark.record["dataset"]["preprocess"] == {"size": SIDE, "channels": 1, "ink": "dark"}
    assert dark.record["dataset"]["fingerprint"] == bright.record["dataset"]["fingerprint"]
    assert (
        predictions(capsys, files, dark, "dark")[0]
        == (predictions(capsys, files, bright, "bright")[0])
    )
    x, y = drawings(classes=3, each=2)
    odds = [
        metalearn.load(run.path, compiled=False).fit(given, y).predict_proba(given)
        for run, given in ((dark, ink(x, True)), (bright, ink(x)))
    ]
    np.testing.assert_array_equal(*odds)
    assert resume(dark.path, None, None, {"iterations": 5}) == 0  # which checks the data


def test_what_is_given_decides(capsys, files):
    run, said = trained(capsys, files, "dark", "--ink", "keep")
    assert run.config.ink == "keep" and "ink" not in said
    assert inputs_of(run).ink == "keep"
    (files / "mixed.npz").write_bytes((files / "dark.npz").read_bytes())
    run, _ = trained(capsys, files, "mixed", "--ink", "auto")
    assert run.config.ink == inputs_of(run).ink == "auto"


def test_ink_is_of_images(capsys, tmp_path):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(60, 7)), y=np.arange(60))
    fails(capsys, "train", tmp_path / "d.npz", "--ink", "dark", says=("ink='dark'", "grey"))


def test_runs_of_older_versions_stay_as_they_were(capsys, files):
    run, _ = trained(capsys, files, "dark", "--ink", "keep")
    record = json.loads((run.path / "config.json").read_text())
    record["options"]["ink"] = None
    (run.path / "config.json").write_text(json.dumps(record))
    assert Config.from_dict(record["options"]).ink == "keep"
    assert resume(run.path, None, None, {"iterations": 5}) == 0  # which checks the data
    assert "ink" not in capsys.readouterr().out


def test_arrays_of_dark_ink_for_other_runs(capsys, files, glyphs_run):
    """A run on glyphs knows bright ink alone, as it does of folders."""
    dark, said = predictions(capsys, files, glyphs_run, "dark")
    assert dark == predictions(capsys, files, glyphs_run, "bright")[0]
    assert "dark support.npz: 6 images of dark ink on light, inverted" in said
    x, y = drawings(classes=3, each=2)
    model = metalearn.load(glyphs_run.path, compiled=False)
    expected = model.fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(model.fit(~x, y).predict_proba(~x), expected)
    model.save(files / "m.safetensors")
    again = metalearn.load(files / "m.safetensors")
    np.testing.assert_allclose(again.predict_proba(~x), expected, atol=1e-5)


def test_files_of_older_versions_leave_arrays_as_they_are():
    inputs = Inputs((1, 8, 8), Preprocess(8, 1, "auto"), ink="auto")
    record = inputs.to_dict()
    assert Inputs.from_dict(record) == inputs
    with pytest.raises(ValueError, match="ink 'red'"):
        Inputs.from_dict({**record, "ink": "red"})
    del record["ink"]
    assert Inputs.from_dict(record).ink == "keep"


def test_an_onnx_file_takes_dark_ink(capsys, files):
    reference = pytest.importorskip("onnx.reference")
    from metalearn.onnx_export import to_onnx

    run, _ = trained(capsys, files, "dark")
    x, y = drawings(classes=3, each=2)
    model = metalearn.load(run.path, compiled=False).fit(ink(x, True), y)
    given = (ink(x, True) / np.float32(255))[:, None]
    (found,) = reference.ReferenceEvaluator(to_onnx(model.adapted_)).run(None, {"x": given})
    np.testing.assert_allclose(found, model.predict_proba(given), atol=1e-4)
