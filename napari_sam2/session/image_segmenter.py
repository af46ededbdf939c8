"""Prompts in, masks out, on one plane: the model at work, with its features kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import PromptError
from napari_sam2.model.outputs import ImageFeatures, MaskOutput
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.arguments import as_mask_logits, as_prompts
from napari_sam2.session.cache import FeatureCache, KnownContents, content_key
from napari_sam2.session.device import free_memory, load_model, memory_errors, wait_for
from napari_sam2.session.mask_prompts import as_logits
from napari_sam2.session.postprocess import as_prediction, no_prediction
from napari_sam2.session.preprocess import as_plane, check_finite, to_model_input
from napari_sam2.session.prompts import LowResMask, PlaneImage, Request
from napari_sam2.session.results import Prediction

Report = Callable[[str], None]
"""Told "loading", "embedding" or "decoding" as each begins, and "downloading 35 %" on the way."""

Load = Callable[[str, str, Callable[[int, int], None]], Sam2]
"""Gives a model for a name and a device."""

_Embedded = tuple[ImageFeatures, bool]  # and whether they were kept from before
_LOW_RES_STRIDE = 4  # model pixels per pixel of the low-resolution masks


class ImageSegmenter:
    """Segments objects on planes, and embeds each plane only once.

    Parameters
    ----------
    model : Sam2
        On the device where it shall compute.
    cache : FeatureCache, optional
        Where image features are kept; a new one of the usual size by default.

    Examples
    --------
    >>> import napari_sam2
    >>> segmenter = napari_sam2.ImageSegmenter(napari_sam2.load_model("micro"))
    >>> prediction = segmenter.segment(image, points=[(120, 80)])
    >>> prediction.mask.sum()
    """

    def __init__(self, model: Sam2, cache: FeatureCache | None = None) -> None:
        self.model = model
        self._cache = FeatureCache() if cache is None else cache
        self._known = KnownContents()

    def segment(
        self,
        image: ArrayLike,
        points: ArrayLike | None = (),
        polarity: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_logits: ArrayLike | None = None,
        multimask: bool | None = None,
    ) -> Prediction:
        """Segment one object of an image.

        Parameters
        ----------
        image : array_like, shape (H, W) or (H, W, 3)
            Of any real dtype; `session.preprocess.value_range` tells what is seen as black and
            white. It is kept inside the answer's request, not copied.
        points : array_like, shape (N, 2), optional
            (y, x) in pixels; 0 <= y <= H and 0 <= x <= W.
        polarity : array_like, shape (N,), optional
            1 object, 0 background; by default all points are on the object.
        box : array_like, shape (4,), optional
            (y0, x0, y1, x1) around the object.
        mask_logits : array_like, shape (h, w) or (1, h, w), optional
            One entry of an earlier answer's `low_res_masks`, to be refined.
        multimask : bool, optional
            True gives three candidates, False one mask. None follows the model's own rule:
            three for a single point or none, which may mean a part or the whole, otherwise one;
            a box counts as two points, and a mask as none.

        Returns
        -------
        Prediction
            Best predicted IoU first.

        Raises
        ------
        PromptError
            If there is no prompt, a prompt is malformed or outside, or the image is not one
            plane of finite real numbers.
        Sam2Error
            If the device has too little memory.
        """
        plane = as_plane(image)
        check_finite(plane)
        prompts, logits = as_prompts(points, polarity, box), None
        if mask_logits is not None:
            logits = as_mask_logits(mask_logits, self._low_res_size)
            prompts = replace(prompts, mask_prompt=LowResMask.of(logits[0, 0]))
        if not prompts:
            raise PromptError(
                "Segmenting needs a prompt, got none. Give points, a box or mask_logits."
            )
        content = content_key(plane)
        request = Request(
            image=PlaneImage(content, (plane.shape[0], plane.shape[1]), lambda: plane),
            prompts=prompts,
            multimask=multimask,
            model=self.model.name,
            device=str(self.model.device),
        )
        return self._answer(request, lambda: self._embed(plane, content, None), logits)

    def predict(self, request: Request, report: Report | None = None) -> Prediction:
        """Answer a request; one without prompts only embeds the plane, and gives no candidates.

        NaN and infinite pixels are allowed here: what a viewer shows as empty is seen as black.
        A plane is read again only when its key is new or its features are no longer kept.

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
            If the plane or a prompt cannot be used.
        Sam2Error
            If the device has too little memory.
        """
        return self._answer(request, lambda: self._embed_image(request.image, report), None, report)

    def embed(
        self, image: ArrayLike, contrast_limits: tuple[float, float] | None = None
    ) -> ImageFeatures:
        """Embed a plane, or give the features that are kept of it."""
        plane = as_plane(image)
        features, _ = self._embed(plane, content_key(plane), contrast_limits)
        return features

    @property
    def _low_res_size(self) -> int:
        return self.model.config.image_size // _LOW_RES_STRIDE

    @torch.inference_mode()
    def _answer(
        self,
        request: Request,
        embed: Callable[[], _Embedded],
        logits: NDArray[np.float32] | None,
        report: Report | None = None,
    ) -> Prediction:
        request.prompts.check(request.image.shape)
        if logits is None and request.prompts.mask_prompt is not None:
            logits = as_logits(request.prompts.mask_prompt, self._low_res_size)
        started = time.perf_counter()
        features, was_cached = embed()
        embedded = time.perf_counter()
        if request.prompts:
            _tell(report, "decoding")
            with memory_errors(self.model.device):
                prediction = as_prediction(request, self._decode(features, request, logits))
        else:
            prediction = no_prediction(request, self._low_res_size)
        return replace(
            prediction,
            weights_hash=self.model.weights_hash,
            embed_was_cached=was_cached,
            embed_seconds=embedded - started,
            decode_seconds=time.perf_counter() - embedded,
        )

    def _embed_image(self, image: PlaneImage, report: Report | None) -> _Embedded:
        """Embed a plane that is read only if it must be."""
        place = (image.key, image.shape, image.contrast_limits)
        content = self._known.get(place)
        if content is not None:
            features = self._cache.get(self._feature_key(content, image.contrast_limits))
            if features is not None:
                return features, True
        plane = as_plane(image.read())
        if plane.shape[:2] != image.shape:
            raise PromptError(
                f"The plane must be {image.shape} as when it was asked about, got "
                f"{plane.shape[:2]}. Prompt again on the new image."
            )
        content = content_key(plane)
        self._known.put(place, content)
        return self._embed(plane, content, image.contrast_limits, report)

    @torch.inference_mode()
    def _embed(
        self,
        plane: NDArray[Any],
        content: str,
        contrast_limits: tuple[float, float] | None,
        report: Report | None = None,
    ) -> _Embedded:
        model, key = self.model, self._feature_key(content, contrast_limits)
        features = self._cache.get(key)
        if features is not None:
            return features, True
        _tell(report, "embedding")
        pixels = to_model_input(plane, model.config.image_size, contrast_limits)
        with memory_errors(model.device):
            features = model.embed(pixels[None].to(model.device, model.no_mem_embed.dtype))
            wait_for(model.device)
        self._cache.put(key, features)
        return features, False

    def _feature_key(self, content: str, contrast_limits: tuple[float, float] | None) -> Hashable:
        model = self.model
        precision = model.no_mem_embed.dtype
        return (content, contrast_limits, model.weights_hash, precision, model.device)

    def _decode(
        self, features: ImageFeatures, request: Request, logits: NDArray[np.float32] | None
    ) -> MaskOutput:
        model = self.model
        coords_xy, labels = request.prompts.as_model_inputs(
            request.image.shape, model.config.image_size
        )
        return model.decode(
            features,
            torch.from_numpy(coords_xy)[None].to(model.device),  # (1, N, 2)
            torch.from_numpy(labels)[None].to(model.device),  # (1, N)
            None if logits is None else torch.from_numpy(logits).to(model.device),
            multimask=_wants_candidates(request),
        )


class LazySegmenter:
    """Answers requests for any model: loads what a request names, and keeps only the latest.

    Safe to call from several threads; they take turns.

    Parameters
    ----------
    load : callable
        Gives the model for a name and a device; told where to report bytes done and in all.
    """

    def __init__(self, load: Load = load_model) -> None:
        self._load = load
        self._lock = Lock()
        self._loaded: tuple[str, str] | None = None  # name and device of the segmenter's model
        self._segmenter: ImageSegmenter | None = None

    def predict(self, request: Request, report: Report | None = None) -> Prediction:
        """Answer a request with the model that it names, on the device that it names.

        Parameters
        ----------
        request : Request
            The question.
        report : callable, optional
            Told "loading", "embedding" and "decoding" as each begins, and each percent of a
            download; what it raises ends the work, and a download is resumed the next time.

        Raises
        ------
        ValueError
            If there is no such device.
        WeightsError
            If the model cannot be had.
        PromptError
            If the plane or a prompt cannot be used.
        Sam2Error
            If the device has too little memory.
        """
        with self._lock:
            return self._segmenter_for(request, report).predict(request, report)

    def release(self) -> None:
        """Free the model and its features; the next request loads again."""
        with self._lock:
            self._release()

    def _segmenter_for(self, request: Request, report: Report | None) -> ImageSegmenter:
        wanted = (request.model, request.device)
        if self._segmenter is None or self._loaded != wanted:
            self._release()  # first: two large models may not fit
            _tell(report, "loading")
            self._segmenter = ImageSegmenter(self._load(*wanted, _percent_teller(report)))
            self._loaded = wanted
        return self._segmenter

    def _release(self) -> None:
        if self._segmenter is None:
            return
        device = self._segmenter.model.device
        self._segmenter = self._loaded = None
        free_memory(device)


def _percent_teller(report: Report | None) -> Callable[[int, int], None]:
    told = -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        percent = 100 * done // max(total, 1)
        if percent != told:
            told = percent
            _tell(report, f"downloading {percent} %")

    return tell


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
