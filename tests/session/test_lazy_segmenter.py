"""One model at a time, loaded when a request names it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_sam2.model import Sam2
from napari_sam2.session.cache_folder import CacheOptions
from napari_sam2.session.lazy_segmenter import LazySegmenter
from tests.session.conftest import make_tiny_model
from tests.session.test_image_segmenter import request_for


class Loader:
    """Loads tiny models, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[], None] = lambda: None
        self.downloads: list[int] = []

    def __call__(
        self, name: str, device: str, progress: Callable[[int, int], None] | None = None
    ) -> Sam2:
        self.before()
        for done in self.downloads if progress else ():
            progress(done, 1000)
        self.asked.append((name, device))
        model = make_tiny_model()
        model.name = name
        return model


def test_a_model_is_loaded_when_the_first_request_names_it() -> None:
    loader, stages = Loader(), []
    lazy = LazySegmenter(loader)
    assert not loader.asked
    lazy.predict(request_for(model="a"), stages.append)
    lazy.predict(request_for(model="a"), stages.append)
    assert loader.asked == [("a", "cpu")]
    assert stages == ["loading", "embedding", "decoding", "decoding"]


def test_a_download_is_told_by_the_percent() -> None:
    loader, stages = Loader(), []
    loader.downloads = [0, 4, 9, 10, 500, 504, 1000]
    LazySegmenter(loader).predict(request_for(), stages.append)
    assert stages[:5] == [
        "loading",
        "downloading 0 %",
        "downloading 1 %",
        "downloading 50 %",
        "downloading 100 %",
    ]


def test_what_the_listener_raises_ends_a_download_and_the_next_request_tries_again() -> None:
    loader = Loader()
    loader.downloads = [0, 500, 1000]
    lazy = LazySegmenter(loader)

    def leave_at_half(stage: str) -> None:
        if stage == "downloading 50 %":
            raise InterruptedError(stage)

    with pytest.raises(InterruptedError):
        lazy.predict(request_for(), leave_at_half)
    assert loader.asked == []
    assert lazy.predict(request_for()).masks.any()


def test_another_model_or_device_is_loaded_anew() -> None:
    loader = Loader()
    lazy = LazySegmenter(loader)
    for model, device in (("a", "cpu"), ("b", "cpu"), ("b", "auto"), ("a", "cpu")):
        lazy.predict(request_for(model=model, device=device))
    assert loader.asked == [("a", "cpu"), ("b", "cpu"), ("b", "auto"), ("a", "cpu")]


def test_the_old_model_is_freed_before_the_new_one_is_loaded() -> None:
    """GPU memory not released when the model changes (OCTRON 24)."""
    alive: list[bool] = []
    loader = Loader()
    models: list[weakref.ref[Sam2]] = []

    def load(name: str, device: str, progress: object) -> Sam2:
        gc.collect()
        alive.extend(model() is not None for model in models)
        model = loader(name, device)
        models.append(weakref.ref(model))
        return model

    lazy = LazySegmenter(load)
    lazy.predict(request_for(model="a"))
    lazy.predict(request_for(model="b"))
    assert alive == [False]


def test_release_frees_the_model_and_the_next_request_loads_it() -> None:
    loader = Loader()
    lazy = LazySegmenter(loader)
    lazy.release()
    lazy.predict(request_for())
    lazy.release()
    lazy.predict(request_for())
    assert len(loader.asked) == 2


def test_a_failed_load_is_tried_again() -> None:
    loader = Loader()
    lazy = LazySegmenter(loader)
    lazy.predict(request_for(model="a"))

    def fail() -> None:
        raise OSError("no network")

    loader.before = fail
    with pytest.raises(OSError, match="no network"):
        lazy.predict(request_for(model="b"))
    loader.before = lambda: None
    assert lazy.predict(request_for(model="b")).masks.any()
    lazy.predict(request_for(model="a"))
    assert [name for name, _ in loader.asked] == ["a", "b", "a"]


def test_threads_take_turns_and_load_once() -> None:
    loader, answers = Loader(), []
    lazy = LazySegmenter(loader)
    together = threading.Barrier(4)

    def ask() -> None:
        together.wait()
        answers.append(lazy.predict(request_for()))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loader.asked) == 1
    assert len(answers) == 4


def test_looking_loads_a_model_and_asks_it_nothing() -> None:
    loader = Loader()
    lazy = LazySegmenter(loader)
    look = lazy.look(request_for(model="a"))
    assert loader.asked == [("a", "cpu")]
    assert look.picture.shape == (128, 128, 3)
    lazy.look(request_for(model="b"))
    assert loader.asked[1:] == [("b", "cpu")]


def test_looking_does_not_wait_for_an_answer() -> None:
    """Dragging a contrast slider while a large model embeds must show what it does."""
    lazy, looked = LazySegmenter(Loader()), threading.Event()
    lazy.look(request_for(model="a"))

    def report(stage: str) -> None:
        if stage == "embedding":
            thread = threading.Thread(target=lambda: looked.set() if looks() else None)
            thread.start()
            thread.join(10)

    def looks() -> bool:
        return lazy.look(request_for(model="a")).region == (0, 0, 60, 90)

    lazy.predict(request_for(model="a"), report)
    assert looked.is_set()


def test_it_tells_what_had_to_make_room_on_the_disk(tmp_path: Path) -> None:
    lazy = LazySegmenter(Loader(), CacheOptions(on_disk=True, folder=str(tmp_path)))
    disk = lazy._store.disk
    assert disk is not None
    assert lazy.displaced == 0
    disk.folder.max_bytes = 10
    disk.folder.write("old", b"x" * 8)
    used = disk.folder.file("old").stat().st_mtime
    disk.folder.write("new", b"x" * 8)
    assert lazy.displaced == used
    lazy.use_cache(CacheOptions())
    assert lazy.displaced == 0, "nothing is kept there any more"
