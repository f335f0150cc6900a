"""A killed job finds a checkpoint that is whole, whatever happened to the newest one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtra.store.checkpoint import Checkpoints


def save(checkpoints: Checkpoints, step: int, content: bytes) -> Path:
    return checkpoints.save(step, lambda file: file.write(content))


def latest(checkpoints: Checkpoints) -> tuple[int, bytes] | None:
    found = checkpoints.load_latest()
    return found and (found[0], found[1].read_bytes())


def test_there_is_nothing_to_load_before_the_first_save(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent").load_latest() is None


def test_the_newest_is_loaded_and_only_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (9, 10, 100):
        save(checkpoints, step, b"%d" % step)
    assert latest(checkpoints) == (100, b"100")
    assert len(list(tmp_path.iterdir())) == 2


@given(content=st.binary(min_size=1, max_size=200), data=st.data())
def test_a_newest_checkpoint_cut_anywhere_gives_way_to_the_previous_one(content: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        checkpoints = Checkpoints(Path(directory))
        save(checkpoints, 1, b"good")
        newest = save(checkpoints, 2, content)
        newest.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        assert latest(checkpoints) == (1, b"good")


@given(content=st.binary(min_size=1, max_size=200), data=st.data())
def test_one_flipped_bit_is_noticed(content: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        checkpoints = Checkpoints(Path(directory))
        damaged = bytearray(content)
        damaged[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        save(checkpoints, 1, content).write_bytes(damaged)
        assert checkpoints.load_latest() is None


def test_a_run_that_went_back_past_a_damaged_checkpoint_keeps_two_good_ones(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 100, b"a")
    save(checkpoints, 200, b"b").write_bytes(b"damaged")
    save(checkpoints, 150, b"c")
    assert latest(checkpoints) == (150, b"c")
    checkpoints.load_latest()[1].unlink()  # type: ignore[index]
    assert latest(checkpoints) == (100, b"a")


def test_a_save_that_fails_half_way_leaves_the_previous_one_and_no_litter(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, b"good")

    def fail(file: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(2, fail)
    assert latest(checkpoints) == (1, b"good")
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_save_left_is_never_loaded_and_cleared_by_the_next_save(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, b"good")
    (tmp_path / ".half.tmp").write_bytes(b"ha")
    assert latest(checkpoints) == (1, b"good")
    save(checkpoints, 2, b"better")
    assert not (tmp_path / ".half.tmp").exists()
