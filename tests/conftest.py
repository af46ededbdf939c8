"""A test touches neither the network nor the user's files, and leaves no window behind."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HAS_DISPLAY = sys.platform != "linux" or any(
    os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
)
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# The lines below act before napari, Qt, torch or the hub's client are imported: each reads its
# environment once.
_home = tempfile.TemporaryDirectory(prefix="napari-sam2-tests-", ignore_cleanup_errors=True)


def _use_private_home(home: Path) -> None:
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)  # Qt complains about any other mode
    os.environ |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(runtime),
        "NAPARI_CONFIG": str(home / "napari.yaml"),
        "HF_HOME": str(home / "huggingface"),
    }
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"):
        os.environ.pop(name, None)


_use_private_home(Path(_home.name))
os.environ["OMP_NUM_THREADS"] = "1"
if not HAS_DISPLAY:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine-steps",
        type=int,
        default=2000,
        help="random steps of tests/widget/test_machine.py; 10000 before a release",
    )
    parser.addoption(
        "--whole-matrix",
        action="store_true",
        help="all combinations of tests/matrix, which take minutes, instead of some",
    )


def pytest_configure(config: pytest.Config) -> None:
    os.environ["MACHINE_STEPS"] = str(config.option.machine_steps)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot show, and downloads that nobody asked for."""
    wants_weights = "weights" in config.option.markexpr
    for item in items:
        if item.get_closest_marker("gl") and not HAS_DISPLAY:
            item.add_marker(pytest.mark.skip(reason="no display; `python dev.py test` brings one"))
        if item.get_closest_marker("weights") and not wants_weights:
            item.add_marker(pytest.mark.skip(reason="downloads; ask with -m weights"))


class NetworkRefusedError(RuntimeError):
    """A test reached for the network; not an `OSError`, so that no code takes it for one."""


@pytest.fixture(autouse=True)
def refuse_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only, unless the test is marked `weights`."""
    if request.node.get_closest_marker("weights"):
        return
    connect, connect_ex, getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(host: Any) -> None:
        host = host.decode() if isinstance(host, bytes) else host
        if host is not None and host not in LOOPBACK:
            raise NetworkRefusedError(f"A test must stay on this machine, got a call to {host!r}.")

    def check_address(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            check(address[0])

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        check_address(sock, address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        check_address(sock, address)
        return connect_ex(sock, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


@pytest.fixture(autouse=True)
def no_widget_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a top-level widget; napari's own fixture watches real viewers."""
    before = _top_level_widgets()
    yield
    if request.node.get_closest_marker("gl"):
        return
    left = [widget for widget in _top_level_widgets() if widget not in before]
    assert not left, f"Every top-level widget must be closed and deleted, got {left} left behind."


def _top_level_widgets() -> list[Any]:
    """Give Qt's top-level widgets, without importing Qt for a test that has none."""
    widgets = sys.modules.get("qtpy.QtWidgets")
    app = widgets.QApplication.instance() if widgets else None
    if app is None:
        return []
    from qtpy.QtCore import QEvent

    app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return list(app.topLevelWidgets())
