"""What becomes of a request when memory is full: the exceptions are torch's and numpy's own."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam2.errors import DeviceError, MemoryFullError, PromptError
from napari_sam2.model import Sam2
from napari_sam2.session.device import memory_errors
from napari_sam2.session.device_errors import trouble_of
from napari_sam2.session.lazy_segmenter import LazySegmenter
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts, Request
from tests.session.conftest import make_tiny_model
from tests.session.test_image_segmenter import request_for

CUDA = torch.cuda.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 64.00 MiB. GPU 0 has a ..."
)
CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
MPS = RuntimeError(
    "MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 2.00 MB, max allowed: "
    "9.07 GB). Tried to allocate 1.00 GB on private pool."
)
DEVICE_FULL = [
    CUDA,
    CUBLAS,
    MPS,
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("Invalid buffer size: 24.00 GB"),
]
LOST = RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors ...")


def torch_allocator_error() -> RuntimeError:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50)
    return raised.value


def numpy_error() -> MemoryError:
    with pytest.raises(MemoryError) as raised:
        np.empty(2**57)
    return raised.value


WINDOWS = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried "
    "to allocate 4294967296 bytes."
)


class FullModels:
    """Loads models that fail: at "embed", "decode" or "load", so many times, on one device.

    Attributes
    ----------
    loaded : list of (name, device)
        What was loaded.
    kept : list of weakref
        To what a failing step has computed before it failed.
    alive : list of int
        How much of that was still there when the next step began.
    """

    def __init__(self, where: str, error: Exception, times: int, device: str = "cuda") -> None:
        self._where, self._error, self._left, self._device = where, error, times, device
        self.loaded: list[tuple[str, str]] = []
        self.kept: list[weakref.ref[torch.Tensor]] = []
        self.alive: list[int] = []

    def __call__(self, name: str, device: str, progress: Any = None) -> Sam2:
        self.loaded.append((name, device))
        model = make_tiny_model()
        if device == self._device:
            if self._where == "load":
                with memory_errors(model.device):
                    self._fail()
            else:
                step = getattr(model, self._where)
                setattr(model, self._where, self._failing(step))
        return model

    def _failing(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*args: Any, **kwargs: Any) -> Any:
            self._fail()
            return step(*args, **kwargs)

        return failing

    def _fail(self) -> None:
        self.alive.append(sum(ref() is not None for ref in self.kept))
        if self._left:
            self._left -= 1
            activations = torch.zeros(8)
            self.kept.append(weakref.ref(activations))
            raise self._error


ALWAYS = 10**6


@pytest.mark.parametrize("where", ["load", "embed", "decode"])
@pytest.mark.parametrize("error", DEVICE_FULL, ids=str)
def test_memory_that_is_full_once_is_freed_and_nobody_hears_of_it(
    where: str, error: Exception
) -> None:
    models = FullModels(where, error, times=1)
    prediction = LazySegmenter(models).predict(request_for(device="cuda"))
    assert prediction.masks.any()
    assert prediction.note == ""
    assert {device for _, device in models.loaded} == {"cuda"}


@pytest.mark.parametrize("where", ["load", "embed", "decode"])
@pytest.mark.parametrize("error", DEVICE_FULL, ids=str)
def test_where_that_does_not_help_the_cpu_goes_on_and_says_so_once(
    where: str, error: Exception
) -> None:
    """Dies of CUDA (micro-sam 1076) and MPS (micro-sam 1293) memory."""
    models = FullModels(where, error, ALWAYS)
    lazy, request = LazySegmenter(models), request_for(device="cuda")
    first, wanted = lazy.predict(request), LazySegmenter(models).predict(request_for())
    assert first.request == request, "an answer carries the question that was asked"
    assert first.device == "cpu"
    np.testing.assert_array_equal(first.masks, wanted.masks)
    assert first.note.startswith("The memory of cpu")  # where a tiny model is, whatever it is told
    assert "choose the device again" in first.note
    loads = len(models.loaded)
    again = lazy.predict(request_for(device="cpu"))
    assert again.note == ""
    assert again.embed_was_cached
    assert len(models.loaded) == loads


def test_a_device_that_is_chosen_again_is_tried_again() -> None:
    models = FullModels("embed", CUDA, times=2)
    lazy = LazySegmenter(models)
    assert lazy.predict(request_for(device="cuda")).note
    assert not lazy.predict(request_for(device="cuda")).note
    assert [device for _, device in models.loaded] == ["cuda", "cpu", "cuda"]


@pytest.mark.parametrize("make", [torch_allocator_error, numpy_error, lambda: WINDOWS])
@pytest.mark.parametrize("where", ["embed", "decode"])
def test_a_full_computer_is_told_in_a_sentence_and_no_other_device_is_tried(
    where: str, make: Callable[[], Exception]
) -> None:
    models = FullModels(where, make(), ALWAYS)
    lazy = LazySegmenter(models)
    with pytest.raises(MemoryFullError, match="memory of this computer is full"):
        lazy.predict(request_for(device="cuda"))
    assert [device for _, device in models.loaded] == ["cuda"]


def test_a_region_that_does_not_fit_into_memory_is_told_in_a_sentence() -> None:
    reads = 0

    def read(_region: object, _step: float) -> tuple[np.ndarray, ...]:
        nonlocal reads
        reads += 1
        return (np.empty(2**57),)

    request = Request(PlaneImage("huge", (60, 90), read), Prompts(((20.0, 30.0),), (1,)))
    with pytest.raises(MemoryFullError, match="a smaller part of the image"):
        LazySegmenter(FullModels("embed", CUDA, 0)).predict(request)
    assert reads == 2, "features are let go of, and it is tried once more"


def test_a_lost_device_is_told_in_a_sentence_and_not_tried_again() -> None:
    models = FullModels("embed", LOST, ALWAYS)
    lazy = LazySegmenter(models)
    with pytest.raises(
        DeviceError, match=r"no longer works \(CUDA error: an illegal .*red\)"
    ) as it:
        lazy.predict(request_for(device="cuda"))
    assert not isinstance(it.value, MemoryFullError)
    assert "\n" not in str(it.value)
    assert lazy.predict(request_for(device="cpu")).masks.any()


@pytest.mark.parametrize("where", ["embed", "decode"])
def test_what_a_failed_step_has_computed_is_gone_before_the_next_try(where: str) -> None:
    gc.disable()  # or it may be the collector's doing
    try:
        models = FullModels(where, CUDA, times=2)
        assert LazySegmenter(models).predict(request_for(device="cuda")).masks.any()
    finally:
        gc.enable()
    assert models.alive == [0, 0]


def test_features_are_let_go_of_before_the_next_try() -> None:
    features: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def load(*_: Any) -> Sam2:
        model = make_tiny_model()
        embed = model.embed

        def embed_once_in_two(pixels: torch.Tensor) -> Any:
            alive.append(sum(ref() is not None for ref in features))
            if len(alive) == 2:
                raise CUDA
            out = embed(pixels)
            features.append(weakref.ref(out.image_embed))
            return out

        model.embed = embed_once_in_two  # type: ignore[method-assign]
        return model

    lazy = LazySegmenter(load)
    lazy.predict(request_for(device="cuda"))
    other = np.zeros((60, 90), np.uint8)
    assert lazy.predict(Request(PlaneImage.of("other", other), device="cuda", model="a")).device
    assert alive == [0, 1, 0]


def test_model_and_features_are_gone_before_the_next_model_is_loaded() -> None:
    """GPU memory not released when the model changes (OCTRON 24)."""
    held: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def load(*_: Any) -> Sam2:
        alive.append(sum(ref() is not None for ref in held))
        model = make_tiny_model()
        held.append(weakref.ref(model))
        held.extend(weakref.ref(parameter) for parameter in model.parameters())
        model.sam_mask_decoder.conv_s0.register_forward_hook(note_features)
        return model

    def note_features(_: object, _arguments: object, feature: torch.Tensor) -> None:
        held.append(weakref.ref(feature))

    lazy = LazySegmenter(load)
    gc.disable()
    try:
        for name in ("a", "b", "c"):
            assert lazy.predict(request_for(model=name)).masks.any()
    finally:
        gc.enable()
    assert alive == [0, 0, 0]
    assert held[-1]() is not None, "the features of the last one are kept"


def test_other_errors_are_passed_on_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    for error in (PromptError("a"), RuntimeError("shapes do not fit"), KeyError("b")):
        models = FullModels("embed", error, ALWAYS)
        with pytest.raises(type(error)) as raised:
            LazySegmenter(models).predict(request_for(device="cuda"))
        assert raised.value is error
    assert not caplog.records


def test_the_log_keeps_what_torch_has_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        LazySegmenter(FullModels("embed", MPS, 1)).predict(request_for(device="cuda"))
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1].__cause__ is MPS


def test_words_that_only_look_alike_are_no_trouble() -> None:
    assert trouble_of(RuntimeError("shape '[2]' is invalid for input of size 3")) is None
    assert trouble_of(ValueError("CUDA out of memory")) is None
