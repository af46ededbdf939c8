from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from napari_sam2.cli import app
from napari_sam2.session import propagation
from napari_sam2.session.tracks import TrackedMask, TrackedObject
from napari_sam2.weights.loading import save_weights
from tests.session.conftest import make_tiny_model

COUNT, HEIGHT, WIDTH = 4, 24, 32


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "stack.tif"
    noise = np.random.default_rng(0)
    tifffile.imwrite(
        path, noise.integers(0, 255, (COUNT, HEIGHT, WIDTH), np.uint8), photometric="minisblack"
    )
    return path


@pytest.fixture
def run(stack: Path, weights: Path, tmp_path: Path):
    def run(*arguments: object) -> Result:
        output = ["--output", tmp_path / "labels.tif", "--model", weights, "--device", "cpu"]
        options = [str(argument) for argument in (stack, *output, *arguments)]
        return CliRunner().invoke(app, ["propagate", *options])

    return run


def test_labels_are_shaped_as_the_stack_and_the_table_tells_of_each_plane(
    run: Any, tmp_path: Path
) -> None:
    table = tmp_path / "tracks.csv"
    result = run("--plane", 1, "--box", "4,4,16,20", "--never-stop", "--table", table, "--json")
    assert result.exit_code == 0, result.output
    labels = tifffile.imread(tmp_path / "labels.tif")
    assert (labels.shape, labels.dtype) == ((COUNT, HEIGHT, WIDTH), np.uint8)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["object"], row["frame"]) for row in rows] == [("1", str(at)) for at in range(4)]
    assert [row["role"] for row in rows] == ["tracked", "prompted", "tracked", "tracked"]
    assert [int(row["area"]) for row in rows] == [int((plane == 1).sum()) for plane in labels]
    told = json.loads(result.stdout)
    assert told["planes"] == COUNT
    assert told["interrupted"] is False
    assert told["objects"][0]["area"] == np.count_nonzero(labels)


def test_another_axis_range_and_direction(run: Any, tmp_path: Path) -> None:
    arguments = ("--axis", 2, "--plane", 8, "--box", "0,2,3,20", "--last", 12, "--never-stop")
    result = run(*arguments, "--direction", "forward", "--json")
    assert result.exit_code == 0, result.output
    labels = tifffile.imread(tmp_path / "labels.tif")
    assert labels.shape == (COUNT, HEIGHT, WIDTH)
    assert not labels[..., :8].any()
    assert not labels[..., 13:].any()
    assert json.loads(result.stdout)["planes"] == 5


def test_several_objects_come_from_a_table(run: Any, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.csv"
    prompts.write_text(
        "object,plane,kind,y,x,polarity,y0,x0,y1,x1\n"
        "3,0,box,,,,2,2,12,14\n"
        "7,2,point,18,20,1,,,,\n"
        "7,2,point,2,2,0,,,,\n"
    )
    result = run("--prompts", prompts, "--never-stop", "--region", "whole", "--json")
    assert result.exit_code == 0, result.output
    assert [one["object"] for one in json.loads(result.stdout)["objects"]] == [3, 7]
    assert set(np.unique(tifffile.imread(tmp_path / "labels.tif"))) <= {0, 3, 7}


def test_ctrl_c_writes_what_is_done_and_says_so(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = propagation.propagate

    def interrupted(*arguments: Any) -> Iterator[TrackedMask]:
        masks = whole(*arguments)
        yield next(masks)
        yield next(masks)
        raise KeyboardInterrupt

    monkeypatch.setattr(propagation, "propagate", interrupted)
    table = tmp_path / "tracks.csv"
    result = run("--plane", 1, "--box", "4,4,16,20", "--never-stop", "--table", table)
    assert result.exit_code == 130
    assert "Stopped. What was done until then is in" in result.stderr
    assert len(table.read_text().splitlines()) == 3
    assert (tmp_path / "labels.tif").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Say what to follow"),
        (("--point", "3,4"), "Say on which plane"),
        (("--plane", 9, "--point", "3,4"), "Plane 9, of object 1, does not exist: there are 4"),
        (("--plane", 1, "--point", "300,4"), "lies outside the image"),
        (("--prompts", "no.csv"), "cannot be read"),
        (("--plane", 1, "--point", "3,4", "--prompts", "no.csv"), "not both"),
    ],
)
def test_a_wrong_question_is_found_out_before_a_model_is_loaded(
    run: Any, arguments: tuple[object, ...], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Loading" not in result.stderr
    assert result.stdout == ""


def test_a_memory_that_was_not_trained_is_refused(run: Any, tmp_path: Path) -> None:
    model = make_tiny_model()
    model.has_memory = False
    file = tmp_path / "own.safetensors"
    save_weights(model, file)
    result = run("--plane", 1, "--point", "3,4", "--model", file, "--method", "memory")
    assert result.exit_code == 2
    assert "was not trained" in result.stderr


def test_the_input_is_never_overwritten(run: Any, stack: Path) -> None:
    before = stack.read_bytes()
    result = run("--plane", 1, "--point", "3,4", "--output", stack)
    assert result.exit_code == 2
    assert stack.read_bytes() == before


def test_what_a_click_finds_close_by_is_followed_with_its_own_score(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[TrackedObject] = []
    propagate = propagation.propagate

    def spy(segmenter: Any, frames: Any, objects: list[TrackedObject], options: Any) -> Any:
        followed.extend(objects)
        return propagate(segmenter, frames, objects, options)

    monkeypatch.setattr(propagation, "propagate", spy)
    table = tmp_path / "tracks.csv"
    for region, is_mask in (("auto", True), ("whole", False)):
        followed.clear()
        result = run("--plane", 1, "--point", "9,9", "--region", region, "--table", table)
        assert result.exit_code == 0, result.output
        said = followed[0].prompts[1]
        assert (said.mask_prompt is not None, bool(said.points)) == (is_mask, not is_mask)
        with table.open() as file:
            (prompted,) = (row for row in csv.DictReader(file) if row["role"] == "prompted")
        assert 0 < float(prompted["score"]) < 1
