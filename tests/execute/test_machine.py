"""What is handed out never exceeds what there is, and all of it comes back."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtra.execute.machine import Allocation, Machine
from xtra.store.job import Resources

REQUESTS = st.builds(
    Resources,
    cpus=st.integers(1, 9),
    gpus=st.integers(0, 3),
    memory_gb=st.sampled_from([0.5, 4.0, 100.0]),
    jobs_per_gpu=st.integers(1, 3),
)


@given(requests=st.lists(st.tuples(REQUESTS, st.booleans()), max_size=30))
def test_no_core_no_memory_and_no_gpu_is_handed_out_twice(requests: list[tuple[Resources, bool]]) -> None:
    machine = Machine(4, 16.0, ["0", "1"])
    out: list[Allocation] = []
    for asked, free in requests:
        allocation = machine.allocate(asked)
        out += [] if allocation is None else [allocation]
        if free and out:
            machine.free(out.pop(0))
        load: Counter[str] = Counter()
        for allocation in out:
            for name in allocation.gpus:
                load[name] += allocation.share  # type: ignore[assignment]
        assert sum(allocation.cpus for allocation in out) <= 4
        assert sum(allocation.memory_gb for allocation in out) <= 16
        assert all(used <= Fraction(1) for used in load.values())
    for allocation in out:
        machine.free(allocation)
    assert machine.allocate(Resources(cpus=9, gpus=9, memory_gb=100)) == Allocation(4, 16.0, ("0", "1"), Fraction(1))


def test_sharers_sit_on_one_gpu_and_leave_the_other_whole() -> None:
    machine = Machine(8, 64.0, ["0", "1"])
    sharers = [machine.allocate(Resources(gpus=1, jobs_per_gpu=2)) for _ in range(2)]
    assert [allocation and allocation.environment() for allocation in sharers] == [{"CUDA_VISIBLE_DEVICES": "0"}] * 2
    whole = machine.allocate(Resources(gpus=1))
    assert whole is not None
    assert whole.gpus == ("1",)
    assert machine.allocate(Resources(gpus=1)) is None


def test_without_gpus_a_job_that_wants_one_runs_all_the_same() -> None:
    allocation = Machine(1, 8.0).allocate(Resources(gpus=1))
    assert allocation is not None
    assert allocation.gpus == ()


def test_a_job_that_asks_for_no_gpu_sees_none() -> None:
    allocation = Machine(2, 8.0, ["0"]).allocate(Resources())
    assert allocation is not None
    assert allocation.environment() == {"CUDA_VISIBLE_DEVICES": ""}


def test_gpus_that_the_environment_names_are_the_ones_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    allocation = Machine.this().allocate(Resources(gpus=2))
    assert allocation is not None
    assert allocation.environment() == {"CUDA_VISIBLE_DEVICES": "3,GPU-5"}


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        *((nothing, ()) for nothing in ("-1", "none", "NoDevFiles", " ", "")),
        *((" 0 , 1 ", ("0", "1")), ("0,-1,1", ("0",)), ("1,,2", ("1",)), ("MIG-7f", ("MIG-7f",))),
    ],
)
def test_what_names_no_gpu_is_none_and_hides_those_after_it_as_cuda_has_it(
    monkeypatch: pytest.MonkeyPatch, visible: str, gpus: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = Machine.this(cpus=1)
    assert machine.lacks_gpus(Resources(gpus=1)) is not bool(gpus)
    allocation = machine.allocate(Resources(gpus=2))
    assert allocation is not None
    assert allocation.gpus == gpus
