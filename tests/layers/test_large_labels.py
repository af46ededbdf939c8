"""Layers of labels that are too large for memory, or for the screen."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_sam2.errors import PromptError
from napari_sam2.layers import label_data, mask_writer
from napari_sam2.layers.create import (
    create_mask,
    create_objects,
    ensure_layers,
    find_layers,
    no_longer_new,
)
from napari_sam2.layers.kept_document import open_document
from napari_sam2.layers.label_source import read_label
from napari_sam2.layers.mask_writer import LabelLayer
from napari_sam2.session.chunked_array import ChunkedArray
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from tests.session.chunk_counts import counted_chunks

SIDE = 100_000
WORLD = {"scale": (0.5, 0.5), "translate": (10, 20)}


@pytest.fixture(autouse=True)
def labels_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "labels"
    monkeypatch.setattr("napari_sam2.session.label_folder.default_folder", lambda: folder)
    return folder


def lazy(shape: tuple[int, ...]) -> Any:
    return da.zeros(shape, np.uint8, chunks=(*(1,) * (len(shape) - 2), 2048, 2048))


def pyramid() -> list[Any]:
    return [lazy((SIDE >> level, SIDE >> level)) for level in range(8)]


@pytest.fixture
def huge(viewer: ViewerModel) -> Image:
    return viewer.add_image(pyramid(), name="huge", contrast_limits=(0, 255), **WORLD)


@pytest.fixture
def store(huge: Image, viewer: ViewerModel) -> Iterator[LabelLayer]:
    store = LabelLayer(viewer.add_layer(create_objects(huge)))
    yield store
    store.close()


def square(y: int, x: int, value: int, side: int = 40) -> PixelEdit:
    before = np.zeros((side, side), np.int32)
    edit = PixelEdit.between((y, x), before, before + value)
    assert edit is not None
    return edit


def value_on_screen(layer: Labels, y: int, x: int) -> int:
    """Give what napari shows at a pixel of the data; at another level than the finest as well."""
    found: Any = layer.get_value(layer.data_to_world((y, x)), world=True)
    return int(found[1] if layer.multiscale else found)


def image_of(kind: str, shape: tuple[int, ...], folder: Path) -> Any:
    if kind == "numpy":
        return np.zeros(shape, np.uint8)
    if kind == "memmap":
        return np.memmap(folder / "image", np.uint8, "w+", shape=shape)
    if kind == "zarr":
        return zarr.open_array(str(folder / "image.zarr"), mode="w", shape=shape, dtype="u1")
    return lazy(shape)


@pytest.mark.parametrize("kind", ["numpy", "memmap", "zarr", "dask"])
def test_large_labels_of_lazy_images_are_in_chunks(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_data, "SMALL", 4 * 5 * 40 * 60)
    for planes, is_large in ((5, False), (6, True)):
        image = Image(image_of(kind, (planes, 40, 60), tmp_path))
        is_chunked = is_large and kind != "numpy"
        for layer in (create_objects(image), create_mask(image)):
            assert isinstance(layer.data, ChunkedArray if is_chunked else np.ndarray)
            assert layer.data.dtype == np.int32
            assert not layer.multiscale


def test_labels_leave_memory_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_data, "SHARE", 0)
    assert isinstance(create_objects(Image(np.zeros((40, 60)))).data, ChunkedArray)


def test_only_a_plane_that_is_too_large_for_the_screen_has_levels(huge: Image) -> None:
    stack = Image(lazy((600, 2048, 2048)))
    assert isinstance(create_objects(stack).data, ChunkedArray)
    assert [level.shape[0] for level in create_objects(huge).data][-2:] == [1563, 782]
    small = Image([np.zeros((2000, 3000), np.uint8), np.zeros((1000, 1500), np.uint8)])
    assert isinstance(create_objects(small).data, np.ndarray)
    assert create_objects(small).data.shape == (2000, 3000)


def test_what_is_written_is_shown_at_every_level(store: LabelLayer) -> None:
    layer = store.layer
    assert layer.data_level == 7
    store.write(square(51_200, 51_200, 6, side=200))
    assert value_on_screen(layer, 51_300, 51_300) == 6
    layer.corner_pixels = np.array([[51_000, 51_000], [51_999, 51_999]])
    layer.data_level = 0
    assert value_on_screen(layer, 51_399, 51_399) == 6
    assert value_on_screen(layer, 51_400, 51_399) == 0
    store.write(square(51_200, 51_200, 6, side=200).reversed())
    assert value_on_screen(layer, 51_300, 51_300) == 0


def test_many_changes_are_drawn_once(store: LabelLayer) -> None:
    drawn = Mock()
    store.layer.events.set_data.connect(drawn)
    store.write(*(square(100 * at, 0, 1) for at in range(9)))
    drawn.assert_called_once()
    with store.drawing():
        for at in range(9):
            store.set_pixels((np.array([at]), np.array([1])), np.array([2]))
    assert drawn.call_count == 2


def test_a_hidden_layer_is_written_and_shown_later(store: LabelLayer) -> None:
    store.layer.visible = False
    store.write(square(51_200, 51_200, 6, side=200))
    store.layer.visible = True
    assert value_on_screen(store.layer, 51_300, 51_300) == 6


@pytest.mark.parametrize("tool", ["paint", "erase", "fill", "polygon"])
def test_who_reaches_for_the_brush_is_told_why_not(
    store: LabelLayer, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Mock()
    monkeypatch.setattr(mask_writer, "show_info", said)
    store.layer.mode = tool
    assert store.layer.mode == "pan_zoom"
    said.assert_called_once()
    assert "too large for the brush" in said.call_args[0][0]
    store.layer.mode = "pick"
    assert store.layer.mode == "pick"


def test_the_brush_paints_in_chunks(viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_data, "SHARE", 0)
    image = viewer.add_image(np.zeros((3, 40, 60)), scale=(2, 0.5, 0.5))
    store = LabelLayer(viewer.add_layer(create_objects(image)))
    told = list[PixelEdit]()
    store.painted.connect(told.extend)
    store.layer.mode = "paint"
    store.layer.paint((1, 8, 8), 3)
    assert int((np.asarray(store.layer.data) == 3).sum()) == sum(edit.count for edit in told) > 0
    # An edit of ours that napari knows nothing of: what it would undo before that is forgotten.
    before = store.read((1, 0, 0), (2, 40, 60))
    edit = PixelEdit.between((1, 0, 0), before, np.full_like(before, 5))
    assert edit is not None
    store.write(edit)
    assert store.layer.mode == "paint"
    store.layer.undo()
    assert (store.read((1, 0, 0), (2, 40, 60)) == 5).all()
    assert len(told) == 1


def test_a_stroke_touches_the_chunk_that_it_is_in(
    viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_data, "SHARE", 0)
    image = viewer.add_image(lazy((3, 4000, 4000)), contrast_limits=(0, 255))
    store = LabelLayer(viewer.add_layer(create_objects(image)))
    for value in (3, 4):
        with counted_chunks() as counts:
            store.layer.paint((0, 700, 700), value)
        assert counts.written == 1
        assert counts.touched == {"0/1/1"}
        assert counts.read <= 8  # to paint, and to know when napari undoes it


def test_napari_hoards_no_history_of_what_we_write(store: LabelLayer) -> None:
    for at in range(5):
        store.write(square(100 * at, 0, 1))
        store.set_pixels((np.array([at]), np.array([1])), np.array([2]))
    assert len(store.layer._undo_history) == 0


def test_a_value_that_does_not_fit_is_refused(store: LabelLayer) -> None:
    store.hold(2**31 - 1)
    with pytest.raises(PromptError, match="Renumber"):
        store.hold(2**31)


def test_a_layer_that_is_gone_leaves_nothing(viewer: ViewerModel, labels_folder: Path) -> None:
    image = viewer.add_image(pyramid(), contrast_limits=(0, 255))
    layers = ensure_layers(viewer, image)
    document = open_document(layers, lambda: (0, 1))
    document.set_answer(Plane((0, 1)), (SIDE, SIDE), answer(500, 600, 30))
    document.commit()
    assert len(list(labels_folder.iterdir())) == 2
    viewer.layers.remove(layers.objects)
    viewer.layers.selection.active = image  # napari remembers the layer that was active last
    del document, layers
    gc.collect()
    assert list(labels_folder.iterdir()) == []


def test_a_duplicate_is_a_backup(store: LabelLayer) -> None:
    """napari's "Duplicate" copies the data so."""
    store.write(square(500, 500, 6))
    twin = Labels(copy.deepcopy(list(store.layer.data)))
    store.write(square(500, 500, 6).reversed())
    assert np.asarray(twin.data[0][520:521, 520:521]) == 6


def test_a_folder_of_the_user_keeps_the_objects(huge: Image, tmp_path: Path) -> None:
    layer = create_objects(huge, str(tmp_path))
    LabelLayer(layer).write(square(500, 500, 6))
    del layer
    gc.collect()
    assert zarr.open(str(tmp_path / "huge objects.zarr" / "0"), mode="r")[520, 520] == 6


def answer(y: int, x: int, *sides: int) -> Answer:
    masks = [PackedMask.of(np.ones((n, n), bool), (y, x), (SIDE, SIDE)) for n in sides]
    return Answer(Prompts(((float(y), float(x)),), (1,)), tuple(masks), (0.9,) * len(masks))


def test_a_mask_that_jumps_across_the_plane_is_drawn(viewer: ViewerModel, huge: Image) -> None:
    layers = ensure_layers(viewer, huge)
    document = open_document(layers, lambda: (0, 1))
    plane, finest = Plane((0, 1)), layers.mask.data[0]
    document.set_answer(plane, (SIDE, SIDE), answer(500, 600, 30, 50))
    assert finest[540:541, 640:641] == 0
    document.choose(plane, 1)
    assert finest[540:541, 640:641] == 1
    document.set_answer(plane, (SIDE, SIDE), answer(99_000, 98_000, 30))
    assert finest[540:541, 640:641] == 0
    assert finest[99_010:99_011, 98_010:98_011] == 1
    assert int(np.count_nonzero(layers.mask.data[-1])) == 1
    document.commit()
    assert not np.asarray(layers.mask.data[-1]).any()
    assert layers.objects.data[0][99_010:99_011, 98_010:98_011] == 1


def test_large_labels_are_found_again(viewer: ViewerModel, huge: Image) -> None:
    layers = ensure_layers(viewer, huge)
    assert find_layers(viewer, huge) == layers
    document = open_document(layers, lambda: (0, 1))
    assert open_document(layers, lambda: (0, 1)) is document


@pytest.mark.parametrize("is_wide", [False, True])
def test_lazy_data_in_place_of_ours_become_writable(
    viewer: ViewerModel, is_wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_data, "SMALL", 0)
    monkeypatch.setattr(label_data, "is_wide", lambda _: is_wide)
    monkeypatch.setattr("napari_sam2.session.level_labels._COARSEST", 16)
    image = viewer.add_image(lazy((40, 60)), contrast_limits=(0, 255))
    layers = ensure_layers(viewer, image)
    document = open_document(layers, lambda: (0, 1))
    store = document.labels
    assert isinstance(store, LabelLayer)
    levels = [da.ones((40 >> at, 60 >> at), dtype=np.int32) for at in range(2)]
    layers.objects.data = levels if is_wide else levels[0]
    assert {i: record.area for i, record in document.state.objects.items()} == {1: 2400}
    assert layers.objects.multiscale == is_wide
    store.set_pixels((np.array([3]), np.array([4])), np.array([2]))
    assert store.read((3, 3), (4, 6)).tolist() == [[1, 2, 1]]
    store.clear()
    assert not store.read((0, 0), (40, 60)).any()
    assert layers.objects.editable  # to be told why the brush does not paint


def test_what_is_in_large_labels_of_the_mask_is_taken_for_painted(
    viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_data, "SHARE", 0)
    layers = ensure_layers(viewer, viewer.add_image(np.zeros((3, 40, 60))))
    layers.mask.data[1, 5:8, 6:10] = 9
    no_longer_new(layers.mask)
    document = open_document(layers, lambda: (1, 2))
    mask = document.mask_on(Plane((1, 2), (1,)))
    assert mask is not None
    assert mask.box == (5, 6, 8, 10)
    assert (layers.mask.data[1, 5:8, 6:10] == 1).all()


def test_a_label_of_a_crop_is_found_on_a_huge_plane(huge: Image) -> None:
    crop = np.zeros((80, 90), np.int32)
    crop[10:20, 30:50] = 4
    at = {"scale": WORLD["scale"], "translate": (10 + 0.5 * 70_000, 20 + 0.5 * 60_000)}
    mask = read_label(Labels(crop, **at), 4, huge, Plane((0, 1)), (SIDE, SIDE))
    assert mask.box == (70_010, 60_030, 70_020, 60_050)
    assert mask.area == 200


def test_labels_as_large_as_a_huge_plane_are_not_searched(huge: Image) -> None:
    other = Labels([level.astype(np.int32) for level in pyramid()], **WORLD)
    with pytest.raises(PromptError, match="too many to look for one label in"):
        read_label(other, 4, huge, Plane((0, 1)), (SIDE, SIDE))
