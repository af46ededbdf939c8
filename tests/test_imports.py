"""What an import may bring along: opening the widget must not wait for torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_sam2

PACKAGE = Path(napari_sam2.__file__).parent
HEAVY = ("torch", "huggingface_hub", "safetensors")
UPPER_FLOORS = ("widget", "controller", "layers", "cli", "__main__")

IMPORT_AND_REPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def modules_of(*parts: str) -> list[str]:
    """Name every module of these parts of the package that is there."""
    files = [
        file
        for part in parts
        for file in [PACKAGE / f"{part}.py", *sorted((PACKAGE / part).rglob("*.py"))]
        if file.exists()
    ]
    names = [file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files]
    return [".".join(name).removesuffix(".__init__") for name in names]


def imported_with(*names: str) -> set[str]:
    """Import in a fresh interpreter and give the top-level packages that came along."""
    command = [sys.executable, "-c", IMPORT_AND_REPORT, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_upper_floors_are_found() -> None:
    assert "napari_sam2.widget" in modules_of(*UPPER_FLOORS)
    assert "napari_sam2.layers" in modules_of(*UPPER_FLOORS)


def test_importing_the_package_brings_neither_torch_nor_napari_nor_qt() -> None:
    unwanted = {*HEAVY, "napari", "numpy", "qtpy"}
    assert imported_with("napari_sam2", "napari_sam2.errors") & unwanted == set()


def test_importing_the_widget_does_not_import_torch() -> None:
    modules = [name for name in modules_of(*UPPER_FLOORS) if not name.endswith("__main__")]
    assert imported_with(*modules) & set(HEAVY) == set()


def test_values_and_registry_do_not_import_torch() -> None:
    values = ["session.prompts", "session.results", "model.config", "weights.registry"]
    assert imported_with(*(f"napari_sam2.{name}" for name in values)) & {*HEAVY, "qtpy"} == set()


@pytest.mark.parametrize("name", napari_sam2.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(napari_sam2, name) is not None


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_sam2.nothing


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_only_public_napari_is_imported(file: Path) -> None:
    """Ruff bans the private packages by name; this sees the private modules of any depth."""
    private = [name for name in imports_of(file) if is_private_napari(name)]
    assert private == []


def imports_of(file: Path) -> list[str]:
    """List the dotted names that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def is_private_napari(name: str) -> bool:
    first, *rest = name.split(".")
    return first == "napari" and any(part.startswith("_") for part in rest)


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("napari._qt.qt_viewer", True),
        ("napari.layers._source", True),
        ("napari.layers.Labels", False),
        ("napari_sam2._sample_data", False),
    ],
)
def test_private_napari_is_told_by_its_name(name: str, private: bool) -> None:
    assert is_private_napari(name) is private
