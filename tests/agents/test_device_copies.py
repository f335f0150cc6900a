"""Arrays that travel between host and GPU in one copy arrive as they were; counted on the fake device in tests/fakegpu."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from xtra.device_copies import ALIGNMENT, pack, to_device, to_host, tree_to_device, unpack

DTYPES = (np.uint8, np.bool_, np.int64, np.float32, np.float64)
Item = TypeVar("Item")
ARRAYS = st.lists(
    st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=5))),
    min_size=1,
    max_size=5,
)


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())


@given(ARRAYS, st.booleans())
def test_what_is_packed_is_unpacked_unchanged_however_it_lies_in_memory(arrays: list[np.ndarray], transposed: bool) -> None:
    tensors = [torch.from_numpy(array.T if transposed else array) for array in arrays]
    packed = pack(tensors)
    assert all(same(one, other) for one, other in zip(unpack(packed, tensors), tensors, strict=True))
    assert all((view.data_ptr() - packed.data_ptr()) % ALIGNMENT == 0 for view in unpack(packed, tensors) if view.numel())


def test_packing_by_hand() -> None:
    packed = pack([torch.tensor([1, 2], dtype=torch.uint8), torch.tensor(True), torch.zeros(0), torch.tensor([-1.0])])
    assert len(packed) == 3 * ALIGNMENT  # nothing for the empty one
    assert packed[:2].tolist() == [1, 2]
    assert packed[ALIGNMENT].item() == 1
    assert packed[2 * ALIGNMENT :][:4].tolist() == [0, 0, 0x80, 0xBF]


def test_on_the_cpu_nothing_is_copied() -> None:
    array, tensor = np.zeros(3, np.float32), torch.zeros(3, requires_grad=True)
    moved, own = to_device(torch.device("cpu"), array, tensor)
    (fetched,) = to_host(tensor)
    array[0] = fetched[1] = 1.0
    assert moved.tolist() == [1.0, 0.0, 0.0]
    assert own is tensor
    assert tensor.tolist() == [0.0, 1.0, 0.0]


class Pair(NamedTuple, Generic[Item]):
    one: Item
    other: Item | None


def test_a_tree_keeps_its_form_and_what_is_missing_in_it() -> None:
    array = np.arange(3)
    tree = Pair((array, {"a": array + 1, "b": None}), Pair((), torch.zeros(2)))
    moved = tree_to_device(torch.device("cpu"), tree)
    assert isinstance(moved, Pair) and isinstance(moved.other, Pair)
    assert moved.one[0].tolist() == [0, 1, 2]
    assert moved.one[1]["a"].tolist() == [1, 2, 3] and moved.one[1]["b"] is None
    assert moved.other.one == () and moved.other.other is tree.other.other
    assert tree_to_device(torch.device("cpu"), (None, {})) == (None, {})


@pytest.mark.gpu
@pytest.mark.arithmetic
def test_arrays_come_back_from_a_gpu_as_they_went() -> None:
    arrays = [np.arange(6).reshape(2, 3).T, np.array([True, False]), np.zeros((0, 4), np.float32)]
    there = torch.full((700,), -2.5, device="cuda")
    moved = to_device(there.device, *arrays, there)
    assert moved[-1] is there
    back = to_host(*moved)
    assert all(np.array_equal(one, other) for one, other in zip(back, (*arrays, there.cpu().numpy()), strict=True))
