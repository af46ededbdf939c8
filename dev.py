#!/usr/bin/env python3
"""Set the checkout up when needed, then run the demo, the tests or the checks.

    python3 dev.py demo     segment a real image, write demo/*.tif and *.png
    python3 dev.py test     all tests, real viewer included; more arguments go to pytest
    python3 dev.py lint     ruff, mypy, import contracts, spelling
    python3 dev.py setup    only prepare .venv and the system libraries

Everything is installed into `.venv` here. On Debian and Ubuntu the libraries that a real napari
window needs are installed with apt-get, as root or with sudo. Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "set-up-from"  # a digest of what the last set-up was made from

TORCH = "torch==2.13.0"
# Qt's xcb plugin, software OpenGL, and a display for machines that have none.
SYSTEM_PACKAGES = [
    *("libdbus-1-3", "libegl1", "libfontconfig1", "libgl1", "libgl1-mesa-dri", "libglib2.0-0"),
    *("libglx-mesa0", "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0", "libxcb-keysyms1"),
    *("libxcb-randr0", "libxcb-render-util0", "libxcb-shape0", "libxcb-xinerama0"),
    *("libxkbcommon-x11-0", "xauth", "xvfb"),
]
XVFB = ["xvfb-run", "-a", "-s", "-screen 0 1400x900x24"]


def demo(arguments: list[str]) -> int:
    """Run the main job on the shipped model; gives the exit status."""
    output = [] if arguments else ["--output", "demo"]
    return run_on_display(PYTHON, "-m", "napari_sam2.demo", *output, *arguments)


def test(arguments: list[str]) -> int:
    """Run pytest once, with a display when one can be had; gives pytest's exit status."""
    return run_on_display(PYTHON, "-m", "pytest", *arguments)


def lint(_: list[str]) -> int:
    """Run every check, also after one failed; gives 1 if any did."""
    checks = ["ruff format --check .", "ruff check .", "mypy", "lint-imports", "typos"]
    failed = [check for check in checks if run(BIN / check.split()[0], *check.split()[1:]) != 0]
    say("lint: " + (f"{', '.join(failed)} failed" if failed else "all checks passed"))
    return int(bool(failed))


def setup(_: list[str]) -> int:
    """Set up only: `main` has done it before it comes here."""
    say("set-up: ready")
    return 0


VERBS = {"demo": demo, "test": test, "lint": lint, "setup": setup}


def main() -> int:
    """Read the verb, set up, run it."""
    verb, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if verb not in VERBS:
        say(__doc__ or "")
        return 0 if verb in ("-h", "--help") else 2
    if sys.version_info < (3, 10):  # noqa: UP036 (an old Python must hear it in a sentence)
        sys.exit(f"dev.py needs Python 3.10 or newer, got {sys.version.split()[0]}.")
    os.chdir(ROOT)
    if verb != "lint":
        install_system_packages()
    install_python_packages()
    return VERBS[verb](arguments)


# Set-up -------------------------------------------------------------------------------------------


def install_python_packages() -> None:
    """Bring `.venv` up to date: torch first, then the package with its tools."""
    digest = set_up_digest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == digest:
        return
    make_venv()
    STAMP.unlink(missing_ok=True)
    pip("--upgrade", "pip>=25.1")  # older ones do not know --group
    pip(TORCH)
    pip("--editable", ".[all]", "--group", "test", "--group", "dev")
    STAMP.write_text(digest)


def set_up_digest() -> str:
    """Hash what decides the content of `.venv`: the project file, this file, the interpreter."""
    content = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()
    return hashlib.sha256(content + f"{sys.version_info[:2]}".encode()).hexdigest()


def make_venv() -> None:
    """Create `.venv`, anew if it belongs to another version of Python."""
    if importlib.util.find_spec("ensurepip") is None:
        install_venv_module()
    config = VENV / "pyvenv.cfg"
    version = f"version = {sys.version_info[0]}.{sys.version_info[1]}."
    if PYTHON.exists() and config.exists() and version in config.read_text():
        return
    say(f"set-up: creating {VENV}")
    venv.create(VENV, clear=VENV.exists(), with_pip=True, symlinks=os.name != "nt")


def install_venv_module() -> None:
    """Install what Debian and Ubuntu leave out of Python, or stop with a sentence."""
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    apt_install([package])
    importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(f"This Python cannot make a virtual environment. Install {package}, then repeat.")


def pip(*arguments: str) -> None:
    """Install into `.venv`; leave with a sentence when that fails."""
    if run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *arguments) != 0:
        sys.exit("set-up: pip failed, its message is above. Repeat the command when it is mended.")


def install_system_packages() -> None:
    """Install the missing libraries of `SYSTEM_PACKAGES` on Debian and Ubuntu."""
    if shutil.which("dpkg-query") is None:
        return
    missing = missing_packages()
    if missing and not apt_install(missing):
        say(
            f"set-up: still missing: {' '.join(missing)}.\n"
            f"set-up: ask an administrator for: apt-get install {' '.join(missing)}\n"
            "set-up: going on; what needs a window may fail or be skipped."
        )


def missing_packages() -> list[str]:
    """List the system packages that dpkg does not have, under their own or a provided name."""
    form = "${db:Status-Status} ${Package} ${Provides}\n"
    query = subprocess.run(["dpkg-query", "-Wf", form], capture_output=True, text=True, check=True)
    here = {
        name.strip(",")
        for line in query.stdout.splitlines()
        if line.startswith("installed ")
        for name in line.split()
    }
    return [name for name in SYSTEM_PACKAGES if name not in here]


def apt_install(packages: list[str]) -> bool:
    """Install with apt-get as root or through sudo; gives whether it did."""
    if shutil.which("apt-get") is None:
        return False
    rights = as_root()
    if rights is None:
        return False
    say(f"set-up: installing {' '.join(packages)}")
    apt_get = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    run(*apt_get, "update")
    return run(*apt_get, "install", "--no-install-recommends", *packages) == 0


def as_root() -> list[str] | None:
    """Give the words before a command that must run as root; None when it may not."""
    if os.name == "posix" and os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]  # -n: fail rather than ask nobody


# Running ------------------------------------------------------------------------------------------


def run_on_display(*command: str | Path) -> int:
    """Run with the display there is, or on Linux with a virtual one."""
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform != "linux" or has_display:
        return run(*command)
    if shutil.which("xvfb-run") is None:
        say("No display, and xvfb-run is missing: a real viewer cannot be shown.")
        return run(*command)
    os.environ["LIBGL_ALWAYS_SOFTWARE"] = "1"  # a virtual display has no card behind it
    os.environ.pop("QT_QPA_PLATFORM", None)  # "offscreen" would have no OpenGL
    return run(*XVFB, *command)


def run(*command: str | Path) -> int:
    """Run a command, shown as it is; gives its exit status."""
    words = [str(word) for word in command]
    say("$ " + " ".join(word.replace(f"{ROOT}{os.sep}", "") for word in words))
    return subprocess.call(words)


def say(line: str) -> None:
    """Print at once, so that the lines keep their order among those of the commands."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
