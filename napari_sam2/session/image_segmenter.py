"""Prompts in, masks out, on one plane: the model at work, with its features kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import PromptError
from napari_sam2.model.outputs import ImageFeatures, MaskOutput
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.arguments import as_field_of_view, as_mask_logits, as_prompts
from napari_sam2.session.box_edges import ends_at_box, is_box_alone
from napari_sam2.session.brightness import Brightness
from napari_sam2.session.cache import (
    FeatureCache,
    FeatureKey,
    KnownContents,
    content_key,
    picture_key,
)
from napari_sam2.session.cleanup import clicked_parts
from napari_sam2.session.device import memory_errors, wait_for
from napari_sam2.session.feature_store import Features
from napari_sam2.session.lazy_plane import is_lazy, lazy_plane
from napari_sam2.session.mask_prompts import as_logits
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.pixels import as_plane, check_finite
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.postprocess import as_prediction, no_prediction
from napari_sam2.session.preprocess import as_picture, normalised
from napari_sam2.session.prompts import LowResMask, Prompts, Request
from napari_sam2.session.refinement import refine
from napari_sam2.session.region_grid import RegionGrid
from napari_sam2.session.regions import first_region, is_cut_off, next_region
from napari_sam2.session.results import Prediction
from napari_sam2.session.second_question import better_of, is_asked_twice, with_the_middle
from napari_sam2.session.view import Look, View, compose

Report = Callable[[str], None]
"""Told "loading", "embedding" or "decoding" as each begins, and "downloading 35 %" on the way."""

_LOW_RES_STRIDE = 4  # model pixels per pixel of the low-resolution masks
_HOST = torch.device("cpu")  # where planes are read and prepared, whatever the device
_MOST_LOOKS = 3  # at one object: the first, and two in regions that suit it better


class _Embedded(NamedTuple):
    features: ImageFeatures
    was_cached: bool
    seconds: float


class ImageSegmenter:
    """Segments objects on planes, and embeds each plane only once.

    Parameters
    ----------
    model : Sam2
        On the device where it shall compute.
    cache : FeatureCache or FeatureStore, optional
        Where image features are kept; in memory, up to the usual size, by default.

    Examples
    --------
    >>> import napari_sam2
    >>> segmenter = napari_sam2.ImageSegmenter(napari_sam2.load_model("micro"))
    >>> prediction = segmenter.segment(image, points=[(120, 80)])
    >>> prediction.mask.sum()
    """

    def __init__(self, model: Sam2, cache: Features | None = None) -> None:
        self.model = model
        self._cache: Features = FeatureCache() if cache is None else cache
        self._known = KnownContents()
        self._brightness = Brightness()

    def segment(
        self,
        image: ArrayLike,
        points: ArrayLike | None = (),
        polarity: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_logits: ArrayLike | None = None,
        multimask: bool | None = None,
        region: str | Sequence[float] = "whole",
    ) -> Prediction:
        """Segment one object of an image.

        Parameters
        ----------
        image : array_like, shape (H, W) or (H, W, 3)
            Of any real dtype; `session.pixels.value_range` tells what is seen as black and
            white. It is kept inside the answer's request, not copied. Of a lazy array (dask,
            zarr, a memory map: whatever has shape and dtype and can be sliced) only the region
            is read, at each call anew, and black and white are those of the region.
        points : array_like, shape (N, 2), optional
            (y, x) in pixels; 0 <= y <= H and 0 <= x <= W.
        polarity : array_like, shape (N,), optional
            1 object, 0 background; by default all points are on the object.
        box : array_like, shape (4,), optional
            (y0, x0, y1, x1) around the object.
        mask_logits : array_like, shape (h, w) or (1, h, w), optional
            One entry of an earlier answer's `low_res_masks`, to be refined. They cover the region
            where that is a box, else the whole image.
        multimask : bool, optional
            True gives three candidates, False one mask. None follows the model's own rule:
            three for a single point or none, which may mean a part or the whole, otherwise one;
            a box counts as two points, and a mask as none.
        region : str or (y0, x0, y1, x1)
            What fills the model's square input: "whole", the image, as the official predictor
            does; "auto", a part of it in which the object is neither small nor cut off; or a box
            of whole pixels. But for "whole", a single click is followed by a second question, from
            the middle of what it found, and the best mask is the one that the model trusts more;
            and masks are refined if the model can, else those of a box alone drawn in towards it.

        Returns
        -------
        Prediction
            Best predicted IoU first.

        Raises
        ------
        PromptError
            If there is no prompt, a prompt is malformed or outside, or the image is not one
            plane of finite real numbers.
        DeviceError
            If the device, or the computer, has too little memory, or the device is lost.
        """
        field = as_field_of_view(region)
        plane = _as_plane_image(image)
        prompts, logits = as_prompts(points, polarity, box), None
        if mask_logits is not None:
            logits = as_mask_logits(mask_logits, self._low_res_size)
            prompts = replace(prompts, mask_prompt=LowResMask.of(logits[0, 0], field.box))
        if not prompts:
            raise PromptError(
                "Segmenting needs a prompt, got none. Give points, a box or mask_logits."
            )
        request = Request(
            image=plane,
            prompts=prompts,
            multimask=multimask,
            model=self.model.name,
            device=str(self.model.device),
            field=field,
        )
        return self._answer(request, logits)

    def predict(self, request: Request, report: Report | None = None) -> Prediction:
        """Answer a request; one without prompts only embeds, and gives no candidates.

        NaN and infinite pixels are allowed here: what a viewer shows as empty is seen as black.
        A region is read again only when its key is new or its features are no longer kept.

        Parameters
        ----------
        request : Request
            The question. Its `model` and `device` are not looked at.
        report : callable, optional
            Told "embedding" and "decoding" as each begins; features from the cache need no
            embedding.

        Raises
        ------
        PromptError
            If the plane, its region or a prompt cannot be used.
        DeviceError
            If the device, or the computer, has too little memory, or the device is lost.
        """
        return self._answer(request, None, report)

    def embed(
        self, image: ArrayLike, contrast_limits: tuple[float, float] | None = None
    ) -> ImageFeatures:
        """Embed a plane, or give the features that are kept of it."""
        plane = as_plane(image)
        view = View.of_limits(contrast_limits)
        whole = PlaneImage.of(content_key(plane), plane, view)
        return self._embed(whole, whole.whole, 1.0, None).features

    def features(self, image: PlaneImage, region: Box) -> ImageFeatures:
        """Embed a region of a plane, or give the features that are kept of it."""
        return self._embed(image, region, self._grid_of(image).step(region), None).features

    def look(self, request: Request) -> Look:
        """Give what the model sees for a request without prompts, and do not let it see.

        Raises
        ------
        PromptError
            If the plane or its region cannot be used.
        """
        image, at = request.image, self._grid_of(request.image)
        region = first_region(request.field, None, 0.0, at)
        pixels, view = self._read(image, region, at.step(region))
        return Look(region, as_picture(self._model_input(pixels, view)))

    @property
    def _low_res_size(self) -> int:
        return self.model.config.image_size // _LOW_RES_STRIDE

    @torch.inference_mode()
    def _answer(
        self, request: Request, logits: NDArray[np.float32] | None, report: Report | None = None
    ) -> Prediction:
        """Look where the object may be, and again where its mask shows that it is."""
        prompts, image = request.prompts, request.image
        prompts.check(image.shape)
        grid = self._grid_of(image)
        looks: dict[Box, Prediction] = {}
        region: Box | None = first_region(request.field, prompts.bounds, prompts.size, grid)
        while region is not None and region not in looks and len(looks) < _MOST_LOOKS:
            looks[region] = self._look(request, region, grid.step(region), logits, report)
            region = next_region(region, _best_mask(looks[region]), request.field, grid)
        return _with_time_of(_last_good(looks, grid), looks.values())

    def _look(
        self,
        request: Request,
        region: Box,
        step: float,
        logits: NDArray[np.float32] | None,
        report: Report | None,
    ) -> Prediction:
        """Answer a request from one region."""
        prompts, image = request.prompts, request.image
        seen = None if region == image.whole else region
        embedded = self._embed(image, region, step, report)
        started = time.perf_counter()
        if prompts:
            _tell(report, "decoding")
            mask_prompt = prompts.mask_prompt
            asked = getattr(mask_prompt, "region", None) or image.whole
            if mask_prompt is not None and (logits is None or asked != region):
                logits = as_logits(mask_prompt, self._low_res_size, region, image.shape)
            with memory_errors(self.model.device):
                wants = _wants_candidates(request)
                output = self._decode(
                    embedded.features,
                    prompts,
                    region,
                    logits,
                    wants_candidates=wants,
                    is_official=request.field.is_official,
                )
                prediction = as_prediction(request, output, seen)
                if is_asked_twice(request):
                    prediction = self._ask_again(prediction, embedded.features, region)
        else:
            prediction = no_prediction(request, self._low_res_size, seen)
        return replace(
            prediction,
            weights_hash=self.model.weights_hash,
            device=str(self.model.device),
            embed_was_cached=embedded.was_cached,
            embed_seconds=embedded.seconds,
            decode_seconds=time.perf_counter() - started,
        )

    @torch.inference_mode()
    def _embed(
        self, image: PlaneImage, region: Box, step: float, report: Report | None
    ) -> _Embedded:
        """Embed a region, which is read only if it must be."""
        started = time.perf_counter()
        place = (image.key, image.shape, image.view, region)
        content, read = self._known.get(place), None
        if content is None or (features := self._cache.get(self._feature_key(content))) is None:
            with memory_errors(_HOST):
                read = self._read(image, region, step)
            content = picture_key(*read)
            self._known.put(place, content)
            features = self._cache.get(self._feature_key(content))
        was_cached = features is not None
        if features is None:
            assert read is not None
            features = self._compute(*read, report)
            self._cache.put(self._feature_key(content), features)
        return _Embedded(features, was_cached, time.perf_counter() - started)

    def _compute(
        self, pixels: Sequence[NDArray[Any]], view: View, report: Report | None
    ) -> ImageFeatures:
        _tell(report, "embedding")
        model = self.model
        with memory_errors(_HOST):
            square = self._model_input(pixels, view)
        with memory_errors(model.device):
            features = model.embed(square[None].to(model.device, model.no_mem_embed.dtype))
            wait_for(model.device)
        return features

    def _model_input(self, pixels: Sequence[NDArray[Any]], view: View) -> torch.Tensor:
        """Give the very tensor that is embedded, (3, S, S)."""
        return normalised(compose(pixels, view), self.model.config.image_size)

    def _read(self, image: PlaneImage, region: Box, step: float) -> tuple[list[NDArray[Any]], View]:
        """Read a region, and settle how it is shown."""
        pixels = _read(image, region, step)
        return pixels, self._brightness.settle(image, region, step, pixels)

    def _grid_of(self, image: PlaneImage) -> RegionGrid:
        return RegionGrid(image.shape, self.model.config.image_size, image.levels)

    def _feature_key(self, content: str) -> FeatureKey:
        model = self.model
        precision = str(model.no_mem_embed.dtype).removeprefix("torch.")
        return FeatureKey(content, model.weights_hash, precision, str(model.device))

    def _ask_again(self, first: Prediction, features: ImageFeatures, region: Box) -> Prediction:
        """Ask from the middle of what a click found as well, its logits fed back."""
        prompts = with_the_middle(first, region)
        if prompts is None:
            return first
        logits = first.low_res_masks[None, :1]
        output = self._decode(features, prompts, region, logits, wants_candidates=False)
        return better_of(first, as_prediction(first.request, output, first.region))

    def _decode(
        self,
        features: ImageFeatures,
        prompts: Prompts,
        region: Box,
        logits: NDArray[np.float32] | None,
        *,
        wants_candidates: bool,
        is_official: bool = False,
    ) -> MaskOutput:
        """Answer prompts, and do to the masks what the official predictor does not."""
        model = self.model
        inputs = prompts.as_model_inputs(region, model.config.image_size)
        coords_xy, labels = (torch.from_numpy(part[None]).to(model.device) for part in inputs)
        given = None if logits is None else torch.from_numpy(logits).to(model.device)
        output = model.decode(features, coords_xy, labels, given, multimask=wants_candidates)
        if is_official:
            return output
        if model.refiner is not None:
            return refine(model, features, output, coords_xy, labels, given)
        return ends_at_box(output, prompts, region) if is_box_alone(prompts) else output


def _read(image: PlaneImage, region: Box, step: float) -> list[NDArray[Any]]:
    pixels = [as_plane(array) for array in image.read(region, step)]
    wanted = region[2] - region[0], region[3] - region[1]
    for array in pixels:
        if len(image.levels) == 1 and array.shape[:2] != wanted:
            raise PromptError(
                f"The plane must be {wanted} as when it was asked about, got {array.shape[:2]}. "
                "Prompt again on the new image."
            )
    return pixels


def _as_plane_image(image: ArrayLike) -> PlaneImage:
    """Make a plane of what callers may give."""
    if is_lazy(image):
        return lazy_plane(image)
    plane = as_plane(image)
    check_finite(plane)
    return PlaneImage.of(content_key(plane), plane)


def _best_mask(prediction: Prediction) -> PackedMask:
    """Give what was clicked of the best candidate that is not empty; an empty mask if none is."""
    empty = PackedMask(prediction.request.image.shape)
    best = next((mask for mask in prediction.candidates if mask), empty)
    return clicked_parts(best, prediction.request.prompts.clicks)


def _last_good(looks: Mapping[Box, Prediction], grid: RegionGrid) -> Prediction:
    """Give the last look that found the object, and all of it; else the last that found any."""
    found = {region: look for region, look in looks.items() if _best_mask(look)} or looks
    whole = [
        look
        for region, look in found.items()
        if not is_cut_off(_best_mask(look), region, grid.shape)
    ]
    return (whole or list(found.values()))[-1]


def _with_time_of(prediction: Prediction, looks: Iterable[Prediction]) -> Prediction:
    looks = list(looks)
    return replace(
        prediction,
        embed_was_cached=all(look.embed_was_cached for look in looks),
        embed_seconds=sum(look.embed_seconds for look in looks),
        decode_seconds=sum(look.decode_seconds for look in looks),
    )


def _wants_candidates(request: Request) -> bool:
    """Tell whether three masks are asked for; where the request does not say, by SAM 2's rule.

    It counts points only: a box is two of them, a mask is none.
    """
    if request.multimask is not None:
        return request.multimask
    corners = 0 if request.prompts.box is None else 2
    return len(request.prompts.points) + corners <= 1


def _tell(report: Report | None, stage: str) -> None:
    if report is not None:
        report(stage)
