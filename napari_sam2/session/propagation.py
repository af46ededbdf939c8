"""One object prompted on one plane becomes an object through a stack, or a track in a movie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from napari_sam2.errors import PromptError
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.carry_follower import CarryFollower
from napari_sam2.session.contrast import Contrast, contrast_of
from napari_sam2.session.device import memory_errors
from napari_sam2.session.followers import Follower, Frame, Look, given_mask
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.memory_follower import MemoryFollower
from napari_sam2.session.moving_regions import MovingRegions
from napari_sam2.session.official_frames import official_features
from napari_sam2.session.passes import FORWARD, Pass, plan
from napari_sam2.session.plane_image import LastRead, PlaneImage
from napari_sam2.session.postprocess import to_candidates
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.region_grid import RegionGrid
from napari_sam2.session.track_progress import TrackProgress
from napari_sam2.session.tracks import PropagationOptions, Role, TrackedMask, TrackedObject

_DEFAULT = PropagationOptions()


def propagate(
    segmenter: ImageSegmenter,
    frames: Sequence[PlaneImage],
    objects: Iterable[TrackedObject],
    options: PropagationOptions = _DEFAULT,
    follower: Follower | None = None,
) -> Iterator[TrackedMask]:
    """Follow objects through frames, one mask at a time as it is found.

    First come the answers on prompted frames, then the frames forward of them, then those
    backward. A frame is read when it is its turn and if an object is followed there, and embedded
    once for all objects of a region. What is kept does not grow with the number of frames.
    Whoever has seen enough stops iterating.

    Parameters
    ----------
    segmenter : ImageSegmenter
        The model, and the cache where embeddings are taken from and put.
    frames : sequence of PlaneImage
        The planes along one axis, all of one shape.
    objects : iterable of TrackedObject
        Each with a prompt, or with one that `follower` remembers.
    options : PropagationOptions
    follower : Follower, optional
        Of an earlier run over the same frames, iterated to its end, see `follower_for`: prompts on
        frames that it has tracked are answered as corrections, with its memory. A new one by
        default.

    Yields
    ------
    TrackedMask
        Each frame of each object once; with `options.link` perhaps twice, and then the later
        one is the better. Nothing where masks are accepted, nor where a track has ended.

    Raises
    ------
    PromptError
        If an object has no prompt, or a prompt or a frame cannot be used.
    ValueError
        If the memory is asked for and the model has none.
    Sam2Error
        If the device has too little memory.
    """
    if follower is None:
        follower = follower_for(segmenter, len(frames), options)
    run = _Run(segmenter, frames, list(objects), options, follower)
    run.check()
    return run.masks()


def follower_for(
    segmenter: ImageSegmenter, num_frames: int, options: PropagationOptions = _DEFAULT
) -> Follower:
    """Make what follows objects by the method of the options.

    Raises
    ------
    ValueError
        If the memory is asked for and the model has none.
    """
    model = segmenter.model
    if options.method == "carry" or (options.method == "auto" and not model.has_memory):
        return CarryFollower(model)
    if not model.has_memory:
        raise ValueError(
            f"The memory of the model {model.name!r} was not trained. "
            'Choose the method "carry", or another model.'
        )
    return MemoryFollower(
        model,
        num_frames,
        options.fill_holes,
        keeps_all=options.official,
        loses_corrections=options.official,
    )


class _Run:
    """One propagation."""

    def __init__(
        self,
        segmenter: ImageSegmenter,
        frames: Sequence[PlaneImage],
        objects: Sequence[TrackedObject],
        options: PropagationOptions,
        follower: Follower,
    ) -> None:
        self._segmenter = segmenter
        self._frames = frames
        self._objects = objects
        self._options = options
        self._follower = follower
        self._given: dict[tuple[int, int], PackedMask] = {  # by object and frame
            (one.object_id, at): mask for one in objects for at, mask in one.accepted.items()
        }
        self._learnt: dict[int, set[int]] = {one.object_id: set() for one in objects}
        self._forward_scores: dict[tuple[int, int], float] = {}
        self._last: tuple[int, PlaneImage] | None = None

    @cached_property
    def _regions(self) -> MovingRegions:
        first, size = self._frames[0], self._segmenter.model.config.image_size
        grid = RegionGrid(first.shape, size, first.levels)
        return MovingRegions(self._objects, grid, self._follower, self._see, self._given)

    def check(self) -> None:
        """Raise `PromptError` unless all objects can be followed."""
        count = len(self._frames)
        if len(self._learnt) < len(self._objects):
            raise PromptError("Objects must have ids of their own, got one twice. Merge them.")
        for one in self._objects:
            for at in (*one.prompts, *one.accepted):
                if not 0 <= at < count:
                    raise PromptError(
                        f"Prompts must be on one of {count} frames, counted from 0, got frame "
                        f"{at} for object {one.object_id}."
                    )
            for at, mask in one.accepted.items():
                Prompts(mask_prompt=mask).check(self._frames[at].shape)
            if not self._starts(one):
                raise PromptError(
                    f"Object {one.object_id} must be prompted on at least one frame, got no "
                    "prompt. Click it on one plane."
                )

    def masks(self) -> Iterator[TrackedMask]:
        """Answer the prompts, and follow from there."""
        for index in sorted({at for one in self._objects for at in one.prompts}):
            yield from self._prompted(index)
        known = {one.object_id: self._starts(one) for one in self._objects}
        passes = plan(known, len(self._frames), self._options)
        for number, way in enumerate(passes):
            yield from self._follow(way, later=passes[number + 1 :])

    def _starts(self, one: TrackedObject) -> set[int]:
        """Give the frames that an object can be followed from."""
        accepted = one.accepted if self._options.use_accepted else ()
        return {*one.prompts, *self._follower.prompted_frames(one.object_id), *accepted}

    def _prompted(self, index: int) -> Iterator[TrackedMask]:
        """Answer the prompts of a frame; what is accepted there is the answer already."""
        features: dict[Box, ImageFeatures] = {}
        for one in self._objects:
            if index in one.accepted and index in one.prompts:
                self._learn(one, index)
            elif index in one.prompts:
                frame = self._frame(index, one, features)
                answer = self._answer(one, frame, one.prompts[index])
                self._given[one.object_id, index] = answer.mask
                yield answer

    def _follow(self, way: Pass, later: Sequence[Pass]) -> Iterator[TrackedMask]:
        """Go one way over the frames."""
        progress = {one.object_id: self._progress(one, way) for one in self._objects}
        for index in way:
            features: dict[Box, ImageFeatures] = {}
            for one in self._objects:
                object_id = one.object_id
                if way.concerns(object_id, index):
                    found = self._step(one, index, way.direction, progress[object_id], features)
                    yield from self._chosen(found, way.direction)
                    upcoming = way.upcoming(object_id, index)
                    upcoming += [at for other in later for at in other.upcoming(object_id)]
                    self._follower.forget(object_id, upcoming)
        for track in progress.values():
            yield from self._chosen(track.end(), way.direction)
        with memory_errors(self._segmenter.model.device):
            for one in self._objects:
                self._regions.return_home(one.object_id, way.direction)

    def _progress(self, one: TrackedObject, way: Pass) -> TrackProgress:
        progress = TrackProgress(self._options)
        given = self._given.get((one.object_id, way.starts[one.object_id]))
        if given is not None:
            progress.trust(given, self._contrast(way.starts[one.object_id], given))
        return progress

    def _step(
        self,
        one: TrackedObject,
        index: int,
        direction: int,
        progress: TrackProgress,
        features: dict[Box, ImageFeatures],
    ) -> list[TrackedMask]:
        """Follow an object to a frame, and give what is known now."""
        follower, object_id = self._follower, one.object_id
        given = self._given.get((object_id, index))
        if given is not None:
            return progress.trust(given)  # the frame need not be read
        if progress.has_ended or index in follower.prompted_frames(object_id):
            return []
        if self._options.use_accepted:
            self._learn_nearest(one, index)
        frame = self._frame(index, one, features)
        with memory_errors(self._segmenter.model.device):
            look = follower.follow(object_id, frame, direction)
        tracked = self._tracked(one, frame, look, "tracked")
        is_good, found = progress.add(tracked, self._contrast(index, tracked.mask))
        if is_good or look.object_score <= 0:  # that it is gone may be remembered, an error not
            follower.keep_tracked(object_id, index, direction, look)
        if is_good and self._options.region_moves:
            with memory_errors(self._segmenter.model.device):
                self._regions.follow(object_id, index, direction, tracked.mask)
        return found

    def _contrast(self, index: int, mask: PackedMask) -> Contrast | None:
        """Measure a mask on its frame, if there is a rule."""
        if self._options.stop.min_contrast is None:
            return None
        return contrast_of(self._image(index), mask)

    def _chosen(self, found: list[TrackedMask], direction: int) -> list[TrackedMask]:
        """Give what is better than what was found on the way forth."""
        if not self._options.link:
            return found
        scores = self._forward_scores
        if direction == FORWARD:
            scores.update({(one.object_id, one.frame): one.score for one in found})
            return found
        return [one for one in found if one.score > scores.get((one.object_id, one.frame), -1.0)]

    def _learn_nearest(self, one: TrackedObject, index: int) -> None:
        """Let the nearest accepted mask on either side be a prompt, and no other."""
        before = [at for at in one.accepted if at < index]
        behind = [at for at in one.accepted if at > index]
        nearest = {*([max(before)] if before else ()), *([min(behind)] if behind else ())}
        learnt = self._learnt[one.object_id]
        for at in learnt - nearest - set(one.prompts):
            self._follower.release(one.object_id, at)
            learnt.remove(at)
        for at in sorted(nearest - learnt):
            self._learn(one, at)

    def _learn(self, one: TrackedObject, index: int) -> None:
        """Let an accepted mask be a prompt."""
        self._learnt[one.object_id].add(index)
        prompts = Prompts(mask_prompt=one.accepted[index])
        self._answer(one, self._frame(index, one, {}), prompts)

    def _answer(self, one: TrackedObject, frame: Frame, prompts: Prompts) -> TrackedMask:
        """Answer prompts, and remember the answer."""
        with memory_errors(self._segmenter.model.device):
            look = self._follower.prompt(one.object_id, frame, prompts)
        self._follower.keep_prompted(one.object_id, frame.index, look)
        answer = self._tracked(one, frame, look, "prompted")
        mask = given_mask(prompts)  # rather than what its coarse logits give
        return answer if mask is None else replace(answer, mask=mask)

    def _tracked(self, one: TrackedObject, frame: Frame, look: Look, role: Role) -> TrackedMask:
        (mask,) = to_candidates(look.low_res_mask[0], frame.shape, frame.region)
        logits = look.low_res_mask[0, 0].cpu().numpy() if self._options.keep_logits else None
        return TrackedMask(
            frame.index, one.object_id, mask, role, look.iou, look.object_score, "", logits
        )

    def _frame(self, index: int, one: TrackedObject, features: dict[Box, ImageFeatures]) -> Frame:
        """Embed the region of an object, once for all objects that share it."""
        region = self._regions.of(one.object_id)
        if region not in features:
            features[region] = self._embed(self._image(index), region)
        return Frame(index, features[region], region, self._frames[index].shape)

    def _image(self, index: int) -> PlaneImage:
        """Give a frame; of the last one, what was read last is kept for `_contrast`."""
        if self._last is None or self._last[0] != index:
            image = self._frames[index]
            self._last = index, replace(image, read=LastRead(image.read))
        return self._last[1]

    def _see(self, index: int, region: Box) -> Frame:
        """Embed a frame again, in another region."""
        image = self._image(index)
        return Frame(index, self._embed(image, region), region, image.shape)

    def _embed(self, image: PlaneImage, region: Box) -> ImageFeatures:
        if self._options.official:
            return official_features(self._segmenter.model, image)
        return self._segmenter.features(image, region)
