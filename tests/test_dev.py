"""dev.py: what it installs, what it skips, and what it says when it may not install."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DEV = Path(__file__).parents[1] / "dev.py"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load dev.py as a module whose .venv is an empty folder and whose `run` only notes."""
    spec = importlib.util.spec_from_file_location("dev_under_test", DEV)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(module, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(module, "STAMP", tmp_path / "set-up-from")
    module.commands = []

    def note(*words: str | Path) -> int:
        module.commands.append(" ".join(str(word) for word in words))
        return 0

    monkeypatch.setattr(module, "run", note)
    monkeypatch.setattr(module.venv, "create", lambda *_, **__: module.PYTHON.touch())
    return module


def test_torch_is_installed_before_the_package(dev: ModuleType) -> None:
    dev.install_python_packages()
    installed = [command.partition("--disable-pip-version-check ")[2] for command in dev.commands]
    assert installed == [
        "--upgrade pip>=25.1",
        "torch==2.13.0",
        "--editable .[all] --group test --group dev",
    ]


def test_set_up_is_skipped_when_nothing_changed(dev: ModuleType) -> None:
    dev.install_python_packages()
    dev.commands.clear()
    dev.install_python_packages()
    assert dev.commands == []


def test_set_up_is_repeated_after_the_project_file_changed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.install_python_packages()
    dev.commands.clear()
    monkeypatch.setattr(dev, "set_up_digest", lambda: "another")
    dev.install_python_packages()
    assert len(dev.commands) == 3


def test_failed_install_is_tried_again(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "run", lambda *words: int(dev.TORCH in words))
    with pytest.raises(SystemExit, match="pip failed"):
        dev.install_python_packages()
    assert not dev.STAMP.exists()


def dpkg_says(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 0, stdout=lines)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)


def test_package_under_a_provided_name_is_not_missing(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ubuntu 24.04 has libglib2.0-0t64, which provides libglib2.0-0."""
    monkeypatch.setattr(dev, "SYSTEM_PACKAGES", ["libglib2.0-0", "xauth", "xvfb"])
    dpkg_says(
        "installed libglib2.0-0t64 libglib2.0-0 (= 2.80.0-6ubuntu3)\n"
        "config-files xauth \n"
        "installed xvfb xserver\n",
        monkeypatch,
    )
    assert dev.missing_packages() == ["xauth"]


def test_missing_libraries_are_named_when_it_may_not_install(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev.shutil, "which", lambda name: name)
    monkeypatch.setattr(dev, "missing_packages", lambda: ["xauth", "xvfb"])
    monkeypatch.setattr(dev, "as_root", lambda: None)
    dev.install_system_packages()
    assert "ask an administrator for: apt-get install xauth xvfb" in capsys.readouterr().out
    assert dev.commands == []


def test_missing_libraries_are_installed_with_sudo(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev.shutil, "which", lambda name: name)
    monkeypatch.setattr(dev, "missing_packages", lambda: ["xvfb"])
    monkeypatch.setattr(dev, "as_root", lambda: ["sudo"])
    dev.install_system_packages()
    update, install = dev.commands
    assert update.startswith("sudo env DEBIAN_FRONTEND=noninteractive apt-get")
    assert install.endswith("install --no-install-recommends xvfb")


def test_python_without_venv_says_what_to_install(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(dev.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"Install python3\.\d+-venv"):
        dev.make_venv()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has Xvfb")
def test_virtual_display_only_where_there_is_none(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev.shutil, "which", lambda name: name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("LIBGL_ALWAYS_SOFTWARE", "0")  # both are put back after the test
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("DISPLAY", ":7")
    dev.run_on_display("job")
    monkeypatch.delenv("DISPLAY")
    dev.run_on_display("job")
    assert dev.commands == ["job", "xvfb-run -a -s -screen 0 1400x900x24 job"]


def test_every_check_runs_after_one_failed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []
    monkeypatch.setattr(dev, "run", lambda tool, *_: ran.append(tool.name) or tool.name == "mypy")
    assert dev.lint([]) == 1
    assert ran == ["ruff", "ruff", "mypy", "lint-imports", "typos"]
    assert "lint: mypy failed" in capsys.readouterr().out


def test_unknown_verb_shows_the_usage(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dev.py", "fly"])
    assert dev.main() == 2
    assert "dev.py demo" in capsys.readouterr().out
