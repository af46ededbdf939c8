from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from napari_sam2.errors import WeightsError
from napari_sam2.weights import transport
from napari_sam2.weights.hub import available, cached_path, fetch
from napari_sam2.weights.registry import REGISTRY, find_entry
from tests.weights.conftest import point_client_at
from tests.weights.hub_stand_in import COMMIT, HubStandIn, serving

TINY = REGISTRY["tiny"]
CONTENT = bytes(range(256)) * 1200  # 300 kB: more than one read from the line
ETAG = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def tiny(hub: HubStandIn) -> HubStandIn:
    assert TINY.repo is not None
    hub.files[TINY.repo, TINY.filename] = CONTENT
    return hub


def partial_files(root: Path) -> list[Path]:
    return list(root.rglob("*.incomplete"))


def test_a_file_is_downloaded_once_and_then_found_without_asking(
    tiny: HubStandIn, tmp_path: Path
) -> None:
    assert cached_path(TINY) is None
    path = fetch(TINY)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "cache")
    tiny.asked.clear()
    assert fetch(TINY) == cached_path(TINY) == path
    assert tiny.asked == []


def test_the_cache_is_the_hubs_own(tiny: HubStandIn, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    path = fetch(TINY)
    tiny.asked.clear()
    again = hf_hub_download(str(TINY.repo), TINY.filename, cache_dir=tmp_path / "cache")
    assert Path(again) == path
    assert [asked.method for asked in tiny.asked] == ["HEAD"]
    cache = scan_cache_dir(tmp_path / "cache")
    assert cache.warnings == []
    assert {repo.repo_id for repo in cache.repos} == {TINY.repo}
    assert path.parent.name == COMMIT


def test_progress_rises_to_the_whole(tiny: HubStandIn) -> None:
    told: list[tuple[int, int]] = []
    fetch(TINY, progress=lambda done, total: told.append((done, total)))
    done = [step[0] for step in told]
    assert len(done) > 1
    assert done == sorted(set(done))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert {total for _, total in told} == {len(CONTENT)}


def test_a_cut_connection_is_resumed_where_it_stopped(tiny: HubStandIn) -> None:
    tiny.faults = [100_000, 50_000]
    told: list[int] = []
    path = fetch(TINY, progress=lambda done, total: told.append(done))
    assert path.read_bytes() == CONTENT
    assert tiny.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert told == sorted(told)


def test_another_run_goes_on_where_the_last_one_was_lost(tiny: HubStandIn, tmp_path: Path) -> None:
    tiny.faults = [100_000, *[0] * transport._ATTEMPTS]
    with pytest.raises(WeightsError, match=r"lost after 0 of 0 MB.*goes on from there"):
        fetch(TINY)
    assert cached_path(TINY) is None
    assert len(partial_files(tmp_path)) == 1
    tiny.asked.clear()
    assert fetch(TINY).read_bytes() == CONTENT
    assert tiny.ranges == ["bytes=100000-"]
    assert partial_files(tmp_path) == []


def test_an_interrupted_program_leaves_what_came(tiny: HubStandIn, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(TINY, progress=interrupt)
    (partial,) = partial_files(tmp_path)
    came = partial.stat().st_size
    assert 0 < came < len(CONTENT)
    assert fetch(TINY).read_bytes() == CONTENT
    assert tiny.ranges == [None, f"bytes={came}-"]


def test_a_server_that_ignores_ranges_sends_all_again(tiny: HubStandIn) -> None:
    tiny.faults = [100_000, "ignore range"]
    assert fetch(TINY).read_bytes() == CONTENT
    assert tiny.ranges == [None, "bytes=100000-"]


def test_a_busy_server_is_asked_again(tiny: HubStandIn) -> None:
    tiny.faults = ["busy", "busy"]
    assert fetch(TINY).read_bytes() == CONTENT


def test_a_corrupted_download_is_removed_and_told(tiny: HubStandIn, tmp_path: Path) -> None:
    tiny.faults = ["corrupt"]
    with pytest.raises(WeightsError, match=r"arrived damaged .* and was removed"):
        fetch(TINY)
    assert cached_path(TINY) is None
    assert partial_files(tmp_path) == []
    assert fetch(TINY).read_bytes() == CONTENT


def test_a_file_that_the_server_cuts_short_is_removed_and_told(
    tiny: HubStandIn, tmp_path: Path
) -> None:
    tiny.faults = ["short", "short"]
    with pytest.raises(WeightsError, match=r"is cut short: 307200 bytes .* 153600 came"):
        fetch(TINY)
    assert cached_path(TINY) is None
    assert partial_files(tmp_path) == []


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-1] + b"\0", b""])
def test_a_damaged_file_in_the_cache_is_fetched_anew(
    tiny: HubStandIn, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = fetch(TINY)
    path.resolve().write_bytes(damage)
    assert fetch(TINY).read_bytes() == CONTENT
    assert "was damaged and has been removed" in caplog.text


def test_a_damaged_file_in_the_cache_is_never_used_offline(tiny: HubStandIn) -> None:
    path = fetch(TINY)
    path.resolve().write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"was damaged and has been removed.*offline"):
        fetch(TINY, offline=True)
    assert not path.exists()


def test_a_damaged_blob_that_nothing_points_to_is_not_taken_up(tiny: HubStandIn) -> None:
    path = fetch(TINY)
    path.resolve().write_bytes(CONTENT[:-1])
    path.unlink()
    assert fetch(TINY).read_bytes() == CONTENT


def test_without_symbolic_links_the_file_is_there_once(
    tiny: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download, "are_symlinks_supported", lambda folder=None: False)
    path = fetch(TINY)
    assert path.read_bytes() == CONTENT
    assert not path.is_symlink()
    of_that_size = [
        file
        for file in (tmp_path / "cache").rglob("*")
        if file.is_file() and file.stat().st_size == len(CONTENT)
    ]
    assert of_that_size == [path]
    assert fetch(TINY) == path


def test_a_small_file_outside_lfs_is_checked_by_its_git_hash(hub: HubStandIn) -> None:
    entry = find_entry("someone/cells:small.safetensors")
    hub.files["someone/cells", "small.safetensors"] = CONTENT
    blob = b"blob %d\0" % len(CONTENT)
    hub.etags["small.safetensors"] = hashlib.sha1(blob + CONTENT).hexdigest()
    hub.faults = ["corrupt"]
    with pytest.raises(WeightsError, match="arrived damaged"):
        fetch(entry)
    assert fetch(entry).read_bytes() == CONTENT


def test_offline_mode_uses_the_cache_and_nothing_else(
    tiny: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    with pytest.raises(WeightsError, match=r"offline mode is on.*napari-sam2 download tiny"):
        fetch(TINY, offline=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="offline mode is on"):
        fetch(TINY)
    assert tiny.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    path = fetch(TINY)
    tiny.asked.clear()
    assert fetch(TINY, offline=True) == path
    assert tiny.asked == []


class Refusal(NamedTuple):
    status: int
    code: str
    told: str


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(404, "RepoNotFound", "There is no repository .* or it is private"),
        Refusal(401, "RepoNotFound", "There is no repository .* or it is private"),
        Refusal(401, "GatedRepo", "is gated. Ask its owners for access"),
        Refusal(403, "GatedRepo", "is gated. Ask its owners for access"),
        Refusal(404, "RevisionNotFound", "has no revision"),
        Refusal(404, "EntryNotFound", "has no file 'sam2.1_hiera_tiny.pt'"),
        Refusal(403, "", r"refuses sam2.1_hiera_tiny.pt .* \(status 403\): log in"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(tiny: HubStandIn, refusal: Refusal) -> None:
    assert TINY.repo is not None
    tiny.refusals[TINY.repo] = (refusal.status, refusal.code)
    with pytest.raises(WeightsError, match=refusal.told) as caught:
        fetch(TINY)
    assert "\n" not in str(caught.value)


def test_no_network_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        point_client_at(f"http://127.0.0.1:{unused.getsockname()[1]}", tmp_path, monkeypatch)
        with pytest.raises(
            WeightsError, match=r"No connection to http://127.0.0.1.* give its path"
        ):
            fetch(TINY)


def test_a_page_that_is_not_a_hub_is_told_apart(
    tiny: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.weights.hub_stand_in.COMMIT", "")
    with pytest.raises(WeightsError, match="does not answer as a Hugging Face Hub does"):
        fetch(TINY)


def test_an_impossible_repository_name_is_told() -> None:
    with pytest.raises(WeightsError, match=r"'a--b/c' cannot be the name of a repository"):
        fetch(find_entry("a--b/c:file.pt"))


def test_a_disk_without_room_is_told_before_anything_comes(
    tiny: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match=r"need 0 MB in .*Make room.*HF_HOME"):
        fetch(TINY)
    assert tiny.ranges == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, r"The disk with .* is full.*Make room.*HF_HOME"),
        (errno.EACCES, r"cannot be kept in .*: Permission denied\. .*HF_HOME"),
    ],
)
def test_a_disk_that_refuses_while_writing_is_told(
    tiny: HubStandIn, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    open_path: Callable[..., Any] = Path.open

    def refuse(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if path.name.endswith(".napari-sam2.incomplete"):
            raise OSError(number, os.strerror(number), str(path))
        return open_path(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=told):
        fetch(TINY)
    assert cached_path(TINY) is None


def test_the_users_token_reaches_the_hub_but_not_the_storage_behind_it(
    tiny: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(HubStandIn(files=tiny.files)) as storage:
        tiny.cdn = storage.url
        assert fetch(TINY).read_bytes() == CONTENT
    assert {asked.authorization for asked in tiny.asked} == {"Bearer hf_secret"}
    assert {(asked.method, asked.authorization) for asked in storage.asked} == {("GET", None)}


def test_available_names_what_is_here(tiny: HubStandIn, tmp_path: Path) -> None:
    assert "tiny" not in available()
    path = fetch(TINY)
    tiny.asked.clear()
    assert available()["tiny"] == path
    assert "large" not in available()
    assert tiny.asked == []


def test_a_missing_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"There is no checkpoint at .*gone\.pt"):
        fetch(find_entry(tmp_path / "gone.pt"))


def test_the_environment_decides_where_from_and_where_to(tiny: HubStandIn, tmp_path: Path) -> None:
    program = (
        "from napari_sam2.weights.hub import fetch; "
        "from napari_sam2.weights.registry import REGISTRY; "
        "print(fetch(REGISTRY['tiny'])); "
        "import sys; assert 'torch' not in sys.modules"
    )
    home = tmp_path / "elsewhere"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_ENDPOINT": tiny.url, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(ran.stdout.strip())
    assert path.is_relative_to(home)
    assert path.read_bytes() == CONTENT
