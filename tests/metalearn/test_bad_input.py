"""What users get wrong: one clear line, a non-zero exit code, and nothing saved is harmed."""

import errno
import os
import shutil
import zipfile

import pytest

from metalearn import checkpoints
from tests.tasks.helpers import huge_png, write_zip

from .helpers import GLYPHS, SINUSOID, command, contents, draw_folder, fails, flags, new_run
from .helpers import small_config as config_of

HALF = "images_background"


@pytest.fixture
def run_copy(glyphs_run, tmp_path):
    """A trained run to be harmed."""
    return shutil.copytree(glyphs_run.path, tmp_path / "run")


# Omniglot's zips ------------------------------------------------------------------------------


def train_omniglot(capsys, folder, **more):
    return fails(capsys, "train", "omniglot", "--data", folder, "--out", folder / "run", **more)


def test_missing_zip(capsys, tmp_path):
    train_omniglot(capsys, tmp_path, says=(tmp_path, f"{HALF}.zip"))


def test_truncated_zip(capsys, tmp_path):
    for name in (HALF, "images_evaluation"):
        write_zip(tmp_path / f"{name}.zip", {"a/character01/1.png": b"x" * 1000})
    path = tmp_path / f"{HALF}.zip"
    path.write_bytes(path.read_bytes()[:-30])
    train_omniglot(capsys, tmp_path, says=(path.name, "cut off"))


def test_wrong_zip(capsys, tmp_path):
    for name in (HALF, "images_evaluation"):
        write_zip(tmp_path / f"{name}.zip", {"holiday/beach.txt": b"sun"})
    train_omniglot(capsys, tmp_path, says=(f"{HALF}.zip", "964 characters"))


def test_zip_entry_that_climbs_out(capsys, tmp_path):
    for name in (HALF, "images_evaluation"):
        write_zip(tmp_path / f"{name}.zip", {"../../climber.png": b"x"})
    train_omniglot(capsys, tmp_path, says=("climber.png", "leads out"))
    assert not list(tmp_path.parent.rglob("climber.png"))


def test_zip_bomb(capsys, tmp_path):
    bomb = {f"a/character01/{i}.png": bytes(1 << 21) for i in range(3)}
    for name in (HALF, "images_evaluation"):
        write_zip(tmp_path / f"{name}.zip", bomb, zipfile.ZIP_DEFLATED)
    assert (tmp_path / f"{HALF}.zip").stat().st_size < 1 << 16
    train_omniglot(capsys, tmp_path, says=("unpacks to", "expected at most"))


# Folders of images ----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"no image", huge_png()], ids=["empty", "text", "huge"])
def test_unreadable_image(capsys, tmp_path, data):
    folder = draw_folder(tmp_path / "signs", classes=10, images=5)
    (folder / "class3" / "2.png").write_bytes(data)
    options = flags({**GLYPHS, "ways": 3})
    result = command(capsys, "train", folder, *options, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert "1 image that cannot be read is left out: 'class3/2.png'\n" in result.out


def test_too_few_classes(capsys, tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=10, images=5)
    options = flags({**GLYPHS, "ways": 5})
    says = ("10 classes", "--ways 5", "15", "give --ways 3 or fewer")
    fails(capsys, "train", folder, *options, code=2, says=says)


def test_too_few_images(capsys, tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=10, images=5)
    options = {**GLYPHS, "ways": 3, "shots": 4, "queries": 2}
    out, says = tmp_path / "run", ("0 of 10 classes", "4 shots", "--shots 4 --queries 1")
    fails(capsys, "train", folder, *flags(options), "--out", out, says=says)
    assert not out.exists()


def test_too_few_images_to_evaluate(capsys, run_copy):
    fails(capsys, "evaluate", run_copy, "--queries", 12, says=("12 images", "12 queries"))


def test_too_many_classes_to_adapt_to(capsys, run_copy, tmp_path):
    own = draw_folder(tmp_path / "own", classes=6, images=1)
    fails(capsys, "adapt", run_copy, "--support", own, "--query", own, says=("6 classes", "5-way"))


def test_adapting_a_run_on_sinusoids(capsys, waves_run, tmp_path):
    own = draw_folder(tmp_path / "own", classes=2, images=1)
    arguments = ["--support", own, "--query", own]
    fails(capsys, "adapt", waves_run.path, *arguments, code=2, says=("sinusoid", ".csv"))


# Training -------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite(capsys, tmp_path):
    options = {**SINUSOID, "inner_lr": 1e30}
    arguments = ["train", "sinusoid", *flags(options), "--out", tmp_path / "run"]
    fails(capsys, *arguments, says=("iteration 1", "lower --inner-lr"))
    checkpoints.read(tmp_path / "run" / "checkpoints" / "last.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--shots", -1],
        ["--ways", 0],
        ["--minutes", 0],
        ["--minutes", "soon"],
        ["--algorithm", "mamml"],
        ["--inner-lr", "nan"],
        ["--hidden", "forty"],
        ["--split", "alphabets"],
        ["--colour", "blue"],
        ["--ways", 500],
    ],
    ids=str,
)
def test_nonsense_options(capsys, tmp_path, arguments):
    fails(capsys, "train", "glyphs", "--out", tmp_path / "run", *arguments, code=2)
    assert not (tmp_path / "run").exists()


def test_nonsense_commands(capsys):
    for arguments in (["train"], ["train", "mnist"], ["teach"], ["evaluate"], ["adapt", "run"]):
        fails(capsys, *arguments, code=2)


SPLITS = [
    "{",
    "[]",
    '{"train": ["a"]}',
    '{"train": ["a"], "validation": [], "test": ["a"]}',
    '{"train": ["a"], "validation": [], "test": ["b"], "seed": "x"}',
    '{"train": ["a"], "validation": [], "test": ["b"], "seed": Infinity}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", SPLITS, ids=lambda text: text[:70])
def test_a_split_that_is_none(capsys, tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    arguments = ["--split", tmp_path / "split.json", "--out", tmp_path / "run"]
    fails(capsys, "train", "glyphs", *arguments, code=2, says=("--split", "split.json"))


def test_a_run_folder_that_is_taken(capsys, run_copy):
    before = contents(run_copy)
    fails(capsys, "train", "glyphs", *flags(GLYPHS), "--out", run_copy, says=("--resume",))
    assert contents(run_copy) == before


def test_a_folder_that_is_no_run(capsys, tmp_path):
    for arguments in (["evaluate", tmp_path], ["show", tmp_path], ["train", "--resume", tmp_path]):
        fails(capsys, *arguments, says=("not a run",))


# Checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_of_another_model(capsys, run_copy, tmp_path):
    other, problem = new_run(tmp_path / "other", config_of("glyphs", filters=6))
    del problem
    assert command(capsys, "train", "--resume", other.path).code == 0
    for name in ("last", "best"):
        shutil.copy(other.path / "checkpoints" / f"{name}.safetensors", run_copy / "checkpoints")
    before = contents(run_copy)
    fails(capsys, "evaluate", run_copy, says=("another model", "best.safetensors", "(6,"))
    fails(capsys, "train", "--resume", run_copy, "--iterations", 9, says=("another model", "last."))
    changed = {k for k, v in contents(run_copy).items() if before.get(k) != v}
    assert {os.path.basename(k) for k in changed} <= {"config.json", ".lock"}


@pytest.mark.parametrize("harm", ["truncated", "flipped", "text"])
def test_a_damaged_checkpoint(capsys, run_copy, harm):
    path = run_copy / "checkpoints" / "best.safetensors"
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "truncated": data[:middle],
            "flipped": data[:-3] + bytes([data[-3] ^ 8]) + data[-2:],
            "text": b"not a checkpoint",
        }[harm]
    )
    fails(capsys, "evaluate", run_copy, says=("best.safetensors", "damaged"))
    assert command(capsys, "evaluate", run_copy, "--checkpoint", "last", "--episodes", 2).code == 0


# The disk -------------------------------------------------------------------------------------


def failing(number: int):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_read_only_folder(capsys, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", failing(errno.EROFS))
        arguments = ["train", "sinusoid", *flags(SINUSOID), "--out", tmp_path / "run"]
        fails(capsys, *arguments, says=("Read-only", "--out"))
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user whom permissions bind"
)
def test_a_folder_without_permission(capsys, tmp_path):
    tmp_path.chmod(0o500)
    arguments = ["train", "sinusoid", *flags(SINUSOID), "--out", tmp_path / "run"]
    fails(capsys, *arguments, says=("Permission denied",))


def test_a_disk_that_fills_up_in_training(capsys, tmp_path, monkeypatch):
    """Training ends in one line, and goes on to the same bits once there is room."""
    options = {**SINUSOID, "validate_every": 5}
    for name in ("reference", "run"):
        new_run(tmp_path / name, config_of(**options))
    assert command(capsys, "train", "--resume", tmp_path / "reference").code == 0
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > 12:
            failing(errno.ENOSPC)()
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        fails(capsys, "train", "--resume", tmp_path / "run", says=("No space left", "intact"))
    last = tmp_path / "run" / "checkpoints" / "last.safetensors"
    assert 0 < checkpoints.read(last)[1]["iteration"] < options["iterations"]
    assert command(capsys, "train", "--resume", tmp_path / "run").code == 0
    arrays = [
        checkpoints.read(tmp_path / name / "checkpoints" / "last.safetensors")[0]
        for name in ("reference", "run")
    ]
    assert all((arrays[0][k] == arrays[1][k]).all() for k in arrays[0])


def test_evaluation_is_told_also_where_it_cannot_be_saved(capsys, run_copy, monkeypatch):
    monkeypatch.setattr(os, "replace", failing(errno.EROFS))
    result = command(capsys, "evaluate", run_copy, "--episodes", 2)
    assert result.code == 0
    assert "after inner step" in result.out
    assert "not saved" in result.err and result.err.count("\n") == 1


def test_pictures_that_cannot_be_saved(capsys, run_copy, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    fails(capsys, "show", run_copy, says=("No space left",))
