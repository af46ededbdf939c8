from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.records import records_of


class LazyLabels:
    """Labels that count how often they are read, and refuse more than a plane at once."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._data, self.reads = data, 0
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        part = self._data[key]
        assert part.ndim == 2
        self.reads += 1
        return part


def record_by_hand(labels: NDArray[Any], value: int) -> ObjectRecord:
    where = np.argwhere(labels == value)
    start, stop = where.min(axis=0), where.max(axis=0) + 1
    return ObjectRecord(value, len(where), tuple(start.tolist()), tuple(stop.tolist()))


def same_but_for_the_score(record: ObjectRecord) -> tuple[Any, ...]:
    """NaN never equals NaN."""
    assert np.isnan(record.score)
    return record.object_id, record.area, record.start, record.stop, record.name, record.work


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.uint8, np.int32, np.uint32, np.int64, np.uint64]),
    largest=st.integers(1, 6),
)
def test_records_are_what_a_search_for_each_value_finds(
    shape: list[int], seed: int, dtype: Any, largest: int
) -> None:
    values = np.arange(largest + 1).astype(dtype) * dtype(41)
    labels = np.random.default_rng(seed).choice(values, shape)
    found = records_of(labels)
    assert list(found) == [int(value) for value in np.unique(labels) if value]
    for value, record in found.items():
        expected = record_by_hand(labels, value)
        assert same_but_for_the_score(record) == same_but_for_the_score(expected)


@pytest.mark.parametrize("shape", [(4, 5), (0, 5), (4, 0), (0, 4, 5), (2, 3, 4, 5)])
def test_empty_labels_have_no_records(shape: tuple[int, ...]) -> None:
    assert records_of(np.zeros(shape, np.int32)) == {}


def test_the_largest_ids_are_kept_exactly() -> None:
    labels = np.zeros((3, 3), np.uint32)
    labels[2, 2] = 2**32 - 1
    assert records_of(labels)[2**32 - 1].start == (2, 2)


def test_negative_values_are_background() -> None:
    assert list(records_of(np.array([[-3, 0, 2]]))) == [2]


def test_lazy_labels_are_read_once_and_plane_by_plane() -> None:
    labels = LazyLabels(np.full((2, 3, 4, 5), 7, np.uint16))
    assert records_of(labels)[7].area == 120
    assert labels.reads == 6


def test_turned_labels_are_measured_along_their_own_axes() -> None:
    labels = np.zeros((4, 9), np.uint8)
    labels[1, 2:8] = 3
    assert records_of(labels.T)[3].stop == (8, 2)


def test_a_mask_is_one_object() -> None:
    assert records_of(np.eye(3, dtype=bool))[1].area == 3


def test_floats_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"must be integers, got float64\. Convert"):
        records_of(np.zeros((2, 2)))


def test_a_single_row_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"two axes or more, got shape \(4,\)"):
        records_of(np.zeros(4, int))
