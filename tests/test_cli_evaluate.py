from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from napari_sam2.cli import app
from napari_sam2.training.evaluate import PROTOCOLS
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
    folder = tmp_path_factory.mktemp("pictures")
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


def test_json_tells_the_figures_by_kind_and_protocol(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told) == ["colour", "fluo", "all"]
    assert [kind["click"]["objects"] for kind in told.values()] == [1, 2, 3]
    for kind in told.values():
        assert tuple(kind) == PROTOCOLS
        for figures in kind.values():
            assert 0 <= figures["chosen"] <= figures["best"] <= 1


def test_the_table_is_the_result_and_progress_goes_to_stderr(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--objects", "1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("| kind | objects | click chosen / best |")
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| colour", "1"],
        ["| fluo", "1"],
        ["| all", "2"],
    ]
    assert "2 of 2 pictures" in result.stderr
    assert f"Loading {weights}" in result.stderr


def test_a_split_is_chosen(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--split", "one", "--json")
    assert list(json.loads(result.stdout)) == ["colour", "all"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "test.txt cannot be read. Give a folder with test.txt"),
        ("none", "at least one object"),
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


def test_at_least_one_object_a_picture(folder: Path, weights: Path) -> None:
    result = evaluate(folder, "--model", weights, "--objects", "0")
    assert result.exit_code == 2
    assert "--objects" in result.stderr
