from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from napari_sam2.errors import PromptError
from napari_sam2.session.preprocess import MEAN, STD, to_model_input
from napari_sam2.training import data
from napari_sam2.training.data import (
    Picture,
    draw_pictures,
    load_pictures,
    random_window,
    recolour,
    touching_groups,
    whole_picture,
    windows,
)

SIDE, CANVAS = 64, 128
STRETCH = np.exp(data._STRETCH)  # the most that a window is drawn out along one axis
FIRST = 20  # colour of the ramp's first pixel, so that black is beyond the picture
SEEDS = range(8)


def tiles(kind: str = "fluo", side: int = 96, tile: int = 24) -> Picture:
    """Give a picture of square objects side by side, each in a colour of its own label."""
    y, x = np.indices((side, side)) // tile
    labels = (1 + y * (side // tile) + x).astype(np.int32)
    return Picture("tiles", kind, colour_of(labels), labels)


def colour_of(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.stack([labels * 13, 255 - labels * 7, labels * 3 + 60], -1).astype(np.uint8)


def ramp(height: int = 120, width: int = 90) -> Picture:
    """Give a picture whose colour tells where a pixel is: red its y, green its x."""
    y, x = np.indices((height, width))
    labels = (1 + y // 17 * 10 + x // 13).astype(np.int32)
    image = np.stack([FIRST + y, FIRST + x, np.full_like(y, 255)], -1).astype(np.uint8)
    return Picture("ramp", "fluo", image, labels)


def unblended(pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell where a window of `ramp` has no black from beyond the picture mixed in."""
    return pixels[..., 2] > 254.9


@pytest.fixture
def true_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "recolour", lambda pixels, rng: pixels)


def cut(picture: Picture, seed: int, canvas: int = CANVAS) -> tuple[NDArray[np.float64], Tensor]:
    """Cut a window; its pixels as (S, S, 3) of the range 0 to 255."""
    pixels, (labels, _, _) = random_window(picture, np.random.default_rng(seed), SIDE, canvas)
    return pixels.permute(1, 2, 0).double().numpy() * 255, labels


# One window


@pytest.mark.parametrize("seed", SEEDS)
def test_image_and_labels_stay_together(
    true_colours: None, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_BY_OBJECT", 0)  # nearer, colours blend into each other further in
    pixels, labels = cut(tiles(), seed)
    checked = 0
    for label in labels.unique().tolist():
        inner = ndimage.binary_erosion(labels.numpy() == label, iterations=4)
        if label == 0 or not inner.any():
            continue
        wanted = np.broadcast_to(colour_of(np.array([label], np.int32)), (inner.sum(), 3))
        np.testing.assert_allclose(pixels[inner], wanted, atol=0.01)
        checked += int(inner.sum())
    assert checked > 100


@pytest.mark.parametrize("canvas", [CANVAS, 40], ids=["near", "far, pooled first"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_window_is_one_affine_view_that_shows_each_place_once(
    true_colours: None, seed: int, canvas: int
) -> None:
    """Mirrored content beyond the picture's edge would be a second object under one label."""
    picture = ramp()
    pixels, labels = cut(picture, seed, canvas)
    place = pixels[..., :2] - FIRST  # (S, S, 2), the (y, x) that a pixel shows
    last = np.array(picture.labels.shape) - 1
    margin = 4  # picture pixels that pooling may blend with the edge
    inside = ((place > margin) & (place < last - margin)).all(-1) & unblended(pixels)
    window = np.argwhere(inside)
    assert len(window) > 30
    affine = np.c_[window, np.ones(len(window))]
    fit, *_ = np.linalg.lstsq(affine, place[inside], rcond=None)
    np.testing.assert_allclose(affine @ fit, place[inside], atol=0.05)
    # The same view tells the label of every pixel, and which lie beyond the picture.
    everywhere = np.c_[np.argwhere(np.ones_like(inside)), np.ones(SIDE * SIDE)] @ fit
    spread = np.abs(fit[:2]).sum(0).max()  # picture pixels between neighbours, at most
    beyond = ((everywhere < -spread - 1) | (everywhere > last + spread + 1)).any(-1)
    assert not labels.numpy().ravel()[beyond].any()
    far_in = ((everywhere > spread) & (everywhere < last - spread)).all(-1)
    assert labels.numpy().ravel()[far_in].all()


@pytest.mark.parametrize("canvas", [CANVAS, 40], ids=["near", "far, pooled first"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_label_is_at_the_place_that_its_pixel_shows(
    true_colours: None, seed: int, canvas: int
) -> None:
    """To one and a half picture pixels: labels once moved by half a pooled pixel."""
    slack = 1.5
    picture = ramp()
    pixels, labels = cut(picture, seed, canvas)
    place = pixels[..., :2] - FIRST
    last = np.array(picture.labels.shape) - 1
    around = []
    for shift in slack * np.array([(-1, 0), (1, 0), (0, -1), (0, 1)]):
        index = np.clip(np.round(place + shift), 0, last).astype(int)
        around.append(picture.labels[index[..., 0], index[..., 1]])
    same = np.where((np.array(around) == around[0]).all(0), around[0], 0)  # away from borders
    shown = (labels.numpy() > 0) & (same > 0) & unblended(pixels)
    assert shown.sum() > 60
    np.testing.assert_array_equal(labels.numpy()[shown], same[shown])


def test_beyond_the_picture_is_black_or_its_border_but_never_an_object(true_colours: None) -> None:
    full = Picture("full", "fluo", np.full((40, 40, 3), 200, np.uint8), np.ones((40, 40), np.int32))
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pixels, (labels, _, _) = random_window(full, rng, SIDE, CANVAS)
        black = (pixels == 0).all(0)
        assert not labels[black].any()
        if (labels == 0).any():
            seen.add("black" if black.any() else "border")
    assert seen == {"black", "border"}


@pytest.mark.parametrize("seed", SEEDS)
def test_scale_keeps_to_its_range(
    true_colours: None, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_BY_OBJECT", 0)
    picture = ramp(140, 140)
    pixels, labels = cut(picture, seed)
    inside = labels.numpy() > 0
    steps = [np.gradient(pixels[..., channel], axis=(0, 1)) for channel in (0, 1)]
    inner = ndimage.binary_erosion(inside, iterations=3)
    (a, b), (c, d) = ([np.median(g[inner]) for g in step] for step in steps)
    zoom = 1 / np.sqrt(abs(a * d - b * c))
    whole = CANVAS / 140  # the zoom at which the whole picture fills the canvas
    assert 0.6 * whole * 0.97 < zoom < 2.6 * whole * 1.03


def test_objects_of_all_sizes_are_shown(
    true_colours: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large nuclei were fragmented: nearly all that were trained on were small."""
    monkeypatch.setattr(data, "_BY_OBJECT", 1)
    labels = np.zeros((400, 400), np.int32)
    labels[190:210, 180:220] = 7
    picture = Picture("one", "fluo", np.zeros((400, 400, 3), np.uint8), labels)
    rng = np.random.default_rng(0)
    areas = [float((random_window(picture, rng, 256, 256)[1][0] > 0).sum()) for _ in range(30)]
    sizes = np.sqrt(areas)
    smallest, largest = data._SIZES
    assert sizes.min() > 0.3 * smallest, "the object may be cut by the edge"
    assert sizes.max() < 1.03 * largest
    assert 4 < (sizes > 90).sum() < 20
    assert 4 < (sizes < 45).sum() < 20


def test_windows_are_turned_mirrored_and_drawn_out(true_colours: None) -> None:
    picture = ramp(140, 140)
    angles, mirrored, stretches = [], [], []
    for seed in range(30):
        pixels, labels = cut(picture, seed)
        inner = ndimage.binary_erosion(labels.numpy() > 0, iterations=3)
        steps = [np.gradient(pixels[..., channel], axis=(0, 1)) for channel in (0, 1)]
        matrix = np.array([[np.median(g[inner]) for g in step] for step in steps])
        angles.append(np.arctan2(matrix[1, 0], matrix[0, 0]))
        mirrored.append(np.linalg.det(matrix) < 0)
        long, short = np.linalg.svd(matrix)[1]
        stretches.append(np.sqrt(long / short))
    assert len(np.unique(np.floor(np.array(angles) / (np.pi / 4)))) >= 6
    assert 5 < sum(mirrored) < 25
    assert max(stretches) < STRETCH * 1.03
    assert max(stretches) > 1.25


@pytest.mark.parametrize("seed", SEEDS)
def test_a_window_looks_at_an_object(seed: int) -> None:
    labels = np.zeros((300, 300), np.int32)
    labels[250:258, 20:28] = 7
    picture = Picture("one", "fluo", np.zeros((300, 300, 3), np.uint8), labels)
    _, (seen, _, _) = random_window(picture, np.random.default_rng(seed), SIDE, 300)
    assert set(seen.unique().tolist()) == {0, 7}


@pytest.mark.parametrize("shape", [(10, 12), (5, 300), (300, 7), (16, 17)])
def test_a_picture_smaller_than_a_window(true_colours: None, shape: tuple[int, int]) -> None:
    labels = np.ones(shape, np.int32)
    labels[:, shape[1] // 2 :] = 2
    image = np.full((*shape, 3), 255, np.uint8)
    image[labels == 1, 0] = 0
    picture = Picture("small", "fluo", image, labels)
    for seed in range(6):
        pixels, seen = cut(picture, seed)
        assert set(seen.unique().tolist()) <= {0, 1, 2}
        assert (seen > 0).any()
        known = (seen.numpy() > 0) & unblended(pixels) & (np.abs(pixels[..., 0] - 127.5) > 64)
        assert known.any()
        np.testing.assert_array_equal(seen.numpy()[known] == 2, pixels[known, 0] > 127.5)


def test_a_picture_without_objects_gives_windows_too() -> None:
    empty = Picture("e", "fluo", np.zeros((50, 60, 3), np.uint8), np.zeros((50, 60), np.int32))
    pixels, (labels, _, _) = random_window(empty, np.random.default_rng(0), SIDE, CANVAS)
    assert pixels.shape == (3, SIDE, SIDE)
    assert not labels.any()


# Whole pictures


@pytest.mark.parametrize("shape", [(96, 96), (50, 90), (200, 120)])
def test_a_whole_picture_is_seen_as_a_session_sees_it(
    true_colours: None, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    picture = Picture("whole", "fluo", image, np.ones(shape, np.int32))
    pixels, (labels, _, _) = whole_picture(picture, np.random.default_rng(0), SIDE)
    wanted = to_model_input(image, SIDE)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close((pixels - mean) / std, wanted, atol=1e-4, rtol=1e-4)
    assert labels.shape == (SIDE, SIDE)
    assert labels.dtype == torch.int64
    assert labels.all()


@pytest.mark.parametrize("shape", [(120, 90), (40, 90), (50, 50)])
def test_a_squeezed_picture_and_its_labels_stay_together(
    true_colours: None, shape: tuple[int, int]
) -> None:
    picture = ramp(*shape)
    pixels, (labels, _, _) = whole_picture(picture, np.random.default_rng(0), SIDE)
    place = (pixels.permute(1, 2, 0).double().numpy() * 255 - FIRST)[..., :2]
    y, x = np.indices((SIDE, SIDE))
    wanted = (np.stack([y, x], -1) + 0.5) * np.array(shape) / SIDE - 0.5
    inner = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(place[inner], wanted[inner], atol=0.6)
    index = np.clip(np.round(wanted), 0, np.array(shape) - 1).astype(int)
    there = picture.labels[index[..., 0], index[..., 1]]
    assert (labels.numpy() == there).mean() > 0.97, "but for ties in rounding"


def test_whole_pictures_are_shown_on_whole_canvases_only(
    true_colours: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []
    plain = data.whole_picture

    def remember(picture: Picture, rng: np.random.Generator, side: int) -> tuple[Tensor, Tensor]:
        sides.append(side)
        return plain(picture, rng, side)

    monkeypatch.setattr(data, "whole_picture", remember)
    take(20, [tiles()], side=16, canvas=32)
    assert sides == []
    take(20, [tiles()], side=32, canvas=32, batch=1)
    assert 5 < len(sides) < 21, "of 21 drawn"


# Colours


def picture_of_noise(seed: int = 0) -> Tensor:
    return torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(20))
def test_recoloured_pixels_are_pixels(seed: int) -> None:
    pixels = picture_of_noise()
    before = pixels.clone()
    out = recolour(pixels, np.random.default_rng(seed))
    assert out.shape == pixels.shape
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(pixels, before), "the pool's own window was changed"


def test_flat_pictures_survive_recolouring() -> None:
    for seed in range(40):
        out = recolour(torch.full((3, 20, 20), 0.5), np.random.default_rng(seed))
        assert out.isfinite().all()


def test_some_windows_keep_their_colours() -> None:
    pixels = picture_of_noise()
    kept = [torch.equal(recolour(pixels, np.random.default_rng(s)), pixels) for s in range(60)]
    assert 3 < sum(kept) < 30


def test_recolouring_varies_polarity_and_brightness() -> None:
    pixels = torch.linspace(0, 1, 40).expand(3, 40, 40).contiguous()
    rising, means = [], []
    for seed in range(60):
        grey = recolour(pixels, np.random.default_rng(seed)).mean((0, 1))
        rising.append(bool(grey[-5:].mean() > grey[:5].mean()))
        means.append(grey.mean().item())
    assert 8 < rising.count(False) < 35
    assert min(means) < 0.35
    assert max(means) > 0.6


# Batches


def take(count: int, pictures: list[Picture], seed: int = 0, **options: int) -> list[data.Windows]:
    options = {"batch": 2, "side": 16, "canvas": 32, "fresh": 1, **options}
    batches = windows(pictures, np.random.default_rng(seed), **options)
    return [next(batches) for _ in range(count)]


def test_batches_are_as_the_model_wants_them() -> None:
    for batch in take(3, [tiles()], batch=3):
        assert batch.pixels.shape == (3, 3, 16, 16)
        assert batch.pixels.dtype == torch.float32
        assert batch.labels.shape == (3, 16, 16)
        assert batch.labels.dtype == torch.int64


def test_the_same_seed_gives_the_same_windows() -> None:
    pictures = [tiles(), ramp()]
    first, second, other = (take(6, pictures, seed) for seed in (1, 1, 2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.pixels, b.pixels)
        assert torch.equal(a.labels, b.labels)
    assert not torch.equal(first[0].pixels, other[0].pixels)


def test_kept_windows_are_mirrored_with_their_labels(true_colours: None) -> None:
    views = set()
    for batch in take(40, [tiles()], fresh=0, batch=1):
        pixels = batch.pixels[0].permute(1, 2, 0).numpy() * 255
        labels = batch.labels[0].numpy()
        views.add(labels.tobytes())
        inner = ndimage.minimum_filter(labels, 5) == ndimage.maximum_filter(labels, 5)
        inner &= labels > 0
        np.testing.assert_allclose(pixels[inner], colour_of(labels[inner]), atol=2)
    assert len(views) == 8, "four turns, each mirrored or not"


def test_a_full_pool_is_renewed(true_colours: None) -> None:
    drawn: list[int] = []
    plain = data._draw

    def count(*arguments: object) -> tuple[Tensor, Tensor]:
        drawn.append(1)
        return plain(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "_draw", count)
        batches = take(60, [ramp()], fresh=2, pool=4)
    assert len(drawn) == 2 + 60 * 2
    means = {round(float(batch.pixels.mean()), 4) for batch in batches}
    assert len(means) > 30, "more windows than the pool holds at a time"


def test_drawn_scenes_are_replaced_while_a_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def draw(rng: np.random.Generator, name: str) -> Picture:
        drawn.append(name)
        return tiles("shapes")

    monkeypatch.setattr(data, "draw_picture", draw)
    pictures = [tiles("shapes"), tiles("fluo")]
    take(40, pictures, batch=1, pool=1, side=8, new_scenes=0.5)
    assert 8 < len(drawn) < 32
    assert set(drawn) == {"tiles"}
    take(40, pictures, batch=1, pool=1, side=8)
    assert len(drawn) < 32, "unless asked for"


def test_a_group_is_a_few_objects_that_touch() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[2:8, 2:8], labels[2:8, 9:15] = 1, 2  # two
    labels[20:26, 2:8] = 3  # alone
    for index in range(9):  # too many
        labels[30:36, 2 + 6 * index : 8 + 6 * index] = 10 + index
    groups = touching_groups(labels)
    assert (groups > 0).tolist() == np.isin(labels, [1, 2]).tolist()
    assert len(np.unique(groups)) == 2


def test_parts_and_groups_come_with_the_objects(true_colours: None) -> None:
    picture = replace(tiles(), parts=(tiles().labels % 2).astype(np.int32))
    batch = next(
        windows([picture], np.random.default_rng(0), batch=2, side=SIDE, canvas=CANVAS, fresh=1)
    )
    assert batch.others is not None
    parts, groups = batch.others.unbind(1)
    assert torch.equal(parts, batch.labels % 2)
    assert not groups.any(), "sixteen that touch are no group"


def test_kinds_come_by_their_weights_not_by_their_counts() -> None:
    def flat(kind: str, label: int) -> Picture:
        shape = (32, 32)
        image = np.zeros((*shape, 3), np.uint8)
        return Picture(kind, kind, image, np.full(shape, label, np.int32))

    pictures = [flat("fluo", 1), flat("colour", 2), *[flat("bright", 3)] * 30]
    seen: Counter[int] = Counter()
    for batch in take(300, pictures, batch=1, pool=1, side=8):
        seen.update([int(batch.labels.max())])
    assert seen[1] > seen[2] > seen[3]
    assert seen[1] + seen[2] + seen[3] == 300


# Files


def save(folder: Path, name: str, image: NDArray[np.uint8], labels: NDArray[np.uint16]) -> None:
    Image.fromarray(image).save(folder / f"{name}_image.png")
    Image.fromarray(labels).save(folder / f"{name}_label.png")


def test_pictures_of_a_split_are_read_with_their_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    labels = rng.integers(0, 700, (9, 11)).astype(np.uint16)
    save(tmp_path, "fluo_a_1", image, labels)
    save(tmp_path, "bright_2", image[..., 0], labels)
    (tmp_path / "val.txt").write_text("fluo_a_1\nbright_2\n")
    first, second = load_pictures(tmp_path, "val")
    assert (first.name, first.kind) == ("fluo_a_1", "fluo")
    assert (second.name, second.kind) == ("bright_2", "bright")
    np.testing.assert_array_equal(first.image, image)
    np.testing.assert_array_equal(first.labels, labels)
    assert first.labels.dtype == np.int32
    np.testing.assert_array_equal(second.image, np.repeat(image[..., :1], 3, 2))


@pytest.mark.parametrize("missing", ["val.txt", "fluo_1_image.png", "fluo_1_label.png"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    save(tmp_path, "fluo_1", np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint16))
    (tmp_path / "val.txt").write_text("fluo_1")
    (tmp_path / missing).unlink()
    with pytest.raises(PromptError, match=f"{missing} cannot be read.*Give a folder with val.txt"):
        load_pictures(tmp_path, "val")


@pytest.mark.parametrize(
    "labels",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 4, 3), np.uint8)],
    ids=["of another size", "in colour"],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: NDArray[np.uint16]) -> None:
    save(tmp_path, "fluo_1", np.zeros((4, 4), np.uint8), labels)
    (tmp_path / "val.txt").write_text("fluo_1")
    with pytest.raises(PromptError, match=r"fluo_1_label.png must be grey.*\(4, 4\).*got"):
        load_pictures(tmp_path, "val")


def test_drawn_pictures_are_of_the_kind_shapes() -> None:
    one, two = draw_pictures(2, seed=3, side=48)
    assert (one.name, one.kind) == ("shapes_0000", "shapes")
    assert (two.name, two.kind) == ("shapes_0001", "shapes")
    assert not np.array_equal(one.image, two.image)
