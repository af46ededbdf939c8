from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.model import Sam2
from napari_sam2.model.outputs import MaskOutput
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.postprocess import to_candidates
from napari_sam2.session.preprocess import MEAN, STD, to_model_input
from napari_sam2.session.prompts import LowResMask, Prompts, Request
from napari_sam2.session.regions import WHOLE, FieldOfView
from napari_sam2.session.view import GREEN, RED, Channel, View
from tests.session.conftest import TINY, make_tiny_model

SHAPE = (60, 90)
LOW_RES = TINY.image_size // 4
IMAGE = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
POINT, BOX = [(20.0, 30.0)], (10.0, 15.0, 40.0, 70.0)


class Spy:
    """Counts what the model is asked, and passes it on."""

    def __init__(self, model: Sam2, monkeypatch: pytest.MonkeyPatch) -> None:
        self.embedded: list[torch.Tensor] = []
        self.decoded: list[dict[str, Any]] = []
        embed, decode = model.embed, model.decode

        def spy_embed(pixels: torch.Tensor) -> Any:
            self.embedded.append(pixels)
            return embed(pixels)

        def spy_decode(features: Any, coords_xy: Any, labels: Any, logits: Any, **kw: Any) -> Any:
            self.decoded.append({"coords_xy": coords_xy, "labels": labels, "logits": logits, **kw})
            return decode(features, coords_xy, labels, logits, **kw)

        monkeypatch.setattr(model, "embed", spy_embed)
        monkeypatch.setattr(model, "decode", spy_decode)


@pytest.fixture
def spy(tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(tiny_model, monkeypatch)


@pytest.fixture
def segmenter(tiny_model: Sam2, spy: Spy) -> ImageSegmenter:
    return ImageSegmenter(tiny_model)


def request_for(image: np.ndarray = IMAGE, **kwargs: Any) -> Request:
    fields = {"prompts": Prompts(((20.0, 30.0),), (1,)), "model": "a", "device": "cpu"}
    return Request(PlaneImage.of("key", image), **(fields | kwargs))


# What comes back


def test_one_point_gives_three_candidates_best_first(segmenter: ImageSegmenter) -> None:
    prediction = segmenter.segment(IMAGE, points=POINT)
    assert prediction.masks.shape == (3, *SHAPE)
    assert prediction.masks.dtype == bool
    assert prediction.low_res_masks.shape == (3, LOW_RES, LOW_RES)
    assert (np.diff(prediction.iou_predictions) <= 0).all()
    assert isinstance(prediction.object_score, float)
    assert prediction.chosen == 0


@pytest.mark.parametrize(
    ("prompts", "wanted"),
    [
        ({"points": POINT}, 3),
        ({"points": POINT * 2}, 1),
        ({"box": BOX}, 1),
        ({"points": POINT, "box": BOX}, 1),
        ({"mask_logits": np.zeros((LOW_RES, LOW_RES))}, 3),
        ({"points": POINT, "mask_logits": np.zeros((LOW_RES, LOW_RES))}, 3),
        ({"points": POINT, "multimask": False}, 1),
        ({"box": BOX, "multimask": True}, 3),
    ],
)
def test_how_many_candidates_follows_the_models_rule_unless_told(
    segmenter: ImageSegmenter, prompts: dict[str, Any], wanted: int
) -> None:
    assert len(segmenter.segment(IMAGE, **prompts).masks) == wanted


def test_the_answer_is_the_models_own(segmenter: ImageSegmenter, tiny_model: Sam2) -> None:
    """Written out once more, without the segmenter."""
    prediction = segmenter.segment(IMAGE, points=[(20, 30)])
    coords = torch.tensor([[[30 / 90 * 128, 20 / 60 * 128]]])
    with torch.inference_mode():
        features = tiny_model.embed(to_model_input(IMAGE, 128)[None])
        output = tiny_model.decode(features, coords, torch.ones(1, 1).int(), None, multimask=True)
    order = output.iou_predictions[0].argsort(descending=True)
    low_res = output.low_res_masks[0, order]
    full = torch.nn.functional.interpolate(low_res[None], SHAPE, mode="bilinear")[0]
    np.testing.assert_allclose(prediction.low_res_masks, low_res, atol=1e-5)
    np.testing.assert_allclose(prediction.iou_predictions, output.iou_predictions[0, order])
    assert (prediction.masks == (full > 0).numpy()).mean() > 0.999
    assert prediction.object_score == pytest.approx(float(output.object_score[0]), abs=1e-5)


def test_points_and_box_reach_the_model_in_its_own_pixels(
    segmenter: ImageSegmenter, spy: Spy
) -> None:
    segmenter.segment(IMAGE, points=[(15, 45), (60, 90)], polarity=[1, 0], box=(0, 9, 30, 90))
    (asked,) = spy.decoded
    np.testing.assert_allclose(
        asked["coords_xy"][0], [[12.8, 0], [128, 64], [64, 32], [128, 128]], rtol=1e-6
    )
    assert asked["labels"].tolist() == [[2, 3, 1, 0]]


def test_an_earlier_answer_can_be_refined(segmenter: ImageSegmenter, spy: Spy) -> None:
    logits = segmenter.segment(IMAGE, points=POINT).low_res_masks
    for form in (logits[0], logits[:1], logits[0].tolist()):
        segmenter.segment(IMAGE, points=POINT, mask_logits=form)
        np.testing.assert_array_equal(spy.decoded[-1]["logits"], logits[None, :1])


def test_colours_alpha_and_one_channel_are_images(segmenter: ImageSegmenter) -> None:
    for image in (np.stack([IMAGE] * 3, -1), np.stack([IMAGE] * 4, -1), IMAGE[..., None]):
        assert segmenter.segment(image, points=POINT).masks.shape == (3, *SHAPE)


def test_lists_and_arrays_are_the_same_prompts(segmenter: ImageSegmenter) -> None:
    from_lists = segmenter.segment(IMAGE, [[20, 30], [5, 6]], [True, False], list(BOX))
    from_arrays = segmenter.segment(
        IMAGE, np.array([[20, 30], [5, 6]], np.uint8), np.array([1.0, 0.0]), np.array(BOX)
    )
    assert from_lists.request == from_arrays.request
    np.testing.assert_array_equal(from_lists.low_res_masks, from_arrays.low_res_masks)


def test_none_for_points_is_no_points(segmenter: ImageSegmenter, spy: Spy) -> None:
    segmenter.segment(IMAGE, points=None, box=BOX)
    assert spy.decoded[-1]["labels"].tolist() == [[2, 3]]


def test_points_are_positive_unless_told(segmenter: ImageSegmenter) -> None:
    assert segmenter.segment(IMAGE, POINT * 2).request.prompts.polarity == (1, 1)


def test_the_answer_carries_its_question(segmenter: ImageSegmenter, tiny_model: Sam2) -> None:
    request = segmenter.segment(IMAGE, POINT, box=BOX, multimask=True).request
    assert request.prompts == Prompts(((20.0, 30.0),), (1,), BOX)
    assert request.multimask is True
    assert (request.model, request.device) == (tiny_model.name, "cpu")
    np.testing.assert_array_equal(request.image.pixels(), IMAGE)


def test_equal_questions_are_equal_requests(segmenter: ImageSegmenter) -> None:
    first = segmenter.segment(IMAGE, POINT).request
    assert segmenter.segment(IMAGE.copy(), POINT).request == first
    assert segmenter.segment(255 - IMAGE, POINT).request != first


def test_features_carry_no_gradients(segmenter: ImageSegmenter) -> None:
    assert not segmenter.embed(IMAGE).image_embed.requires_grad


# Embedding once


def test_the_same_content_is_embedded_once(segmenter: ImageSegmenter, spy: Spy) -> None:
    segmenter.segment(IMAGE, points=POINT)
    segmenter.segment(IMAGE.copy(), box=BOX)
    segmenter.predict(request_for())
    segmenter.embed(IMAGE)
    assert len(spy.embedded) == 1


def test_a_changed_pixel_is_embedded_anew(segmenter: ImageSegmenter, spy: Spy) -> None:
    image = IMAGE.copy()
    segmenter.segment(image, points=POINT)
    image[59, 89] ^= 1
    segmenter.segment(image, points=POINT)
    assert len(spy.embedded) == 2


def test_other_contrast_limits_are_embedded_anew(segmenter: ImageSegmenter, spy: Spy) -> None:
    """Normalisation changed and the cached embeddings no longer matched (micro-sam 1283)."""
    request = request_for()
    for limits in (None, (0.0, 100.0), (0.0, 100.0), (0.0, 200.0)):
        segmenter.predict(
            replace(request, image=replace(request.image, view=View.of_limits(limits)))
        )
    assert len(spy.embedded) == 3


def test_going_back_to_an_earlier_plane_is_free(segmenter: ImageSegmenter, spy: Spy) -> None:
    for image in (IMAGE, 255 - IMAGE, IMAGE):
        segmenter.segment(image, points=POINT)
    assert len(spy.embedded) == 2


def test_the_cache_can_be_bounded(tiny_model: Sam2, spy: Spy) -> None:
    segmenter = ImageSegmenter(tiny_model, FeatureCache(max_bytes=1))
    for _ in range(2):
        segmenter.segment(IMAGE, points=POINT)
    assert len(spy.embedded) == 2


def test_a_shared_cache_does_not_mix_up_models(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache()
    for seed in (0, 1):
        model = make_tiny_model(seed)
        model.weights_hash = str(seed)
        spy = Spy(model, monkeypatch)
        ImageSegmenter(model, cache).segment(IMAGE, points=POINT)
        assert len(spy.embedded) == 1


# Reading once


class Reader:
    """A plane that counts how often it is read."""

    def __init__(self, image: np.ndarray = IMAGE, key: str = "key") -> None:
        self.count = 0
        self.image = image
        self.plane = PlaneImage(key, SHAPE, self)

    def __call__(self, region: Any, _step: float) -> tuple[np.ndarray, ...]:
        self.count += 1
        y0, x0, y1, x1 = region
        return (self.image[y0:y1, x0:x1],)

    def request(self, **kwargs: Any) -> Request:
        return replace(request_for(), image=replace(self.plane, **kwargs))


def test_a_click_on_an_embedded_plane_does_not_read_it_again(segmenter: ImageSegmenter) -> None:
    """On a large plane, reading and hashing took longer than decoding."""
    reader = Reader()
    first = segmenter.predict(reader.request())
    again = segmenter.predict(replace(reader.request(), prompts=Prompts(((5.0, 5.0),), (1,))))
    assert reader.count == 1
    assert (first.embed_was_cached, again.embed_was_cached) == (False, True)


def test_another_place_is_read_but_equal_pixels_are_not_embedded_again(
    segmenter: ImageSegmenter, spy: Spy
) -> None:
    readers = [Reader(key="first"), Reader(key="second")]
    answers = [segmenter.predict(reader.request()) for reader in readers]
    assert [reader.count for reader in readers] == [1, 1]
    assert [answer.embed_was_cached for answer in answers] == [False, True]
    assert len(spy.embedded) == 1


def test_other_contrast_limits_are_read_anew(segmenter: ImageSegmenter, spy: Spy) -> None:
    reader = Reader()
    for limits in (None, (0.0, 100.0), None, (0.0, 100.0)):
        segmenter.predict(reader.request(view=View.of_limits(limits)))
    assert (reader.count, len(spy.embedded)) == (2, 2)


def test_a_plane_whose_features_are_gone_is_read_again(tiny_model: Sam2, spy: Spy) -> None:
    cache, reader = FeatureCache(), Reader()
    segmenter = ImageSegmenter(tiny_model, cache)
    segmenter.predict(reader.request())
    cache.clear()
    reader.image = 255 - IMAGE
    again = segmenter.predict(reader.request())
    assert (reader.count, again.embed_was_cached) == (2, False)
    assert not torch.equal(*spy.embedded)


def test_a_read_plane_is_not_kept_alive(segmenter: ImageSegmenter) -> None:
    """Memory was not released when an image was closed (OCTRON 24)."""
    reader = Reader(IMAGE.copy())
    segmenter.predict(reader.request())
    gone = weakref.ref(reader)
    del reader
    gc.collect()
    assert gone() is None


# Masks as prompts


def test_the_logits_of_an_answer_go_back_in_as_they_were(
    segmenter: ImageSegmenter, spy: Spy
) -> None:
    logits = LowResMask.of(segmenter.segment(IMAGE, points=POINT).low_res_masks[1])
    prediction = segmenter.predict(request_for(prompts=Prompts(POINT, (1,), None, logits)))
    np.testing.assert_array_equal(spy.decoded[-1]["logits"][0, 0], logits.to_array())
    assert prediction.request.prompts.mask_prompt == logits


def test_a_mask_of_the_plane_goes_in_as_coarse_logits(segmenter: ImageSegmenter, spy: Spy) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:30, :45] = True
    prompts = Prompts(mask_prompt=PackedMask.of(mask))
    assert len(segmenter.predict(request_for(prompts=prompts)).candidates) == 3
    wanted = np.full((LOW_RES, LOW_RES), -10)
    wanted[: LOW_RES // 2, : LOW_RES // 2] = 10
    np.testing.assert_array_equal(spy.decoded[-1]["logits"][0, 0], wanted)
    assert spy.decoded[-1]["labels"].shape == (1, 0)


@pytest.mark.parametrize(
    ("points", "box", "wanted"),
    [((), None, 3), (POINT, None, 3), (POINT * 2, None, 1), ((), BOX, 1)],
)
def test_a_mask_prompt_counts_for_no_point(
    segmenter: ImageSegmenter, points: list[tuple[float, float]], box: Any, wanted: int
) -> None:
    logits = LowResMask.of(np.zeros((LOW_RES, LOW_RES), np.float32))
    prompts = Prompts(tuple(points), (1,) * len(points), box, logits)
    assert len(segmenter.predict(request_for(prompts=prompts)).candidates) == wanted


def test_logits_of_another_models_size_are_resized(segmenter: ImageSegmenter, spy: Spy) -> None:
    logits = LowResMask.of(np.full((2 * LOW_RES, 2 * LOW_RES), 3, np.float32))
    segmenter.predict(request_for(prompts=Prompts(mask_prompt=logits)))
    assert spy.decoded[-1]["logits"].shape == (1, 1, LOW_RES, LOW_RES)


def test_a_mask_prompt_of_another_plane_is_refused_before_embedding(
    segmenter: ImageSegmenter, spy: Spy
) -> None:
    with pytest.raises(PromptError, match=r"60 x 90 pixels, got 90 x 60"):
        segmenter.predict(request_for(prompts=Prompts(mask_prompt=PackedMask((90, 60)))))
    assert not spy.embedded


def test_segmenting_with_other_logits_is_another_question(segmenter: ImageSegmenter) -> None:
    logits = segmenter.segment(IMAGE, points=POINT).low_res_masks
    requests = [segmenter.segment(IMAGE, POINT, mask_logits=one).request for one in logits]
    assert len({request.prompts for request in requests}) == 3


# Requests


def test_predict_and_segment_agree(segmenter: ImageSegmenter) -> None:
    predicted, segmented = segmenter.predict(request_for()), segmenter.segment(IMAGE, POINT)
    np.testing.assert_array_equal(predicted.low_res_masks, segmented.low_res_masks)
    np.testing.assert_array_equal(predicted.masks, segmented.masks)


def test_a_request_without_prompts_only_embeds(segmenter: ImageSegmenter, spy: Spy) -> None:
    stages: list[str] = []
    prediction = segmenter.predict(request_for(prompts=Prompts()), stages.append)
    assert prediction.masks.shape == (0, *SHAPE)
    assert not prediction.mask.any()
    assert (len(spy.embedded), len(spy.decoded), stages) == (1, 0, ["embedding"])
    assert prediction.embed_seconds > 0


def test_stages_are_told_as_they_begin(segmenter: ImageSegmenter, spy: Spy) -> None:
    told: list[tuple[str, int, int]] = []

    def report(stage: str) -> None:
        told.append((stage, len(spy.embedded), len(spy.decoded)))

    segmenter.predict(request_for(), report)
    segmenter.predict(request_for(), report)
    assert told == [("embedding", 0, 0), ("decoding", 1, 0), ("decoding", 1, 1)]


def test_the_answer_names_the_weights(segmenter: ImageSegmenter, tiny_model: Sam2) -> None:
    tiny_model.weights_hash = "abc"
    try:
        assert segmenter.predict(request_for()).weights_hash == "abc"
        assert segmenter.predict(request_for(prompts=Prompts())).weights_hash == "abc"
    finally:
        tiny_model.weights_hash = ""


def test_the_two_halves_are_timed(segmenter: ImageSegmenter) -> None:
    first, second = segmenter.predict(request_for()), segmenter.predict(request_for())
    assert first.embed_seconds > second.embed_seconds
    assert first.decode_seconds > 0


def test_nan_in_a_viewers_plane_is_seen_as_black(segmenter: ImageSegmenter) -> None:
    image = np.linspace(0, 1, 60 * 90).reshape(SHAPE)
    image[0] = np.nan
    assert np.isfinite(segmenter.predict(request_for(image)).low_res_masks).all()


def test_a_plane_that_changed_its_size_is_refused(segmenter: ImageSegmenter) -> None:
    request = request_for()
    changed = replace(request.image, read=lambda *_: (IMAGE[:30],))
    with pytest.raises(PromptError, match=r"must be \(60, 90\) .* got \(30, 90\)"):
        segmenter.predict(replace(request, image=changed))


def test_a_point_outside_a_request_is_refused_before_embedding(
    segmenter: ImageSegmenter, spy: Spy
) -> None:
    with pytest.raises(PromptError, match="lies outside"):
        segmenter.predict(request_for(prompts=Prompts(((61, 0),), (1,))))
    assert not spy.embedded


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a prompt, got none"),
        ({"points": [], "polarity": []}, "needs a prompt, got none"),
        ({"points": [(61, 5)]}, r"Point \(y, x\) = \(61, 5\) lies outside .* 60 x 90"),
        ({"points": [(5, -0.1)]}, "lies outside"),
        ({"points": [(np.nan, 5)]}, "two finite numbers"),
        ({"points": (20, 30)}, r"pairs, got shape \(2,\). Write one point as"),
        ({"points": [(1, 2, 3)]}, r"pairs, got shape \(1, 3\)"),
        ({"points": [(1, 2), (3,)]}, "pairs, such as"),
        ({"points": "here"}, "pairs, such as"),
        ({"points": POINT, "polarity": [1, 0]}, "one entry per point, got 2 for 1"),
        ({"points": POINT, "polarity": [2]}, r"1 \(object\) or 0 \(background\), got \[2\]"),
        ({"points": POINT, "polarity": [0.5]}, r"got \[0.5\]"),
        ({"points": POINT, "polarity": ["up"]}, "polarity must be"),
        ({"box": (5, 5, 5, 9)}, r"y0 < y1 and x0 < x1, got \(5, 5, 5, 9\)"),
        ({"box": (40, 5, 10, 50)}, "Draw it from the top-left"),
        ({"box": (0, 0, 61, 5)}, "lies outside"),
        ({"box": (0, 0, np.inf, 5)}, "four finite numbers"),
        ({"box": (1, 2, 3)}, r"four numbers, got shape \(3,\)"),
        ({"box": [(1, 2, 3, 4)]}, "one box at a time"),
        ({"mask_logits": np.zeros((3, LOW_RES, LOW_RES))}, r"got shape \(3, 32, 32\)"),
        ({"mask_logits": np.zeros(SHAPE)}, r"\(32, 32\), got shape \(60, 90\)"),
        ({"mask_logits": np.full((LOW_RES, LOW_RES), np.nan)}, "NaN or infinite"),
        ({"points": POINT, "image": IMAGE.astype(complex)}, "real numbers, got dtype complex128"),
        ({"points": POINT, "image": np.full(SHAPE, np.nan)}, "5400 NaN or infinite of 5400"),
        ({"points": POINT, "image": np.zeros((2, *SHAPE))}, "must be one plane"),
        ({"points": POINT, "image": np.zeros((0, 9))}, "must have pixels"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_before_any_work(
    segmenter: ImageSegmenter, spy: Spy, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        segmenter.segment(**({"image": IMAGE} | arguments))
    assert not spy.embedded


@pytest.mark.parametrize("half", ["embed", "decode"])
def test_a_full_graphics_card_is_told_and_the_next_try_works(
    segmenter: ImageSegmenter, tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    """Out-of-memory errors end the work (micro-sam 1293)."""

    def full(*args: Any, **kwargs: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(tiny_model, half, full)
        with pytest.raises(Sam2Error, match=r"is full\. Close other programs"):
            segmenter.segment(IMAGE, points=POINT)
    assert segmenter.segment(IMAGE, points=POINT).masks.shape == (3, *SHAPE)


def test_edges_are_inside(segmenter: ImageSegmenter) -> None:
    segmenter.segment(IMAGE, points=[(0, 0), (60, 90)], box=(0, 0, 60, 90))


# A part of the plane


def stub_square(model: Sam2, monkeypatch: pytest.MonkeyPatch, half: int) -> None:
    """Let the model answer each click with a square of 2 * half low-resolution pixels."""

    def decode(features: Any, coords_xy: torch.Tensor, *_: Any, **kwargs: Any) -> MaskOutput:
        x, y = (coords_xy[0, 0] / 4).tolist()
        logits = torch.full((1, 1, LOW_RES, LOW_RES), -8.0)
        rows, columns = torch.meshgrid(*[torch.arange(LOW_RES) + 0.5] * 2, indexing="ij")
        logits[0, 0, ((rows - y).abs() < half) & ((columns - x).abs() < half)] = 8
        return MaskOutput(logits, torch.full((1, 1), 0.9), torch.ones(1))

    monkeypatch.setattr(model, "decode", decode)


def test_a_region_is_read_and_seen_alone(segmenter: ImageSegmenter, spy: Spy) -> None:
    box = (10, 20, 50, 80)
    segmenter.segment(IMAGE, points=[(30, 50)], region=box)
    wanted = to_model_input(IMAGE[10:50, 20:80], 128)
    torch.testing.assert_close(spy.embedded[0][0], wanted)
    np.testing.assert_allclose(spy.decoded[0]["coords_xy"][0], [[64, 64]])


def test_masks_of_a_region_lie_where_it_does(
    segmenter: ImageSegmenter, tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_square(tiny_model, monkeypatch, half=8)  # a quarter of the region
    prediction = segmenter.segment(IMAGE, points=[(30, 50)], region=(10, 30, 50, 70))
    assert prediction.region == (10, 30, 50, 70)
    assert prediction.candidates[0].shape == SHAPE
    assert prediction.candidates[0].box == (20, 40, 40, 60)


def test_the_automatic_region_follows_a_small_object(
    segmenter: ImageSegmenter, tiny_model: Sam2, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_square(tiny_model, monkeypatch, half=1)
    image = np.zeros((900, 1500), np.uint8)
    prediction = segmenter.segment(image, points=[(400, 700)], region="auto")
    assert prediction.region is not None
    y0, x0, y1, x1 = prediction.region
    assert max(y1 - y0, x1 - x0) < 900
    assert y0 < 400 < y1
    assert x0 < 700 < x1
    assert len(spy.embedded) >= 1


def test_a_click_is_followed_by_a_question_from_the_middle_of_what_it_found(
    segmenter: ImageSegmenter, spy: Spy
) -> None:
    first = segmenter.segment(IMAGE, points=[(20, 30)])
    assert len(spy.decoded) == 1  # as the official predictor
    segmenter.segment(IMAGE, points=[(20, 30)], region=(0, 0, *SHAPE))
    _, before, after = spy.decoded
    assert before["logits"] is None
    assert before["multimask"] is True
    np.testing.assert_array_equal(after["logits"][0, 0], first.low_res_masks[0])
    assert after["multimask"] is False
    assert after["labels"].tolist() == [[1, 1]]
    np.testing.assert_array_equal(after["coords_xy"][0, 0], before["coords_xy"][0, 0])


def test_the_automatic_region_follows_what_was_clicked_not_specks(
    segmenter: ImageSegmenter, tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.full((1, 1, LOW_RES, LOW_RES), -8.0)
    middle = LOW_RES // 2
    logits[0, 0, middle - 1 : middle + 1, middle - 1 : middle + 1] = 8
    logits[0, 0, 0, 0] = logits[0, 0, -1, -1] = 8
    answer = MaskOutput(logits, torch.ones(1, 1), torch.ones(1))
    monkeypatch.setattr(tiny_model, "decode", lambda *args, **kwargs: answer)
    image = np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)
    prediction = segmenter.segment(image, points=[(250, 250)], region="auto")
    assert prediction.region is not None
    y0, _, y1, _ = prediction.region
    assert y1 - y0 < 300  # of 500; with the specks it would stay the whole


@pytest.mark.parametrize(
    ("looks", "chosen"),
    [
        (["small", "nothing"], 0),
        (["small", "good"], 1),
        (["small", "all", "good"], 2),
        (["small", "all", "all"], 0),  # nothing is gained by a mask that is cut off
        (["nothing"], 0),
    ],
)
def test_the_last_look_that_shows_the_whole_object_counts(
    segmenter: ImageSegmenter,
    tiny_model: Sam2,
    spy: Spy,
    monkeypatch: pytest.MonkeyPatch,
    looks: list[str],
    chosen: int,
) -> None:
    half = {"nothing": 0, "small": 1, "good": LOW_RES // 4, "all": LOW_RES}
    scores = [0.9 - 0.1 * look for look in range(len(looks))]
    answers = iter(zip(looks, scores, strict=True))

    def decode(*args: Any, multimask: bool) -> MaskOutput:
        logits = torch.full((1, 1, LOW_RES, LOW_RES), -8.0)
        if not multimask:  # the second question, from the middle
            return MaskOutput(logits, torch.zeros(1, 1), torch.ones(1))
        look, score = next(answers)
        middle, reach = LOW_RES // 2, half[look]
        logits[0, 0, middle - reach : middle + reach, middle - reach : middle + reach] = 8
        if look == "all":
            logits[:] = 8
        return MaskOutput(logits, torch.full((1, 1), score), torch.ones(1))

    monkeypatch.setattr(tiny_model, "decode", decode)
    image = np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)
    prediction = segmenter.segment(image, points=[(250, 250)], region="auto")
    assert prediction.iou_predictions[0] == pytest.approx(scores[chosen])
    assert next(answers, None) is None
    assert prediction.embed_seconds > 0


def test_logits_go_on_in_another_region(segmenter: ImageSegmenter, spy: Spy) -> None:
    logits = LowResMask.of(np.full((LOW_RES, LOW_RES), 5, np.float32), (0, 0, 60, 45))
    prompts = Prompts(POINT, (1,), None, logits)
    segmenter.predict(request_for(prompts=prompts))
    fed = spy.decoded[-1]["logits"][0, 0].numpy()
    assert (fed[:, : LOW_RES // 2] == 5).all()
    assert (fed[:, LOW_RES // 2 :] == -10).all()


def test_a_mask_prompt_is_cut_to_the_region(segmenter: ImageSegmenter, spy: Spy) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:30, :45] = True
    request = request_for(
        prompts=Prompts(mask_prompt=PackedMask.of(mask)), field=FieldOfView("fixed", (0, 0, 60, 45))
    )
    segmenter.predict(request)
    fed = spy.decoded[-1]["logits"][0, 0].numpy()
    assert (fed[: LOW_RES // 2] == 10).all()
    assert (fed[LOW_RES // 2 :] == -10).all()


@pytest.mark.parametrize("region", ["everything", (1, 2, 3), (5, 5, 5, 9), (0, 0, np.nan, 4)])
def test_a_region_that_is_none_is_refused(segmenter: ImageSegmenter, region: Any) -> None:
    with pytest.raises(PromptError, match="region must be 'whole', 'auto' or"):
        segmenter.segment(IMAGE, points=POINT, region=region)


# What the model sees


COLOURED = View((Channel((0, 200), 0.7, RED), Channel((50, 255), 1.0, GREEN)))
VIEWS = [
    View(),
    View.of_limits((20, 200)),
    View((Channel((20, 200), 0.5),)),
    View(normalisation="percentile"),
    View(normalisation="min-max"),
    View(normalisation="full"),
]


def composed_of(*images: np.ndarray, view: View, key: str = "key") -> PlaneImage:
    def read(region: Any, _step: float) -> tuple[np.ndarray, ...]:
        y0, x0, y1, x1 = region
        return tuple(image[y0:y1, x0:x1] for image in images)

    return PlaneImage(key, SHAPE, read, view)


@pytest.mark.parametrize("field", [WHOLE, FieldOfView("fixed", (10, 20, 50, 80))])
@pytest.mark.parametrize("view", [*VIEWS, COLOURED], ids=repr)
def test_a_look_is_the_very_picture_that_is_embedded(
    segmenter: ImageSegmenter, spy: Spy, view: View, field: FieldOfView
) -> None:
    """The user over-filtered the picture and nobody showed what the model saw (cvat 10135)."""
    images = [IMAGE.astype(np.uint16), IMAGE[::-1]][: len(view.channels)]
    request = request_for(image=IMAGE, field=field)
    request = replace(request, image=composed_of(*images, view=view))
    look = segmenter.look(replace(request, prompts=Prompts()))
    segmenter.predict(request)
    wanted = spy.embedded[0][0].permute(1, 2, 0).numpy() * STD + MEAN
    np.testing.assert_allclose(look.picture, wanted, atol=1e-6)
    assert look.region == (field.box or (0, 0, *SHAPE))
    assert len(np.unique(look.picture)) > 100


def test_looking_asks_the_model_nothing(segmenter: ImageSegmenter, spy: Spy) -> None:
    segmenter.look(request_for(prompts=Prompts()))
    assert not spy.embedded
    assert not spy.decoded


def test_each_view_is_embedded_once(segmenter: ImageSegmenter, spy: Spy) -> None:
    """Normalisation changed and the cached embeddings no longer matched (micro-sam 1283)."""
    sixteen = IMAGE.astype(np.uint16)
    sixteen[:3, 0] = 0, 1000, 2000
    for view in [*VIEWS[1:], *VIEWS[1:]]:
        segmenter.predict(
            replace(request_for(), image=PlaneImage.of("key", sixteen, view)),
        )
    assert len(spy.embedded) == len(VIEWS) - 1
    swapped = replace(COLOURED, channels=COLOURED.channels[::-1])
    for view in (COLOURED, swapped, COLOURED):
        image = composed_of(sixteen, IMAGE, view=view, key="two")
        segmenter.predict(replace(request_for(), image=image))
    assert len(spy.embedded) == len(VIEWS) + 1


def test_limits_found_another_way_are_the_same_picture(segmenter: ImageSegmenter, spy: Spy) -> None:
    """uint8 is seen between 0 and 255, whether that is chosen, found or told."""
    for view in (View(), View(normalisation="full"), View.of_limits((0, 255))):
        segmenter.predict(replace(request_for(), image=PlaneImage.of("key", IMAGE, view)))
    assert len(spy.embedded) == 1


@pytest.mark.parametrize("normalisation", ["limits", "percentile", "min-max"])
def test_brightness_does_not_change_from_region_to_region(
    segmenter: ImageSegmenter, normalisation: Any
) -> None:
    ramp = np.broadcast_to(np.arange(90, dtype=np.float32) * 11 + 100, SHAPE).copy()
    image = PlaneImage.of("ramp", ramp, View(normalisation=normalisation))

    def seen(x0: int, x1: int) -> np.ndarray:
        field = FieldOfView("fixed", (0, x0, 60, x1))
        request = replace(request_for(prompts=Prompts()), image=image, field=field)
        return segmenter.look(request).picture[64, :, 0]

    whole, left, right = seen(0, 90), seen(0, 45), seen(45, 90)
    np.testing.assert_allclose([left[-1], right[0]], 0.5, atol=0.01)
    np.testing.assert_allclose([whole[0], whole[-1]], [left[0], right[-1]], atol=0.01)


def test_a_box_alone_ends_its_masks_unless_the_whole_plane_is_looked_at(
    segmenter: ImageSegmenter,
) -> None:
    whole, fixed = (
        segmenter.segment(IMAGE, box=BOX, region=region) for region in ("whole", (0, 0, *SHAPE))
    )
    changes = (fixed.low_res_masks - whole.low_res_masks)[0]
    y, x = (np.array([10, 40]) * LOW_RES // 60), (np.array([15, 70]) * LOW_RES // 90)
    inside = changes[y[0] + 1 : y[1] - 1, x[0] + 1 : x[1] - 1]
    assert (inside > 0).all()
    assert (changes[: y[0] - 1] < 0).all()
    assert (changes[:, x[1] + 1 :] < 0).all()
    assert fixed.candidates == to_candidates(torch.from_numpy(fixed.low_res_masks), SHAPE)
    pointed = [
        segmenter.segment(IMAGE, POINT, box=BOX, region=region).low_res_masks
        for region in ("whole", (0, 0, *SHAPE))
    ]
    assert (pointed[0] == pointed[1]).all()
