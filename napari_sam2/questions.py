"""What there is to ask, read from the screen and from what is answered already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from napari_sam2.errors import PromptError
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.document import Document
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import PlaneWork
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import LowResMask, Prompts, Request
from napari_sam2.session.regions import WHOLE, FieldOfView


@dataclass(frozen=True)
class Question:
    """What is asked, and by which prompts on screen: those of the request may say where to start.

    Attributes
    ----------
    request : Request
        For the model.
    prompts : Prompts
        As they are on screen; empty if the plane is only embedded ahead.
    """

    request: Request
    prompts: Prompts

    @property
    def plane(self) -> Plane:
        """Where."""
        return Plane(self.request.axes, self.request.plane)


class Asking(NamedTuple):
    """How to ask.

    Attributes
    ----------
    model, device : str
        As in `Request`.
    each_shape : bool
        Whether each closed shape is an object of its own.
    field : FieldOfView
        Where to look; the region of an answer on the plane comes before its `near`.
    """

    model: str
    device: str
    each_shape: bool
    field: FieldOfView = WHOLE


class QuestionReader:
    """Reads questions about one image; without prompts and document, to embed it ahead.

    Parameters
    ----------
    source : ImageSource
        Where planes come from.
    prompts : PromptLayers, optional
        What the user asks.
    document : Document, optional
        What is answered.
    """

    def __init__(
        self,
        source: ImageSource,
        prompts: PromptLayers | None = None,
        document: Document | None = None,
    ) -> None:
        self._source, self._prompts, self._document = source, prompts, document

    @property
    def plane(self) -> Plane | None:
        """The plane on screen; None if there is none."""
        try:
            return self._source.plane
        except PromptError:
            return None

    def work_on(self, plane: Plane | None) -> PlaneWork | None:
        """Give the work of the object at work on a plane."""
        if self._document is None or plane is None:
            return None
        return self._document.at_work.planes.get(plane)

    def read_prompts(
        self, plane: Plane, shape: tuple[int, int], how: Asking
    ) -> tuple[Prompts, str]:
        """Give the prompts on a plane, and a note on what was left out."""
        if self._prompts is None:
            return Prompts(), ""
        return self._prompts.read(self._source.image, plane, shape, each_shape=how.each_shape)

    def about(self, plane: Plane, image: PlaneImage, prompts: Prompts, how: Asking) -> Question:
        """Make the question about prompts on a plane."""
        work = self.work_on(plane)
        region = None if work is None or work.answer is None else work.answer.region
        field = how.field if region is None else replace(how.field, near=region)
        request = Request(
            image=image,
            prompts=replace(prompts, mask_prompt=self._start_from(plane, prompts)),
            object_id=1 if self._document is None else self._document.at_work.object_id,
            plane=plane.index,
            axes=plane.axes,
            model=how.model,
            device=how.device,
            field=field,
        )
        return Question(request, prompts)

    def elsewhere(self, how: Asking) -> Question | None:
        """Give a question about prompts on a plane that is not on screen, if one has no answer.

        An object that is seen from several sides is asked about only where it is looked at.
        """
        on_screen = self.plane
        if self._prompts is None or self._document is None or on_screen is None:
            return None
        if any(plane.axes != on_screen.axes for plane in self._document.at_work.planes):
            return None
        for plane in self._prompts.planes(self._source.image, on_screen.axes):
            if plane != on_screen:
                image = self._source.read_plane(plane)
                prompts, _ = self.read_prompts(plane, image.shape, how)
                if prompts and not is_answer_to(prompts, self.work_on(plane)):
                    return self.about(plane, image, prompts, how)
        return None

    def unasked(self) -> list[tuple[Plane, tuple[int, int]]]:
        """List the planes, with sizes, whose answer is to prompts that are gone."""
        if self._prompts is None or self._document is None:
            return []
        works = self._document.at_work.planes.items()
        answered = {p: work.shape for p, work in works if work.answer and work.answer.prompts}
        sides = {plane.axes for plane in answered}
        asked = {p for axes in sides for p in self._prompts.planes(self._source.image, axes)}
        return [(plane, shape) for plane, shape in answered.items() if plane not in asked]

    def is_wanted(self, question: Question, how: Asking) -> bool:
        """Tell whether a question is about the prompts that the object at work has there now."""
        request, document = question.request, self._document
        if not question.prompts or document is None:
            return False
        if request.object_id != document.at_work.object_id:
            return False
        return self.read_prompts(question.plane, request.image.shape, how)[0] == question.prompts

    def _start_from(self, plane: Plane, prompts: Prompts) -> PackedMask | LowResMask | None:
        """Give what a correction starts from: the shown mask's logits, if the prompts add to it.

        What the brush has corrected stays so by itself, whatever the model answers.
        """
        work = self.work_on(plane)
        if not prompts or work is None or work.answer is None:
            return prompts.mask_prompt
        answer = work.answer
        if not answer.prompts:  # taken from a label
            return prompts.mask_prompt or work.mask or None
        if prompts == answer.prompts or not _adds_to(prompts, answer.prompts):
            return prompts.mask_prompt
        return answer.logits[answer.chosen] if answer.logits else prompts.mask_prompt


def is_answer_to(prompts: Prompts, work: PlaneWork | None) -> bool:
    """Tell whether the answer on a plane is one to these prompts."""
    return work is not None and work.answer is not None and work.answer.prompts == prompts


def _adds_to(new: Prompts, old: Prompts) -> bool:
    """Tell whether all prompts that were answered are still there."""
    before = set(zip(old.points, old.polarity, strict=True))
    after = set(zip(new.points, new.polarity, strict=True))
    is_same_shape = new.box == old.box and new.mask_prompt == old.mask_prompt
    return before <= after and (is_same_shape or (old.box is None and old.mask_prompt is None))
