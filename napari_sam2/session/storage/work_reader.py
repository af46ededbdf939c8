"""The work on one object, from what `work_writer` wrote and somebody may have changed."""

from __future__ import annotations

from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.objects import (
    Answer,
    AtWork,
    ObjectRecord,
    Original,
    PlacedPoint,
    PlacedPrompts,
    PlacedShape,
    PlaneWork,
)
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import POSITIVE, LowResMask, Prompts
from napari_sam2.session.storage.json_values import (
    Fields,
    MalformedError,
    as_integer,
    as_mapping,
    as_number,
    as_size,
    as_text,
    optional,
    tuple_of,
)

_FLOAT16_BYTES = 2


def decode_work(document: object, content: bytes, label_shape: tuple[int, ...]) -> AtWork:
    """Give the work on one object.

    Parameters
    ----------
    document : object
        Its JSON.
    content : bytes
        Its masks and logits.
    label_shape : tuple of int
        Of the labels, in which its planes must lie.

    Raises
    ------
    MalformedError
        If the JSON is not as it should be, or the bytes are too few.
    """
    try:
        return _Decoder(content, label_shape).work(document, "")
    except RecursionError as error:
        raise MalformedError("its work is nested too deeply") from error


def decode_record(
    value: object, where: str, label_shape: tuple[int, ...], work: AtWork | None
) -> ObjectRecord:
    """Give one object, with its work, which is read elsewhere."""
    fields = Fields(value, where)
    as_corner = tuple_of(as_integer, len(label_shape))
    return ObjectRecord(
        object_id=fields.get("object_id", as_integer),
        area=fields.get("area", as_size),
        start=fields.get("start", as_corner),
        stop=fields.get("stop", as_corner),
        score=fields.get_or("score", float("nan"), as_number),
        name=fields.get_or("name", "", as_text),
        class_name=fields.get_or("class", "", as_text),
        work=work,
    )


class _Decoder:
    """Turns JSON into values, taking masks and logits from the bytes."""

    def __init__(self, content: bytes, label_shape: tuple[int, ...]) -> None:
        self._content = content
        self._label_shape = label_shape

    def work(self, value: object, where: str) -> AtWork:
        fields = Fields(value, where)
        return AtWork(
            object_id=fields.get("object_id", as_integer),
            prompts=fields.get_or("prompts", PlacedPrompts(), _placed),
            planes=dict(fields.get("planes", tuple_of(self._plane_work))),
            original=fields.get_or("original", None, optional(self._original)),
        )

    def _original(self, value: object, where: str) -> Original:
        fields = Fields(value, where)
        return Original(
            record=fields.get("record", self._record),
            masks=dict(fields.get("masks", tuple_of(self._plane_mask))),
        )

    def _record(self, value: object, where: str) -> ObjectRecord:
        work = Fields(value, where).get_or("work", None, optional(self.work))
        return decode_record(value, where, self._label_shape, work)

    def _plane_mask(self, value: object, where: str) -> tuple[Plane, PackedMask]:
        plane = self._plane(value, where)
        mask = Fields(value, where).get("mask", self._mask)
        _check_shapes((mask,), plane.shape_of(self._label_shape), where)
        return plane, mask

    def _plane_work(self, value: object, where: str) -> tuple[Plane, PlaneWork]:
        fields, plane = Fields(value, where), self._plane(value, where)
        work = PlaneWork(
            shape=fields.get("shape", _as_pair),
            answer=fields.get_or("answer", None, optional(self._answer)),
            added=fields.get_or("added", None, optional(self._mask)),
            removed=fields.get_or("removed", None, optional(self._mask)),
        )
        candidates = () if work.answer is None else work.answer.candidates
        corrections = [mask for mask in (work.added, work.removed) if mask is not None]
        _check_shapes((work, *candidates, *corrections), plane.shape_of(self._label_shape), where)
        return plane, work

    def _plane(self, value: object, where: str) -> Plane:
        fields, shape = Fields(value, where), self._label_shape
        axes = fields.get("axes", _as_pair)
        plane = Plane(axes, fields.get("index", tuple_of(as_size, len(shape) - 2)))
        if axes[0] == axes[1] or max(axes) >= len(shape):
            raise MalformedError(f"{where}.axes must be two of the {len(shape)} axes, got {axes}")
        if any(i >= shape[axis] for axis, i in zip(plane.hidden_axes, plane.index, strict=True)):
            raise MalformedError(f"{where}.index must lie in labels of {shape}, got {plane.index}")
        return plane

    def _answer(self, value: object, where: str) -> Answer:
        fields = Fields(value, where)
        answer = Answer(
            prompts=fields.get_or("prompts", Prompts(), self._prompts),
            candidates=fields.get("candidates", tuple_of(self._mask)),
            scores=fields.get("scores", tuple_of(as_number)),
            logits=fields.get_or("logits", (), tuple_of(self._logits)),
            chosen=fields.get_or("chosen", 0, as_size),
            model=fields.get_or("model", "", as_text),
            weights_hash=fields.get_or("weights_hash", "", as_text),
        )
        count = len(answer.candidates)
        if answer.chosen >= count:
            raise MalformedError(f"{where}.chosen must be below {count}, got {answer.chosen}")
        if len(answer.scores) != count or len(answer.logits) not in (0, count):
            raise MalformedError(f"{where} must have a score, and logits, for each candidate")
        return answer

    def _prompts(self, value: object, where: str) -> Prompts:
        fields = Fields(value, where)
        prompts = Prompts(
            points=fields.get_or("points", (), tuple_of(_as_position)),
            polarity=fields.get_or("polarity", (), tuple_of(as_integer)),
            box=fields.get_or("box", None, optional(_as_box)),
            mask_prompt=fields.get_or("mask_prompt", None, optional(self._mask_prompt)),
        )
        if len(prompts.points) != len(prompts.polarity):
            raise MalformedError(f"{where} must have a polarity for each point")
        return prompts

    def _mask_prompt(self, value: object, where: str) -> PackedMask | LowResMask:
        if "box" in as_mapping(value, where):
            return self._mask(value, where)
        return self._logits(value, where)

    def _mask(self, value: object, where: str) -> PackedMask:
        fields = Fields(value, where)
        height, width = shape = fields.get("shape", _as_pair)
        y0, x0, y1, x1 = fields.get("box", tuple_of(as_size, 4))
        if not (y0 <= y1 <= height and x0 <= x1 <= width):
            raise MalformedError(f"{where}.box must lie in {height} x {width} pixels")
        size = ((y1 - y0) * (x1 - x0) + 7) // 8
        return PackedMask(shape, (y0, x0, y1, x1), self._take(fields, size, where))

    def _logits(self, value: object, where: str) -> LowResMask:
        fields = Fields(value, where)
        height, width = shape = fields.get("shape", _as_pair)
        region = fields.get_or("region", None, optional(_as_region))
        logits = self._take(fields, height * width * _FLOAT16_BYTES, where)
        return LowResMask(shape, logits, region)

    def _take(self, fields: Fields, size: int, where: str) -> bytes:
        start = fields.get("at", as_size)
        content = self._content[start : start + size]
        if len(content) != size:
            raise MalformedError(f"{where} must have {size} bytes, got {len(content)}")
        return content


def _check_shapes(
    values: tuple[PackedMask | PlaneWork, ...], shape: tuple[int, int], where: str
) -> None:
    for value in values:
        if value.shape != shape:
            raise MalformedError(f"{where} must be of {shape} pixels, got {value.shape}")


def _placed(value: object, where: str) -> PlacedPrompts:
    fields = Fields(value, where)
    return PlacedPrompts(
        points=fields.get_or("points", (), tuple_of(_placed_point)),
        shapes=fields.get_or("shapes", (), tuple_of(_placed_shape)),
    )


def _placed_point(value: object, where: str) -> PlacedPoint:
    fields = Fields(value, where)
    return PlacedPoint(
        fields.get("position", tuple_of(as_number)),
        fields.get_or("polarity", POSITIVE, as_integer),
    )


def _placed_shape(value: object, where: str) -> PlacedShape:
    fields = Fields(value, where)
    return PlacedShape(
        fields.get("kind", as_text),
        fields.get("vertices", tuple_of(tuple_of(as_number))),
        fields.get_or("polarity", POSITIVE, as_integer),
    )


def _as_pair(value: object, where: str) -> tuple[int, int]:
    first, second = tuple_of(as_size, 2)(value, where)
    return first, second


def _as_position(value: object, where: str) -> tuple[float, float]:
    y, x = tuple_of(as_number, 2)(value, where)
    return y, x


def _as_region(value: object, where: str) -> Box:
    y0, x0, y1, x1 = tuple_of(as_size, 4)(value, where)
    if not (y0 < y1 and x0 < x1):
        raise MalformedError(f"{where} must be (y0, x0, y1, x1) with y0 < y1 and x0 < x1")
    return y0, x0, y1, x1


def _as_box(value: object, where: str) -> tuple[float, float, float, float]:
    y0, x0, y1, x1 = tuple_of(as_number, 4)(value, where)
    return y0, x0, y1, x1
