"""Features on disk: shared, bounded, and never trusted blindly."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session import disk_cache
from napari_sam2.session.cache import FeatureCache, FeatureKey
from napari_sam2.session.cache_folder import VARIABLE, CacheFolder, default_folder
from napari_sam2.session.disk_cache import DiskCache, _name
from napari_sam2.session.feature_store import FeatureStore

KEY = FeatureKey("content", "weights", "float32", "cpu")


def features(seed: int = 0) -> ImageFeatures:
    random = torch.Generator().manual_seed(seed)
    shapes = (1, 8, 4, 4), (1, 2, 16, 16), (1, 4, 8, 8)
    coarse, fine, middle = (torch.randn(shape, generator=random) for shape in shapes)
    return ImageFeatures(coarse, (fine, middle))


def same(a: ImageFeatures | None, b: ImageFeatures) -> bool:
    assert a is not None
    pairs = zip(
        (a.image_embed, *a.high_res_features), (b.image_embed, *b.high_res_features), strict=True
    )
    return all(torch.equal(x, y) for x, y in pairs)


def key_of(content: str) -> FeatureKey:
    return KEY._replace(content=content)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def disk(tmp_path: Path) -> DiskCache:
    return DiskCache(CacheFolder(tmp_path / "cache"))


def test_what_is_kept_comes_back_as_it_was(disk: DiskCache) -> None:
    disk.put(KEY, features())
    assert same(DiskCache(disk.folder).get(KEY), features())
    assert disk.has(KEY)


@pytest.mark.parametrize("half", [False, True])
def test_a_picture_for_the_refiner_is_kept_too(tmp_path: Path, half: bool) -> None:
    random = torch.Generator().manual_seed(1)
    seen = features()._replace(picture=torch.randn(1, 3, 64, 64, generator=random).half())
    disk = DiskCache(CacheFolder(tmp_path / "cache"), half)
    disk.put(KEY, seen)
    again = DiskCache(disk.folder).get(KEY)
    assert again is not None
    assert again.picture is not None
    assert torch.equal(again.picture, seen.picture)
    assert again.image_embed.dtype == torch.float32


def test_what_was_not_kept_is_none(disk: DiskCache) -> None:
    assert disk.get(KEY) is None
    assert not disk.has(KEY)
    assert disk.folder.nbytes == 0


@pytest.mark.parametrize(
    "other",
    [
        {"content": "other"},  # pixels, channels or normalisation (micro-sam 1283, 1296, 1300)
        {"weights": "other"},
        {"precision": "float16"},
    ],
)
def test_another_picture_model_or_precision_is_not_met(
    disk: DiskCache, other: dict[str, str]
) -> None:
    disk.put(KEY, features())
    assert disk.get(KEY._replace(**other)) is None


def test_all_devices_share_a_file(disk: DiskCache) -> None:
    disk.put(KEY._replace(device="cuda:1"), features())
    assert same(disk.get(KEY), features())


def test_half_precision_takes_half(tmp_path: Path) -> None:
    for name, half in (("full", False), ("half", True)):
        DiskCache(CacheFolder(tmp_path / name), half=half).put(KEY, features())
    full, half_ = (DiskCache(CacheFolder(tmp_path / name)) for name in ("full", "half"))
    assert half_.folder.nbytes < 0.7 * full.folder.nbytes
    read = half_.get(KEY)
    assert read is not None
    assert read.image_embed.dtype == torch.float32
    torch.testing.assert_close(read.image_embed, features().image_embed, atol=2e-3, rtol=1e-3)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    damaged = {
        "cut off": content[: len(content) // 2],
        "empty": b"",
        "another file": b"PK\x03\x04 not features",
        "one bit": content[:-1] + bytes([content[-1] ^ 1]),
    }
    path.write_bytes(damaged[how])


@pytest.mark.parametrize("how", ["cut off", "empty", "another file", "one bit"])
def test_a_damaged_file_is_removed_and_made_again(disk: DiskCache, how: str) -> None:
    disk.put(KEY, features())
    damage(only_file(disk.folder.path), how)
    assert disk.get(KEY) is None
    assert not disk.has(KEY)
    disk.put(KEY, features())
    assert same(disk.get(KEY), features())


def test_a_file_under_a_wrong_name_is_not_taken(disk: DiskCache) -> None:
    disk.put(KEY, features())
    right = only_file(disk.folder.path)
    disk.put(key_of("other"), features(1))
    (wrong,) = set(disk.folder.path.iterdir()) - {right}
    wrong.replace(right)
    assert disk.get(KEY) is None


def test_the_least_recently_used_go_first(disk: DiskCache) -> None:
    disk.put(key_of("a"), features())
    disk.folder.max_bytes = int(2.5 * disk.folder.nbytes)
    for age, name in ((300, "a"), (200, "b")):
        disk.put(key_of(name), features())
        then = disk.folder.path.stat().st_mtime - age
        os.utime(disk.folder.file(_name(key_of(name))), (then, then))
    disk.get(key_of("a"))  # used now
    disk.put(key_of("c"), features())
    assert [disk.has(key_of(name)) for name in "abc"] == [True, False, True]


def test_it_is_known_how_old_what_had_to_go_was(disk: DiskCache) -> None:
    began = time.time() - 1  # file systems keep time more coarsely
    disk.put(key_of("a"), features(0))
    os.utime(disk.folder.file(_name(key_of("a"))), (began - 10, began - 10))
    disk.folder.max_bytes = int(1.5 * disk.folder.nbytes)
    assert disk.folder.displaced == 0
    disk.put(key_of("b"), features(1))
    assert 0 < disk.folder.displaced < began
    disk.put(key_of("c"), features(2))
    assert disk.folder.displaced >= began


def test_what_is_larger_than_the_bound_is_not_kept(disk: DiskCache) -> None:
    disk.folder.max_bytes = 100
    disk.put(KEY, features())
    assert disk.folder.nbytes == 0
    assert disk.folder.trouble == ""


def test_files_of_other_people_are_not_touched(disk: DiskCache) -> None:
    disk.folder.path.mkdir()
    theirs = [disk.folder.path / name for name in ("thesis.pdf", "weights.safetensors", "a.part")]
    for path in theirs:
        path.write_bytes(b"x" * 9999)
        os.utime(path, (0, 0))
    disk.folder.max_bytes = 20_000
    disk.put(KEY, features())
    disk.folder.clear()
    assert sorted(disk.folder.path.iterdir()) == sorted(theirs)


def test_what_a_process_left_unfinished_is_removed_later(disk: DiskCache) -> None:
    disk.folder.path.mkdir()
    old, new = (disk.folder.path / f".{n}.features.safetensors.1.part" for n in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    disk.put(KEY, features())
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_takes_nothing_is_one_sentence_and_no_error(
    disk: DiskCache, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk must not end the work."""

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        disk.put(KEY, features())
    assert disk.folder.trouble.startswith("Embeddings are not kept on disk")
    assert list(disk.folder.path.iterdir()) == []
    disk.put(KEY, features())
    assert disk.folder.nbytes == 0, "it is not tried again at each click"
    disk.folder.clear()
    disk.put(KEY, features())
    assert disk.has(KEY)


WRITE_AND_READ = """
import sys
import time
from pathlib import Path
from tests.session.test_disk_cache import CacheFolder, DiskCache, features, key_of, same
disk = DiskCache(CacheFolder(Path(sys.argv[1]), max_bytes=60_000))
for step in range(60):
    name = f"{step % 7}"
    disk.put(key_of(name), features(step % 7))
    read = disk.get(key_of(name))
    assert read is None or same(read, features(step % 7)), "never another's, never a half"
assert not disk.folder.trouble
"""


@pytest.mark.slow
def test_two_processes_share_a_folder(disk: DiskCache) -> None:
    command = [sys.executable, "-c", WRITE_AND_READ, str(disk.folder.path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert disk.folder.nbytes <= 2 * 60_000


def test_what_may_not_be_read_is_not_removed(
    disk: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.put(KEY, features())

    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "not yours")

    with monkeypatch.context() as patch:
        patch.setattr(disk_cache, "safe_open", refused)
        assert disk.get(KEY) is None
    assert same(disk.get(KEY), features())


def test_features_that_do_not_fit_on_the_device_are_only_missed(
    disk: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.put(KEY, features())

    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "to", full)
        assert disk.get(KEY) is None
    assert disk.has(KEY)


def test_what_is_too_large_for_half_precision_is_kept_in_full(tmp_path: Path) -> None:
    large = ImageFeatures(features().image_embed * 1e6, features().high_res_features)
    disk = DiskCache(CacheFolder(tmp_path), half=True)
    disk.put(KEY, large)
    assert same(disk.get(KEY), large)


KEEP_AND_END = """
import sys
import time
from pathlib import Path
from tests.session.test_disk_cache import *
store = FeatureStore(FeatureCache(), DiskCache(CacheFolder(Path(sys.argv[1]))))
for i in range(8):
    store.put(key_of(str(i)), features())
"""


@pytest.mark.slow
def test_a_script_that_ends_loses_nothing(disk: DiskCache) -> None:
    command = [sys.executable, "-c", KEEP_AND_END, str(disk.folder.path)]
    subprocess.run(command, check=True, timeout=60)
    assert all(disk.has(key_of(str(i))) for i in range(8))


# Memory in front


def test_memory_is_asked_first_and_disk_fills_it(disk: DiskCache) -> None:
    store = FeatureStore(FeatureCache(), disk)
    store.put(KEY, features())
    store.flush()
    later = FeatureStore(FeatureCache(), DiskCache(disk.folder))
    assert later.has(KEY)
    first = later.get(KEY)
    assert same(first, features())
    disk.folder.clear()
    assert later.get(KEY) is first


def test_random_weights_leave_nothing_on_the_disk(disk: DiskCache) -> None:
    store = FeatureStore(FeatureCache(), disk)
    store.put(KEY._replace(weights=""), features())
    store.flush()
    assert disk.folder.nbytes == 0


def test_all_that_was_kept_is_written_though_the_disk_is_slow(
    disk: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(FeatureCache(max_bytes=1), disk)
    keys = [key_of(str(i)) for i in range(20)]
    for key in keys:
        store.put(key, features())
    store.flush()
    assert all(disk.has(key) for key in keys)


def test_a_disk_that_hangs_is_given_up_on(disk: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    from napari_sam2.session import feature_store

    may_write = Event()
    monkeypatch.setattr(feature_store, "_PATIENCE", 0.01)
    monkeypatch.setattr(disk, "put", lambda *_: may_write.wait())
    store = FeatureStore(FeatureCache(), disk)
    for i in range(12):
        store.put(key_of(str(i)), features())
    may_write.set()
    store.flush()
    assert store.get(key_of("11")) is not None


def test_clearing_empties_both(disk: DiskCache) -> None:
    store = FeatureStore(FeatureCache(), disk)
    store.put(KEY, features())
    store.clear()
    assert not store.has(KEY)
    assert disk.folder.nbytes == 0


def test_without_a_disk_it_is_a_memory(disk: DiskCache) -> None:
    store: Any = FeatureStore(FeatureCache())
    store.put(KEY, features())
    assert store.has(KEY)
    store.clear()
    assert store.get(KEY) is None


def test_the_folder_can_be_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "fast disk"))
    assert default_folder() == tmp_path / "fast disk"
    monkeypatch.delenv(VARIABLE)
    assert "napari-sam2" in default_folder().parts
