"""The work on one object as JSON and bytes: its prompts, answers and corrections.

Masks and logits lie one after the other in the bytes; in the JSON stands where each begins. How
long each is follows from its box or shape. `work_reader` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import (
    Answer,
    AtWork,
    ObjectRecord,
    Original,
    PlacedPrompts,
    PlaneWork,
)
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import LowResMask, Prompts
from napari_sam2.session.storage.json_values import JSON, number


def encode_work(work: AtWork) -> tuple[JSON, bytes]:
    """Give the JSON and the bytes of the work on one object."""
    encoder = _Encoder()
    document = encoder.work(work)
    return document, bytes(encoder.content)


def encode_record(record: ObjectRecord, work: JSON) -> JSON:
    """Give the JSON of one object, with what stands for its work."""
    return {
        "object_id": int(record.object_id),
        "area": int(record.area),
        "start": _integers(record.start),
        "stop": _integers(record.stop),
        "score": number(record.score),
        "name": record.name,
        "class": record.class_name,
        "work": work,
    }


class _Encoder:
    """Turns values into JSON and collects their bytes."""

    def __init__(self) -> None:
        self.content = bytearray()

    def work(self, work: AtWork) -> JSON:
        return {
            "object_id": int(work.object_id),
            "prompts": _placed(work.prompts),
            "planes": [self._plane(plane, done) for plane, done in work.planes.items()],
            "original": None if work.original is None else self._original(work.original),
        }

    def _original(self, original: Original) -> JSON:
        earlier = original.record.work
        return {
            "record": encode_record(
                original.record, None if earlier is None else self.work(earlier)
            ),
            "masks": [
                {**_place(plane), "mask": self._mask(mask)}
                for plane, mask in original.masks.items()
            ],
        }

    def _plane(self, plane: Plane, work: PlaneWork) -> JSON:
        return {
            **_place(plane),
            "shape": _integers(work.shape),
            "answer": None if work.answer is None else self._answer(work.answer),
            "added": None if work.added is None else self._mask(work.added),
            "removed": None if work.removed is None else self._mask(work.removed),
        }

    def _answer(self, answer: Answer) -> JSON:
        return {
            "prompts": self._prompts(answer.prompts),
            "candidates": [self._mask(mask) for mask in answer.candidates],
            "scores": _numbers(answer.scores),
            "logits": [self._logits(logits) for logits in answer.logits],
            "chosen": int(answer.chosen),
            "model": answer.model,
            "weights_hash": answer.weights_hash,
        }

    def _prompts(self, prompts: Prompts) -> JSON:
        return {
            "points": [_numbers(point) for point in prompts.points],
            "polarity": _integers(prompts.polarity),
            "box": None if prompts.box is None else _numbers(prompts.box),
            "mask_prompt": self._mask_prompt(prompts.mask_prompt),
        }

    def _mask_prompt(self, mask: PackedMask | LowResMask | None) -> JSON:
        if mask is None:
            return None
        return self._mask(mask) if isinstance(mask, PackedMask) else self._logits(mask)

    def _mask(self, mask: PackedMask) -> JSON:
        start = self._put(mask.bits)
        return {"shape": _integers(mask.shape), "box": _integers(mask.box), "at": start}

    def _logits(self, mask: LowResMask) -> JSON:
        return {
            "shape": _integers(mask.shape),
            "region": None if mask.region is None else _integers(mask.region),
            "at": self._put(mask.logits),
        }

    def _put(self, content: bytes) -> int:
        start = len(self.content)
        self.content += content
        return start


def _place(plane: Plane) -> dict[str, JSON]:
    return {"axes": _integers(plane.axes), "index": _integers(plane.index)}


def _placed(prompts: PlacedPrompts) -> JSON:
    return {
        "points": [
            {"position": _numbers(point.position), "polarity": int(point.polarity)}
            for point in prompts.points
        ],
        "shapes": [
            {
                "kind": shape.kind,
                "vertices": [_numbers(vertex) for vertex in shape.vertices],
                "polarity": int(shape.polarity),
            }
            for shape in prompts.shapes
        ],
    }


def _integers(values: Iterable[int]) -> JSON:
    return [int(value) for value in values]


def _numbers(values: Iterable[float]) -> JSON:
    return [number(value) for value in values]
