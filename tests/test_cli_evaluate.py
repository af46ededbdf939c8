from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from napari_sam2.cli import app
from napari_sam2.training.protocols import PROTOCOLS
from napari_sam2.weights.loading import save_weights
from tests.session.conftest import make_tiny_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of two kinds, with two objects and one."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    for name, objects in (("fluo_1", 2), ("colour_1", 1)):
        labels = np.zeros((40, 50), np.uint8)
        for label in range(objects):
            labels[5:15, 4 + 20 * label : 14 + 20 * label] = label + 1
        Image.fromarray(labels * np.uint8(90)).save(folder / f"{name}_image.png")
        Image.fromarray(labels).save(folder / f"{name}_label.png")
    (folder / "val.txt").write_text("fluo_1\ncolour_1\n")
    (folder / "one.txt").write_text("colour_1\n")
    (folder / "none.txt").write_text("")
    return folder


def evaluate(*arguments: object) -> Result:
    options = ["--device", "cpu", *[str(argument) for argument in arguments]]
    return CliRunner().invoke(app, ["evaluate", *options])


def test_the_table_is_the_result_and_progress_goes_to_stderr(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--objects", "1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "at most 1 random ones of each kind" in lines[0]
    assert lines[2].startswith("| prompt | mean IoU, and more | fluo | colour | all pictures")
    assert lines[4].startswith("|  | objects | 1 of 2 | 1 | 2 of 3 |")
    assert [line.split(" | ")[0][2:] for line in lines[5::4]] == list(PROTOCOLS)
    assert "2 of 2 objects" in result.stderr
    assert f"Loading {weights}" in result.stderr


def test_table_and_figures_are_written(folder: Path, weights: Path, tmp_path: Path) -> None:
    table, figures = tmp_path / "table.md", tmp_path / "figures.json"
    table.write_text("old")
    result = evaluate(
        folder, "--model", weights, "--all", "--classical", "--markdown", table, "--json", figures
    )
    assert result.exit_code == 0, result.output
    assert table.read_text() == result.stdout
    told = json.loads(figures.read_text())
    assert (told["objects"], told["region"]) == ("all", "auto")
    counts = {kind: of_kind["click"]["objects"] for kind, of_kind in told["figures"].items()}
    assert counts == {"fluo": 2, "colour": 1, "all pictures": 3, "mean of kinds": 3}
    for of_kind in told["figures"].values():
        assert tuple(of_kind) == PROTOCOLS
        for cell in of_kind.values():
            assert 0 <= cell["mean"] <= cell["best"] <= 1
    assert told["figures"]["fluo"]["click"]["classical"]["Otsu component"] > 0.8


def test_drawn_scenes_are_a_kind_of_their_own(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--objects", "1", "--drawn", "1")
    assert result.exit_code == 0, result.output
    assert " fluo | colour | shapes | all pictures | mean of kinds |" in result.stdout


def test_the_whole_picture_can_be_asked_for(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--objects", "1", "--region", "whole")
    assert "region: whole;" in result.stdout.splitlines()[0]
    assert evaluate(folder, "--model", weights, "--region", "half").exit_code == 2


def test_a_split_is_chosen(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--split", "one")
    assert result.stdout.splitlines()[2] == "| prompt | mean IoU, and more | colour |"


def test_stopping_leaves_everything_as_it_was(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sam2.training.evaluate.score_target", interrupt)
    table = tmp_path / "table.md"
    table.write_text("old")
    result = evaluate(folder, "--model", weights, "--markdown", table)
    assert result.exit_code == 130
    assert "Stopped. Nothing was written." in result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]
    assert table.read_text() == "old"


def test_a_file_that_cannot_be_written_is_found_out_before_the_work(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    result = evaluate(folder, "--model", weights, "--json", tmp_path / "no" / "figures.json")
    assert result.exit_code == 1
    assert "there is no folder" in result.stderr
    assert "Loading" not in result.stderr


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "test.txt cannot be read. Name one of the lists that are there: one, val."),
        ("none", "found none in"),
    ],
)
def test_a_folder_that_cannot_be_used_ends_in_one_sentence(
    folder: Path, weights: Path, split: str, message: str
) -> None:
    result = evaluate(folder, "--model", weights, "--split", split)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_wrong_folder_is_found_out_before_a_model_is_loaded(tmp_path: Path) -> None:
    result = evaluate(tmp_path / "nowhere", "--model", tmp_path / "no.safetensors")
    assert result.exit_code == 2
    assert "Loading" not in result.stderr


def test_a_model_that_is_not_there_fails(folder: Path, tmp_path: Path) -> None:
    result = evaluate(folder, "--model", tmp_path / "no.safetensors")
    assert result.exit_code == 1
    assert "no.safetensors" in result.stderr
    assert "Traceback" not in result.output


def test_at_least_one_object_of_a_kind(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--objects", "0")
    assert result.exit_code == 2
    assert "--objects" in result.stderr
