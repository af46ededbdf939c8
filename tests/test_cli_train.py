from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from napari_sam2.cli import app
from napari_sam2.training import finetune as module
from napari_sam2.training.tuning import Figures
from napari_sam2.weights.loading import load_weights, save_weights
from tests.session.conftest import make_tiny_model
from tests.training.test_finetune import scene


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_tiny_model(), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a picture and its labels."""
    data = tmp_path / "data"
    data.mkdir()
    picture = scene()
    Image.fromarray(picture.image).save(data / "cells.png")
    Image.fromarray(picture.labels.astype(np.uint8)).save(data / "cells_label.png")
    return data


class Score:
    """Gives figures that rise or fall from check to check."""

    def __init__(self, by: float) -> None:
        self.by, self.asked = by, 0

    def __call__(self, *_: object) -> Figures:
        self.asked += 1
        return Figures(0.5 + self.by * self.asked, 0.5)


@pytest.fixture(autouse=True)
def score(monkeypatch: pytest.MonkeyPatch) -> Score:
    score = Score(0.01)
    monkeypatch.setattr(module, "_POOL", 2)
    monkeypatch.setattr(module, "_OBJECTS", 4)
    monkeypatch.setattr(module, "score", score)
    return score


def train(data: Path, base: Path, output: Path, *options: object) -> Result:
    where = ["--images", data, "--labels", data, "--from", base, "--output", output]
    arguments = [*where, "--steps", 2, "--device", "cpu", *options]
    return CliRunner().invoke(app, ["train", *[str(argument) for argument in arguments]])


def test_a_better_model_is_written_and_its_place_is_the_result(
    data: Path, base: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mine.safetensors"
    result = train(data, base, output)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{output}\n"
    assert "Learning from 7 objects of 1 pictures on cpu; 2 others are checked on." in result.stderr
    assert "IoU of 2 objects held out: one click 0.515 -> " in result.stderr
    load_weights(output)
    assert not (tmp_path / "mine.training.pt").exists()


def test_figures_as_json(data: Path, base: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    result = train(data, base, output, "--json", "--seed", 3, "--mode", "full")
    told = json.loads(result.stdout)
    assert (told["output"], told["mode"], told["seed"]) == (str(output), "full", 3)
    assert told["iou_after"]["click"] > told["iou_before"]["click"]
    assert told["best_step"] == 2


def test_no_model_is_written_if_it_is_no_better(
    data: Path, base: Path, tmp_path: Path, score: Score
) -> None:
    score.by = -0.01
    output = tmp_path / "mine.safetensors"
    result = train(data, base, output, "--json")
    assert result.exit_code == 1
    assert "did not make it better" in result.stderr
    assert json.loads(result.stdout)["output"] is None
    assert not output.exists()


def test_ctrl_c_keeps_the_state_and_says_how_to_go_on(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = module.FineTuner._learn

    def interrupt(self: module.FineTuner) -> float:
        if self.step == 1:
            raise KeyboardInterrupt
        return learn(self)

    output = tmp_path / "mine.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(module.FineTuner, "_learn", interrupt)
        result = train(data, base, output)
    assert result.exit_code == 130
    assert "Stopped after step 1 of 2" in result.stderr
    assert "--resume" in result.stderr
    assert not output.exists()
    again = train(data, base, output)
    assert again.exit_code == 2
    assert "Go on with it by --resume" in again.stderr
    result = train(data, base, output, "--resume")
    assert result.exit_code == 0, result.output
    assert output.exists()


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("mine.pt", [], "written as .safetensors"),
        ("no/mine.safetensors", [], "there is no folder"),
        ("old.safetensors", [], "is there already"),
        ("mine.safetensors", ["--resume"], "no training to go on with"),
    ],
)
def test_a_wrong_question_is_found_out_before_the_work(
    data: Path, base: Path, tmp_path: Path, output: str, options: list[str], message: str
) -> None:
    (tmp_path / "old.safetensors").write_bytes(b"")
    result = train(data, base, tmp_path / output, *options)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Loading" not in result.stderr
    assert "Traceback" not in result.output


def test_pictures_that_do_not_fit_are_found_out_before_a_model_is_loaded(
    data: Path, base: Path, tmp_path: Path
) -> None:
    (data / "cells_label.png").unlink()
    result = train(data, base, tmp_path / "mine.safetensors")
    assert result.exit_code == 2
    assert "of the same name" in result.stderr
    assert "Loading" not in result.stderr
