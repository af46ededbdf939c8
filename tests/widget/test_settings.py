from __future__ import annotations

import json
import logging
from dataclasses import fields, replace
from pathlib import Path

import pytest

from napari_sam2.widget.settings import Settings, load_settings, save_settings, settings_path

CHANGED = Settings(
    live=False,
    rule="same",
    policy="empty",
    only_clicked=False,
    fill_holes=True,
    min_area=12,
    smooth=3,
    each_shape=True,
    field_of_view="visible",
    normalisation="percentile",
    model="large",
    device="cpu",
    cache_on_disk=False,
    cache_half=True,
    cache_gigabytes=9,
    embed_neighbours=False,
    folded=("keys",),
    keys={"commit": "K"},
    export_folder="/data/über",
    labels_folder="/scratch",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "settings.json"


def test_every_field_survives_a_restart(path: Path) -> None:
    assert all(getattr(CHANGED, f.name) != getattr(Settings(), f.name) for f in fields(Settings))
    save_settings(CHANGED, path)
    assert load_settings(path) == CHANGED


def test_the_first_start_is_quiet(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert load_settings(path) == Settings()
    assert not caplog.records
    assert not path.parent.exists()


@pytest.mark.parametrize("content", ["{", "[1, 2]", "\x00\xff", "", '{"live": '])
def test_a_damaged_file_is_ignored_with_a_line_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    assert load_settings(path) == Settings()
    assert len(caplog.records) == 1
    save_settings(CHANGED, path)
    assert load_settings(path) == CHANGED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("live", 1),
        ("rule", "luckiest"),
        ("field_of_view", "tiles"),
        ("policy", None),
        ("policy", []),
        ("min_area", -1),
        ("min_area", True),
        ("smooth", 2.5),
        ("smooth", 10**9),
        ("folded", "keys"),
        ("folded", [1]),
        ("keys", ["Q"]),
        ("keys", {"commit": None}),
        ("model", 3),
    ],
)
def test_a_value_of_no_meaning_costs_only_itself(
    path: Path, caplog: pytest.LogCaptureFixture, name: str, value: object
) -> None:
    save_settings(CHANGED, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    assert load_settings(path) == replace(CHANGED, **{name: getattr(Settings(), name)})
    assert name in caplog.records[0].getMessage()


def test_what_a_newer_version_wrote_is_kept(path: Path) -> None:
    save_settings(Settings(), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "voice": "alto"}))
    save_settings(CHANGED, path)
    assert load_settings(path) == CHANGED
    assert json.loads(path.read_text())["voice"] == "alto"


def test_a_folder_that_cannot_be_written_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    save_settings(CHANGED, in_the_way / "settings.json")
    assert "cannot be written" in caplog.text


def test_nothing_half_written_is_ever_in_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_settings(Settings(), path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    save_settings(CHANGED, path)
    assert load_settings(path) == Settings()
    assert list(path.parent.iterdir()) == [path]


def test_the_file_lies_in_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings_path().parts[-2:] == ("napari-sam2", "settings.json")


def test_folding_is_remembered_by_name() -> None:
    settings = Settings(folded=())
    assert settings.with_folded("keys", True).with_folded("files", True).folded == ("files", "keys")
    assert settings.with_folded("keys", True).with_folded("keys", False) == settings
