from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.view import View
from napari_sam2.training import finetune as module
from napari_sam2.training import own
from napari_sam2.training.own import train_own
from napari_sam2.training.tuning import Figures, Job, LabelledPlane, Progress, Recipe
from napari_sam2.weights import registry
from napari_sam2.weights.loading import load_weights, save_weights
from napari_sam2.weights.registry import own_models
from tests.session.conftest import make_tiny_model
from tests.training.test_finetune import scene


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A training on one grey plane, of which checks say that it helps."""
    asked = iter(range(1, 100))
    monkeypatch.setattr(registry, "own_folder", lambda: tmp_path / "models")
    monkeypatch.setattr(module, "_POOL", 2)
    monkeypatch.setattr(module, "_OBJECTS", 4)
    monkeypatch.setattr(module, "score", lambda *_: Figures(next(asked) / 100, 0.5))
    save_weights(make_tiny_model(), tmp_path / "base.safetensors")
    return job_of(str(tmp_path / "base.safetensors"))


def job_of(base: str) -> Job:
    picture = scene()
    grey = picture.image[..., 0].astype(np.float32)
    image = PlaneImage.of("cells", grey, View.of_limits((40, 200)))
    plane = LabelledPlane("cells", image, image.whole, picture.labels)
    return Job((plane,), base, "cpu", "mine", Recipe("head", 2))


def test_the_model_is_the_users_own(job: Job, tmp_path: Path) -> None:
    outcome = train_own(job, lambda _: None)
    assert outcome.helped
    assert list(own_models()) == ["mine"]
    loaded = load_weights("mine")
    assert loaded.name == "mine"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine.safetensors"]


def test_a_stopped_training_is_gone_on_with(job: Job, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.stage == "training":
            raise StoppedError

    with pytest.raises(StoppedError):
        train_own(job, stop)
    assert (tmp_path / "models" / "mine.training.pt").exists()
    assert own_models() == {}
    told: list[Progress] = []
    train_own(job, told.append)
    assert [p.done for p in told if p.stage == "training"] == [2]


def test_the_model_learns_from_what_it_sees(job: Job) -> None:
    picture = own._as_picture(job.planes[0])
    assert picture.image.shape == (64, 64, 3)
    assert (picture.image.min(), picture.image.max()) == (0, 255), "as the contrast limits say"
    assert picture.labels.dtype == np.int32
