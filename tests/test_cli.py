from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from napari_sam2.cli import app
from napari_sam2.image_files import read_plane, write_image
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.masks import PackedMask
from napari_sam2.weights.loading import save_weights
from tests.session.conftest import make_tiny_model

SHAPE = (60, 90)
IMAGE = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_tiny_model(), path)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cells.png"
    write_image(path, IMAGE)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def segment(image: Path, weights: Path) -> Any:
    """Run `segment` on the picture with the tiny model."""
    return lambda *arguments: run(
        "segment", image, "--model", weights, "--device", "cpu", *arguments
    )


def refused(result: Result, code: int, message: str) -> None:
    """Assert that a mistake ended in one sentence, without a traceback or a result."""
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert result.stdout == ""


# Results


def test_json_tells_all_that_is_worth_knowing(segment: Any, image: Path, weights: Path) -> None:
    result = segment("--point", "20,30", "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["image"] == str(image)
    assert told["shape"] == list(SHAPE)
    assert told["model"] == str(weights)
    assert told["device"] == "cpu"
    assert told["candidate"] == 1
    assert len(told["iou_predictions"]) == 3
    assert told["iou_predictions"] == sorted(told["iou_predictions"], reverse=True)
    assert told["embed_seconds"] > 0
    assert told["decode_seconds"] > 0
    assert isinstance(told["object_score"], float)
    assert told["output"] is None
    assert told["overlay"] is None


@pytest.mark.parametrize(
    ("option", "region"),
    [
        (("--region", "whole"), [0, 0, 60, 90]),
        (("--region", "10,20,42,70"), [10, 20, 42, 70]),
        (("--region", "auto"), None),
        ((), None),
    ],
)
def test_json_tells_which_region_was_looked_at(
    segment: Any, option: tuple[str, ...], region: list[int] | None
) -> None:
    """By default the part where the object is: in a large picture a small one drowns."""
    told = json.loads(segment("--box", "20,30,28,38", "--json", *option).stdout)
    if region is None:
        region = told["region"]  # which one depends on what a model with random weights finds
        assert region[0] <= 20 < 28 <= region[2]
        assert region[1] <= 30 < 38 <= region[3]
    assert told["region"] == region


def test_prompts_outside_the_region_are_refused(segment: Any) -> None:
    result = segment("--point", "5,5", "--region", "10,20,42,70")
    refused(result, 2, "Prompts must lie in the region that the model sees, (10, 20, 42, 70)")


def test_progress_goes_to_stderr(segment: Any) -> None:
    result = segment("--point", "20,30", "--json")
    assert "Loading" in result.stderr
    assert "Segmenting cells.png on cpu" in result.stderr


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_the_mask_file_is_the_mask_that_json_tells_of(
    segment: Any, tmp_path: Path, suffix: str
) -> None:
    mask_file = tmp_path / f"mask{suffix}"
    told = json.loads(segment("--point", "20,30", "--output", mask_file, "--json").stdout)
    mask = read_plane(mask_file)
    assert told["output"] == str(mask_file)
    assert mask.dtype == np.uint8
    assert mask.shape == SHAPE
    assert set(np.unique(mask)) <= {0, 255}
    assert told["area"] == (mask == 255).sum() > 0
    y0, x0, y1, x1 = told["bbox"]
    assert (mask[y0:y1, x0:x1] == 255).sum() == told["area"]
    for edge in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]):
        assert edge.any()


def test_the_overlay_is_a_colour_picture(segment: Any, tmp_path: Path) -> None:
    result = segment("--point", "20,30", "--box", "5,5,50,80", "--overlay", tmp_path / "o.png")
    assert result.exit_code == 0
    assert read_plane(tmp_path / "o.png").ndim == 3


def test_in_words(segment: Any, tmp_path: Path) -> None:
    words = segment("--box", "5,5,50,80", "--output", tmp_path / "mask.tif").stdout
    assert "predicted IoU" in words
    assert "Candidate 1 of 1" in words
    assert f"Wrote {tmp_path / 'mask.tif'}" in words


def test_writing_nothing_is_said(segment: Any) -> None:
    assert "give --output" in segment("--point", "20,30").stderr
    assert "give --output" not in segment("--point", "20,30", "--json").stderr


def test_the_same_as_in_python(segment: Any, weights: Path, tmp_path: Path) -> None:
    from napari_sam2 import ImageSegmenter, load_model

    segment(
        *("--point", "40,30", "--point", "-20,10.5", "--box", "5,6,50,80"),
        *("--output", tmp_path / "m.tif"),
    )
    prediction = ImageSegmenter(load_model(str(weights), "cpu")).segment(
        IMAGE, points=[(40, 30), (20, 10.5)], polarity=[1, 0], box=(5, 6, 50, 80), region="auto"
    )
    tidied = prediction.tidied(Cleanup())
    np.testing.assert_array_equal(read_plane(tmp_path / "m.tif") > 0, tidied.mask)


@pytest.mark.parametrize(("options", "area"), [((), 100), (("--all-parts",), 104)])
def test_of_a_mask_in_parts_what_is_clicked_is_written(
    segment: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], area: int
) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[15:25, 25:35] = mask[40:42, 80:82] = True
    in_parts = (PackedMask.of(mask),) * 3
    monkeypatch.setattr("napari_sam2.session.postprocess.to_candidates", lambda *_: in_parts)
    assert json.loads(segment("--point", "20,30", "--json", *options).stdout)["area"] == area


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `ImageSegmenter.segment` is asked by the command line."""
    from napari_sam2.session.image_segmenter import ImageSegmenter

    seen: list[dict[str, Any]] = []
    original = ImageSegmenter.segment

    def spy(self: ImageSegmenter, image: Any, *args: Any, **kwargs: Any) -> Any:
        names = ("points", "polarity", "box")
        seen.append({"image": image, **dict(zip(names, args, strict=False)), **kwargs})
        return original(self, image, *args, **kwargs)

    monkeypatch.setattr(ImageSegmenter, "segment", spy)
    return seen


@pytest.mark.parametrize("style", [("--point", "{}"), ("--point={}",)])
@pytest.mark.parametrize(
    ("text", "point", "polarity"),
    [
        ("40,30", (40, 30), 1),
        ("-40,30", (40, 30), 0),
        ("-0,5", (0, 5), 0),
        ("0,5", (0, 5), 1),
        ("-.5,1e1", (0.5, 10), 0),
        (" 40 , 30 ", (40, 30), 1),
        (" -40, 30", (40, 30), 0),
    ],
)
def test_a_minus_makes_a_background_point(
    segment: Any,
    asked: list[dict[str, Any]],
    style: tuple[str, ...],
    text: str,
    point: tuple[float, float],
    polarity: int,
) -> None:
    assert segment(*(part.format(text) for part in style)).exit_code == 0
    assert asked[0]["points"] == [point]
    assert asked[0]["polarity"] == [polarity]


def test_candidates_are_picked_from_one_upwards(segment: Any, tmp_path: Path) -> None:
    masks = []
    for number in (1, 2, 3):
        output = tmp_path / f"{number}.tif"
        result = segment("--point", "20,30", "--candidate", number, "--output", output, "--json")
        assert json.loads(result.stdout)["candidate"] == number
        masks.append(read_plane(output))
    assert (masks[0] != masks[1]).any()
    assert (masks[1] != masks[2]).any()


def test_a_later_candidate_of_a_box_asks_for_three(segment: Any) -> None:
    told = json.loads(segment("--box", "5,5,50,80", "--candidate", "2", "--json").stdout)
    assert (told["candidate"], len(told["iou_predictions"])) == (2, 3)


def test_a_plane_of_a_stack(weights: Path, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    stack = np.stack([IMAGE, 255 - IMAGE])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    result = run(
        *("segment", tmp_path / "stack.tif", "--plane", "1", "--point", "5,5"),
        *("--model", weights, "--json"),
    )
    assert json.loads(result.stdout)["plane"] == [1]
    np.testing.assert_array_equal(asked[0]["image"], stack[1])


def test_an_empty_mask_has_no_box(
    segment: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_sam2.session import postprocess

    monkeypatch.setattr(postprocess, "MASK_THRESHOLD", np.inf)
    result = segment("--point", "20,30", "--json", "--overlay", tmp_path / "o.png")
    told = json.loads(result.stdout)
    assert (told["area"], told["bbox"]) == (0, None)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Say what to segment: give --point Y,X or --box"),
        (("--point", "20"), "'--point': wanted Y,X, numbers of pixels, got '20'"),
        (("--point", "20,30,40"), "wanted Y,X"),
        (("--point", "a,b"), "got 'a,b'"),
        (("--point", "--20,30"), "lies outside"),
        (("--point", "20,-30"), "lies outside the image of 60 x 90 pixels"),
        (("--point", "nan,3"), "two finite numbers"),
        (("--point", "70,30"), "Point (y, x) = (70, 30) lies outside"),
        (("--box", "1,2,3"), "'--box': wanted Y0,X0,Y1,X1"),
        (("--box", "50,5,10,80"), "y0 < y1 and x0 < x1, got (50, 5, 10, 80)"),
        (("--point", "2,3", "--region", "part"), "'--region': wanted auto, whole or Y0,X0,Y1,X1"),
        (("--point", "2,3", "--region", "5,5,5,9"), "region must be 'whole', 'auto' or"),
        (("--point", "2,3", "--region", "nan,5,5,9"), "region must be 'whole', 'auto' or"),
        (("--point", "2,3", "--plane", "x"), "'--plane': wanted I, or I,J"),
        (("--point", "2,3", "--plane", "1"), "single plane. Leave --plane out"),
        (("--point", "2,3", "--candidate", "4"), "--candidate"),
        (("--point", "2,3", "--candidate", "0"), "--candidate"),
        (("--point", "2,3", "--device", "gpu"), "--device: Device must be auto, cuda, mps or cpu"),
        (("--point", "2,3", "--output", "mask.jpg"), "written as .tif, .tiff, .png"),
        (("--pint", "2,3"), "No such option"),
    ],
)
def test_a_wrong_question_ends_with_2_before_a_model_is_loaded(
    segment: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    from napari_sam2.session import device

    monkeypatch.setattr(device, "load_weights", lambda *_, **__: pytest.fail("loaded"))
    refused(segment(*arguments), 2, message)


def test_the_input_is_never_overwritten(segment: Any, image: Path) -> None:
    before = image.read_bytes()
    for option in ("--output", "--overlay"):
        other_way = image.parent / ".." / image.parent.name / image.name
        refused(segment("--point", "2,3", option, other_way), 2, "never overwritten")
    assert image.read_bytes() == before


def test_mask_and_overlay_need_two_files(segment: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    refused(segment("--point", "2,3", "--output", path, "--overlay", path), 2, "Name two files")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "There is no image at"),
        (lambda path: path.write_text("text"), "Cannot read"),
        (lambda path: tifffile.imwrite(path, np.full((5, 5), np.nan)), "25 NaN or infinite"),
        (lambda path: tifffile.imwrite(path, np.zeros((5, 5), "c8")), "dtype complex64"),
        (
            lambda path: tifffile.imwrite(path, np.zeros((7, 5, 5)), photometric="minisblack"),
            "holds 7 planes; choose one with one index. For example --plane 3",
        ),
    ],
    ids=["missing", "text", "nan", "complex", "stack"],
)
def test_a_wrong_image_ends_with_2(weights: Path, tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "a.tif")
    refused(run("segment", tmp_path / "a.tif", "--point", "2,3", "--model", weights), 2, message)


def test_weights_that_cannot_be_had_end_with_1(image: Path, tmp_path: Path) -> None:
    for model in (tmp_path / "none.safetensors", "enormous"):
        result = run("segment", image, "--point", "2,3", "--model", model)
        assert result.exit_code == 1
        assert "Error: " in result.stderr
        assert "Traceback" not in result.output


def test_a_folder_that_is_not_there_ends_with_1(segment: Any, tmp_path: Path) -> None:
    refused(
        segment("--point", "2,3", "--output", tmp_path / "no" / "m.tif"), 1, "there is no folder"
    )


def test_a_full_disk_ends_with_1(
    segment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = segment("--point", "2,3", "--output", tmp_path / "m.tif", "--json")
    refused(result, 1, "No space left on device")


# The other commands


def test_info_names_versions_device_and_models() -> None:
    result = run("info", "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert {"python", "torch", "napari-sam2"} <= set(told["versions"])
    assert told["device"].split()[0] in ("cpu", "cuda", "mps")
    models = {model["name"]: model for model in told["models"]}
    assert {"micro", "tiny", "sam2_large"} <= set(models)
    assert models["tiny"]["path"] is None
    assert models["tiny"]["source"] == "facebook/sam2.1-hiera-tiny"


def test_info_and_clear_cache_tell_where_embeddings_are_and_how_large(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAPARI_SAM2_CACHE", str(tmp_path))
    kept = tmp_path / "a.features.safetensors"
    kept.write_bytes(b"x" * 30_000_000)
    assert json.loads(run("info", "--json").stdout)["embeddings"]["bytes"] == 30_000_000
    assert f"0.03 GB in {tmp_path}" in run("info").stdout
    assert "0.03 GB of embeddings removed" in run("clear-cache").stdout
    assert not kept.exists()


def test_info_in_words_tells_how_to_get_a_model() -> None:
    result = run("info")
    assert result.exit_code == 0
    assert "napari-sam2 download tiny" in result.stdout
    assert "39.0 M" in result.stdout


def test_info_shows_where_a_model_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from napari_sam2.weights import hub

    monkeypatch.setattr(hub, "available", lambda: {"tiny": tmp_path / "tiny.pt"})
    assert str(tmp_path / "tiny.pt") in run("info").stdout


def test_download_prints_the_path_and_shows_progress(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_sam2.weights import hub

    def fetch(entry: Any, *, progress: Any) -> Path:
        progress(78_000_000, 156_000_000)
        progress(156_000_000, 156_000_000)
        return tmp_path / entry.filename

    monkeypatch.setattr(hub, "fetch", fetch)
    result = run("download", "tiny")
    assert result.exit_code == 0
    assert result.stdout.strip() == str(tmp_path / "sam2.1_hiera_tiny.pt")
    assert "156 of 156 MB" in result.stderr


def test_download_of_an_unknown_name_tells_the_names() -> None:
    refused(run("download", "enormous"), 1, "No model is called 'enormous'. Choose one of micro")


@pytest.mark.parametrize("arguments", [("--help",), ("segment", "-h")])
def test_help_is_quick_because_torch_sleeps(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys; from napari_sam2.cli import app\n"
        f"try: app({list(arguments)!r})\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'napari', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_python_m_runs_the_command_line(image: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "napari_sam2", "segment", str(image), "--output", "mask.jpg"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Images are written as .tif")
    assert done.stdout == ""
