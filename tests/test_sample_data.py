"""What File > Open Sample opens, as napari opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Layer
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

import napari_sam2
from napari_sam2 import _sample_data
from napari_sam2._sample_data import fluorescence, read_sample, tissue
from napari_sam2.session.pixels import as_plane

PACKAGE = Path(napari_sam2.__file__).parent
SAMPLES = [fluorescence, tissue]


@pytest.mark.parametrize("sample", SAMPLES)
def test_napari_makes_an_image_layer_of_each(sample: Callable[[], list[Any]]) -> None:
    (layer_data,) = sample()
    layer = Layer.create(*layer_data)
    assert isinstance(layer, Image)
    assert layer.name.startswith("nuclei")
    np.testing.assert_array_equal(as_plane(layer.data), layer.data)


def test_fluorescence_is_grey_and_can_be_seen() -> None:
    ((image, options, kind),) = fluorescence()
    assert kind == "image"
    assert image.ndim == 2
    assert image.dtype == np.uint8
    low, high = options["contrast_limits"]
    assert image.min() <= low < high <= image.max()
    assert (image > high).mean() < 0.01  # little is clipped
    assert high - low > 20


def test_tissue_is_in_colour() -> None:
    ((image, options, kind),) = tissue()
    layer = Layer.create(image, options, kind)
    assert image.shape[2:] == (3,)
    assert image.dtype == np.uint8
    assert isinstance(layer, Image)
    assert layer.rgb
    assert len({int(image[..., channel].mean()) for channel in range(3)}) > 1


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_is_the_same_each_time_and_not_shared(sample: Callable[[], list[Any]]) -> None:
    (first, _, _), (second, _, _) = sample()[0], sample()[0]
    np.testing.assert_array_equal(first, second)
    assert not np.shares_memory(first, second)
    assert image_fits_a_wheel(first)


def image_fits_a_wheel(image: np.ndarray) -> bool:
    return min(image.shape[:2]) >= 200 and max(image.shape[:2]) <= 1024


def test_every_file_in_samples_is_a_picture_that_is_offered() -> None:
    manifest = PluginManifest.from_file(PACKAGE / "napari.yaml")
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    offered = [
        import_python_name(commands[sample.command])
        for sample in manifest.contributions.sample_data
    ]
    assert offered == SAMPLES
    files = sorted(file.stem for file in (PACKAGE / "samples").glob("*.png"))
    pictures = [read_sample(name) for name in files]
    for sample in offered:
        ((image, _, _),) = sample()
        assert any(np.array_equal(image, picture) for picture in pictures)
    assert len(files) == len(offered)


def test_a_sample_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        read_sample("nothing")


def test_the_module_sleeps_until_a_sample_is_opened() -> None:
    """Napari imports it on start; a picture library is not needed for that."""
    assert not hasattr(_sample_data, "Image")
