"""Pictures are made without the user's own settings and files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_sam2.session.recovery import default_folder
from napari_sam2.stage import use_private_folders
from napari_sam2.widget.settings import settings_path


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="Qt's own test folders serve there")
def test_settings_and_recovery_are_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NAPARI_CONFIG", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, os.environ[name])  # to be put back
    use_private_folders(tmp_path)
    assert tmp_path in settings_path().parents
    assert tmp_path in default_folder().parents
    assert os.environ["NAPARI_CONFIG"].startswith(str(tmp_path))
