from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sam2.errors import ProjectError
from napari_sam2.session.objects import AtWork, State
from napari_sam2.session.recovery import Recovery, default_folder
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage import members
from tests.session.snapshots import IMAGE, SHAPE, identical, same_content, snapshot, work

FINGERPRINT = IMAGE.fingerprint
EMPTY = snapshot(state=State(AtWork(1)), labels={})


def left_behind(folder: Path) -> Snapshot | None:
    """Give what a new process finds."""
    recovery = Recovery(folder)
    found = recovery.find(FINGERPRINT)
    return None if found is None else recovery.load(found)


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def write_and_die(folder: Path, *snapshots: Snapshot) -> None:
    """Write as a process that then ends."""
    recovery = Recovery(folder)
    for one in snapshots:
        recovery.write(one)
    recovery.close()


def test_work_comes_back_after_the_process_is_gone(tmp_path: Path) -> None:
    before = datetime.now(timezone.utc)
    write_and_die(tmp_path, snapshot(3), snapshot(3, 4))
    found = Recovery(tmp_path).find(FINGERPRINT)
    assert found is not None
    assert (found.objects, found.image_name) == (2, "nuclei")
    assert abs(found.written - before) < timedelta(minutes=1)
    assert same_content(Recovery(tmp_path).load(found), snapshot(3, 4))


def test_work_in_use_is_not_offered(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    recovery.write(snapshot(3))
    assert recovery.find(FINGERPRINT) is None
    assert Recovery(tmp_path).find(FINGERPRINT) is None
    recovery.close()
    assert Recovery(tmp_path).find(FINGERPRINT) is not None


def test_what_is_released_is_offered_and_not_written_into(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    recovery.write(snapshot(3))
    assert recovery.keeps(FINGERPRINT)
    recovery.release(FINGERPRINT)
    assert not recovery.keeps(FINGERPRINT)
    found = recovery.find(FINGERPRINT)
    assert found is not None
    recovery.write(snapshot(5))
    assert same_content(recovery.load(found), snapshot(3))


def test_what_was_left_of_the_same_work_is_replaced(tmp_path: Path) -> None:
    for ids in ((3,), (3, 4)):
        recovery = Recovery(tmp_path)
        recovery.write(snapshot(*ids), document="a")
        recovery.close()
    other = Recovery(tmp_path)
    other.write(snapshot(5), document="b")
    assert len(list(tmp_path.glob("*/*"))) == 2
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, snapshot(3, 4))
    other.forget(FINGERPRINT, "a")  # saved by somebody who has not written it
    assert left_behind(tmp_path) is None


def test_any_thread_may_write_and_another_may_close(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(recovery.write, [snapshot(n) for n in range(1, 9)]))
    assert Recovery(tmp_path).find(FINGERPRINT) is None
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    (last,) = rest.state.objects
    assert same_content(rest, snapshot(last))


def test_other_images_find_nothing(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3))
    assert Recovery(tmp_path).find("another") is None


def test_two_on_the_same_image_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, other = Recovery(tmp_path), Recovery(tmp_path)
    for ids in ((3,), (3, 4)):
        one.write(snapshot(*ids))
        other.write(snapshot(5))
    other.close()
    one.close()
    found = Recovery(tmp_path).find(FINGERPRINT)
    assert found is not None
    assert same_content(Recovery(tmp_path).load(found), snapshot(5))  # written last
    Recovery(tmp_path).discard(found)
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, snapshot(3, 4))


def test_going_on_with_what_was_found(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3))
    recovery = Recovery(tmp_path)
    found = recovery.find(FINGERPRINT)
    assert found is not None
    recovery.write(recovery.load(found))
    recovery.discard(found)
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, snapshot(3))


def test_nothing_is_written_as_long_as_there_is_no_work(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    recovery.write(EMPTY)
    assert list(tmp_path.iterdir()) == []


def test_what_was_all_taken_back_is_not_offered(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3), EMPTY)
    assert left_behind(tmp_path) is None
    assert files_in(tmp_path) == []


def test_labels_alone_are_work(tmp_path: Path) -> None:
    painted = replace(EMPTY, labels={(1,): np.ones(SHAPE[1:], np.int32)})
    write_and_die(tmp_path, painted)
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, painted)


def test_forgotten_work_is_not_offered(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    recovery.write(snapshot(3))
    recovery.forget(FINGERPRINT)
    assert files_in(tmp_path) == []
    recovery.write(snapshot(4))
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, snapshot(4))


def test_only_what_changed_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = snapshot(3, 4)
    recovery = Recovery(tmp_path)
    recovery.write(first)
    names: list[str] = []
    write_zip = members.write_zip

    def spy(path: Path, content: Any) -> None:
        content = list(content)
        names.extend(name for name, _ in content)
        write_zip(path, content)

    monkeypatch.setattr("napari_sam2.session.storage.recovery_folder.write_zip", spy)
    recovery.write(first, [])
    assert names == []
    clicked = replace(first, state=replace(first.state, at_work=work(98)), labels={})
    recovery.write(clicked, [])
    assert names == ["0.json", "0.bin"]
    painted = replace(clicked, labels={(1,): np.full(SHAPE[1:], 9, np.int32)})
    names.clear()
    recovery.write(painted, [(1,)])
    assert names == ["plane.npy.gz"]
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    assert identical(rest.state, clicked.state)
    assert np.array_equal(rest.read_block((0,)), first.read_block((0,)))
    assert (rest.read_block((1,)) == 9).all()


def test_dirty_plane_that_is_not_there_is_empty(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    recovery.write(snapshot(3, 4))
    recovery.write(snapshot(3, 4, labels={}), [(1,)])
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    assert list(rest.labels) == [(0,)]


def test_kept_object_is_not_written_again_when_it_was_at_work(tmp_path: Path) -> None:
    at_work = snapshot(3)
    record = replace(at_work.state.objects[3], object_id=99, work=at_work.state.at_work)
    state = replace(
        at_work.state, at_work=AtWork(100), objects={**at_work.state.objects, 99: record}
    )
    write_and_die(tmp_path, at_work, replace(at_work, state=state))
    rest = left_behind(tmp_path)
    assert rest is not None
    assert identical(rest.state, state)


def test_parts_that_nobody_needs_are_removed(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    for object_id in range(20):
        recovery.write(snapshot(3, at_work=object_id))
    recovery.close()
    assert len([name for name in files_in(tmp_path) if name.startswith("part")]) == 3


def test_labels_whose_type_has_grown(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    small = snapshot(3, label_dtype=np.dtype(np.uint8))
    recovery.write(small)
    recovery.write(replace(small, label_dtype=np.dtype(np.int32)), [])
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, snapshot(3))


def test_labels_of_another_shape_begin_anew(tmp_path: Path) -> None:
    recovery = Recovery(tmp_path)
    recovery.write(snapshot(3))
    flat = replace(
        snapshot(state=State(AtWork(1))), labels={(): np.eye(4, dtype=np.int32)}, label_shape=(4, 4)
    )
    recovery.write(flat, [()])
    recovery.close()
    rest = left_behind(tmp_path)
    assert rest is not None
    assert same_content(rest, flat)


# Death and failure at any moment.


class KilledError(BaseException):
    """The process ends here."""


OPERATIONS = [
    (Path, "mkdir"),
    (Path, "open"),
    (Path, "replace"),
    (Path, "unlink"),
    (os, "fsync"),
    (zipfile.ZipFile, "writestr"),
]


class Operations:
    """Counts file operations; from the given one on (or at that one only), each of them fails."""

    def __init__(self, error: BaseException, is_final: bool) -> None:
        self.count, self.fail_at = 0, 10**9
        self._error, self._is_final = error, is_final

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for owner, name in OPERATIONS:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.fail_at or (self._is_final and self.count > self.fail_at):
                raise self._error
            return operation(*args, **kwargs)

        return counted


def changed() -> Snapshot:
    """Give what follows on `snapshot(3, 4)`: a plane emptied, one painted, other objects."""
    return snapshot(3, 6, at_work=100, labels={(0,): np.full(SHAPE[1:], 6, np.int32)})


def count_operations(folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        recovery = Recovery(folder)
        recovery.write(snapshot(3, 4))
        operations = Operations(KilledError(), is_final=True)
        operations.patch(patch)
        recovery.write(changed())
    recovery.close()
    return operations.count


def test_killed_at_any_operation_the_work_is_there(tmp_path: Path) -> None:
    outcomes = []
    for moment in range(1, count_operations(tmp_path / "count") + 1):
        folder = tmp_path / str(moment)
        recovery = Recovery(folder)
        recovery.write(snapshot(3, 4))
        with pytest.MonkeyPatch.context() as patch:
            operations = Operations(KilledError(), is_final=True)
            operations.patch(patch)
            operations.fail_at = moment
            with pytest.raises(KilledError):
                recovery.write(changed())
        recovery.close()  # as the system lets go of a dead process's locks
        rest = left_behind(folder)
        assert rest is not None
        is_new = same_content(rest, changed())
        assert is_new or same_content(rest, snapshot(3, 4))
        outcomes.append(is_new)
    assert outcomes == sorted(outcomes)  # first the old one, then the new one
    assert len(set(outcomes)) == 2


def test_disk_full_at_any_operation_is_a_sentence_and_is_made_up_for(tmp_path: Path) -> None:
    failed = 0
    for moment in range(1, count_operations(tmp_path / "count") + 1):
        folder = tmp_path / str(moment)
        recovery = Recovery(folder)
        recovery.write(snapshot(3, 4))
        with pytest.MonkeyPatch.context() as patch:
            operations = Operations(OSError(28, "No space left on device"), is_final=False)
            operations.patch(patch)
            operations.fail_at = moment
            try:
                recovery.write(changed(), [(0,), (1,)])
            except ProjectError as error:
                failed += 1
                assert "No space left on device" in str(error)  # noqa: PT017
        # The planes of the call that failed are not handed over again.
        recovery.write(replace(changed(), labels={}), [])
        recovery.close()
        rest = left_behind(folder)
        assert rest is not None
        assert same_content(rest, changed())
        assert not [name for name in files_in(folder) if name.endswith(".incomplete")]
    assert failed > 5


WRITE_UNTIL_KILLED = """
import sys
from itertools import count
from pathlib import Path
import numpy as np
from napari_sam2.session.recovery import Recovery
from tests.session.snapshots import SHAPE, snapshot
recovery = Recovery(Path(sys.argv[1]))
for n in count(1):
    recovery.write(snapshot(3, at_work=n, labels={(0,): np.full(SHAPE[1:], n, np.int32)}))
    print(n, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(12)]
        assert Recovery(tmp_path).find(FINGERPRINT) is None  # it is alive
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout]
    rest = left_behind(tmp_path)
    assert rest is not None
    last = rest.state.at_work.object_id
    assert told[-1] <= last <= told[-1] + 1
    assert (rest.read_block((0,)) == last).all()


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    recovery = Recovery(blocked)
    with pytest.raises(ProjectError, match="could not be kept safe"):
        recovery.write(snapshot(3))
    assert recovery.find(FINGERPRINT) is None


def test_first_write_that_failed_is_made_up_for(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    recovery = Recovery(blocked)
    with pytest.raises(ProjectError):
        recovery.write(snapshot(3, 4))
    blocked.unlink()
    recovery.write(snapshot(3, 4, labels={}), [(1,)])  # one plane was emptied meanwhile
    recovery.close()
    rest = left_behind(blocked)
    assert rest is not None
    assert list(rest.labels) == [(0,)]


# What others have left, damaged or old.


def test_damaged_work_is_not_offered_but_stays(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3))
    (session,) = tmp_path.rglob("session.json")
    session.write_text("{")
    assert Recovery(tmp_path).find(FINGERPRINT) is None
    assert session.exists()


@pytest.mark.parametrize("name", ["../../../secret/0", "part-000001/../x", "/etc/passwd", ""])
def test_names_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    write_and_die(tmp_path, snapshot(3))
    (session,) = tmp_path.rglob("session.json")
    text = session.read_text()
    session.write_text(text.replace('"at_work":"part-000002/0"', f'"at_work":"{name}"'))
    assert session.read_text() != text
    recovery = Recovery(tmp_path)
    found = recovery.find(FINGERPRINT)
    assert found is not None
    with pytest.raises(ProjectError, match="could not be brought back"):
        recovery.load(found)


def test_lost_part_is_one_sentence(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3))
    recovery = Recovery(tmp_path)
    found = recovery.find(FINGERPRINT)
    assert found is not None
    (found.folder / "part-000001.zip").unlink()
    with pytest.raises(ProjectError, match="left there as it is"):
        recovery.load(found)


def other_image(name: str) -> Snapshot:
    return snapshot(3, image=replace(IMAGE, fingerprint=name))


def age(folder: Path, days: float) -> None:
    for session in folder.rglob("session.json"):
        then = session.stat().st_mtime - days * 86_400
        os.utime(session, (then, then))


def test_old_work_is_removed(tmp_path: Path) -> None:
    write_and_die(tmp_path, other_image("old"))
    age(tmp_path, 31)
    write_and_die(tmp_path, other_image("young"))
    assert [folder.name for folder in tmp_path.iterdir()] == ["young"]


def test_old_work_on_the_current_image_stays(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3))
    age(tmp_path, 31)
    recovery = Recovery(tmp_path, max_bytes=0)
    recovery.write(snapshot(5))
    assert recovery.find(FINGERPRINT) is not None


def test_oldest_work_is_removed_when_it_is_too_much(tmp_path: Path) -> None:
    for days, name in enumerate(["b", "a", "c"]):
        write_and_die(tmp_path, other_image(name))
        age(tmp_path / name, 10 - days)
    weight = sum(file.stat().st_size for file in (tmp_path / "a").rglob("*") if file.is_file())
    busy = Recovery(tmp_path)
    busy.write(other_image("busy"))
    Recovery(tmp_path, max_bytes=int(3.5 * weight)).write(other_image("d"))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["busy", "c", "d"]


def test_files_of_others_are_never_removed(tmp_path: Path) -> None:
    write_and_die(tmp_path, snapshot(3))
    found = Recovery(tmp_path).find(FINGERPRINT)
    assert found is not None
    (found.folder / "notes.txt").write_text("mine")
    Recovery(tmp_path).discard(found)
    assert files_in(tmp_path) == ["notes.txt"]


def test_default_folder_is_the_users() -> None:
    assert default_folder().name == "recovery"
    assert default_folder().parent.name == "napari-sam2"
    assert default_folder().is_relative_to(Path.home()) or sys.platform == "win32"
