from __future__ import annotations

import pytest
import torch

from napari_sam2.model import Sam2
from napari_sam2.session import device as device_module
from napari_sam2.session.device import (
    choose_device,
    describe_device,
    device_here,
    free_memory,
    list_devices,
    load_model,
)


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What this computer pretends to have."""
    counts = {"cuda": 0, "mps": 0}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: counts["cuda"] > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: counts["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: counts["mps"] > 0)
    return counts


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted"), [(1, 1, "cuda"), (0, 1, "mps"), (0, 0, "cpu"), (1, 0, "cuda")]
)
def test_auto_takes_the_fastest(hardware: dict[str, int], cuda: int, mps: int, wanted: str) -> None:
    hardware.update(cuda=cuda, mps=mps)
    assert choose_device("auto") == torch.device(wanted)


def test_a_named_device_is_taken(hardware: dict[str, int]) -> None:
    hardware.update(cuda=2, mps=1)
    for name in ("cpu", "mps", "cuda", "cuda:1"):
        assert choose_device(name) == torch.device(name)


def test_a_torch_device_is_taken_as_it_is() -> None:
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "CUDA", "auto:0"])
def test_an_unknown_device_is_named(hardware: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"must be auto, cuda, mps or cpu, got '{name}'"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "mps", "cuda:0"])
def test_a_device_that_is_not_here_is_refused_with_the_reason(
    hardware: dict[str, int], name: str
) -> None:
    with pytest.raises(ValueError, match=r"not available here: torch sees no .* Choose auto"):
        choose_device(name)


def test_a_card_that_does_not_exist_is_refused(hardware: dict[str, int]) -> None:
    hardware.update(cuda=2)
    with pytest.raises(ValueError, match="there are 2, counted from 0"):
        choose_device("cuda:2")


def test_the_processor_is_described_with_its_threads() -> None:
    assert describe_device(torch.device("cpu")) == f"cpu ({torch.get_num_threads()} threads)"


def test_only_devices_that_are_here_are_listed(
    hardware: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index or 0}")
    assert list_devices() == {"auto": "Automatic: CPU", "cpu": "CPU"}
    hardware.update(mps=1)
    assert list_devices() == {
        "auto": "Automatic: Apple graphics",
        "mps": "Apple graphics",
        "cpu": "CPU",
    }
    hardware.update(mps=0, cuda=2)
    assert list_devices() == {
        "auto": "Automatic: Card 0",
        "cuda:0": "Card 0",
        "cuda:1": "Card 1",
        "cpu": "CPU",
    }
    hardware.update(cuda=1)
    assert list(list_devices()) == ["auto", "cuda", "cpu"]


def test_every_device_that_is_listed_can_be_chosen(
    hardware: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Card")
    hardware.update(cuda=2, mps=1)
    for name in list_devices():
        choose_device(name)
        assert device_here(name) == name
    assert device_here("cuda:5") == "auto"


def test_freeing_the_memory_of_a_lost_device_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    free_memory(torch.device("cuda"))


def test_load_model_loads_and_places(tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, *, progress: object) -> Sam2:
        asked.append((name, progress))
        return tiny_model

    monkeypatch.setattr(device_module, "load_weights", load)
    assert load_model("tiny", device="cpu", progress=print) is tiny_model
    assert asked == [("tiny", print)]


def test_a_wrong_device_costs_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "load_weights", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(ValueError, match="Device must be"):
        load_model("tiny", device="gpu")
