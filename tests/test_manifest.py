"""The manifest is found wherever the package is: in a checkout, installed editable, in a wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import napari_sam2

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_sam2.__file__).parent

READ_MANIFEST = """
import json
import napari_sam2
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

manifest = PluginManifest.from_distribution("napari-sam2")
commands = {command.id: command.python_name for command in manifest.contributions.commands}
print(json.dumps({
    "package": napari_sam2.__file__,
    "name": manifest.name,
    "widgets": {widget.display_name: widget.command for widget in manifest.contributions.widgets},
    "commands": commands,
    "callable": [name for name in commands.values() if callable(import_python_name(name))],
}))
"""


def read_manifest(folder: Path, **environment: str) -> dict[str, Any]:
    """Read the manifest as napari does, in a fresh interpreter that runs in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", READ_MANIFEST],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(manifest: dict[str, Any]) -> None:
    """Check that napari can offer the widget and make it."""
    assert manifest["name"] == "napari-sam2"
    assert manifest["widgets"].keys() == {"Segment with SAM 2"}
    assert set(manifest["widgets"].values()) <= manifest["commands"].keys()
    assert manifest["callable"] == list(manifest["commands"].values())


def test_root_manifest_is_the_one_in_the_package() -> None:
    at_root = ROOT / "napari.yaml"
    if not at_root.is_symlink():
        pytest.skip("this checkout has no symbolic links")
    assert not at_root.readlink().is_absolute()
    assert at_root.samefile(PACKAGE / "napari.yaml")


def test_manifest_of_the_installed_package(tmp_path: Path) -> None:
    manifest = read_manifest(tmp_path)
    check(manifest)
    assert Path(manifest["package"]).parent == PACKAGE


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_manifest_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, "--target", str(tmp_path), str(wheel)], check=True)
    manifest = read_manifest(tmp_path, PYTHONPATH=str(tmp_path))
    check(manifest)
    assert Path(manifest["package"]).parent == tmp_path / "napari_sam2"


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    here = {
        file.relative_to(PACKAGE.parent).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("napari_sam2/")}
    assert {"napari_sam2/napari.yaml", "napari_sam2/py.typed"} <= packed
    assert packed == here
