"""TensorBoard shows what the JSON lines say, once each, however often the job was resumed."""

import sys
from pathlib import Path

import pytest

from xtra import telemetry
from xtra.telemetry import Telemetry


def points(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """By tag, what TensorBoard would draw."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = loader.EventAccumulator(str(directory / "tensorboard")).Reload()
    tags = accumulator.Tags()["tensors"]
    values = {tag: [(event.step, float(event.tensor_proto.float_val[0])) for event in accumulator.Tensors(tag)] for tag in tags}
    return {tag: values[tag] for tag in sorted(values)}


def test_figures_are_drawn_over_env_steps_and_over_updates(tmp_path: Path) -> None:
    job = Telemetry(tmp_path)
    job.metrics(env_steps=100, updates=20, loss=2.0)
    job.metrics(env_steps=110, updates=30, episode_return=1)
    job.metrics(updates=40, loss=1.0)
    assert points(tmp_path) == {
        "by_env_steps/episode_return": [(110, 1.0)],
        "by_env_steps/loss": [(100, 2.0)],
        "by_updates/episode_return": [(30, 1.0)],
        "by_updates/loss": [(20, 2.0), (40, 1.0)],
    }


def test_a_resumed_job_repeats_no_point_and_forgets_those_after_its_checkpoint(tmp_path: Path) -> None:
    first = Telemetry(tmp_path)
    first.metrics(updates=20, loss=3.0)
    size = first.size()
    first.metrics(updates=40, loss=9.0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"updates": 60, "lo')  # killed while it wrote
    second = Telemetry(tmp_path)
    second.rewind(size)
    second.metrics(updates=40, loss=2.0)
    assert points(tmp_path) == {"by_updates/loss": [(20, 3.0), (40, 2.0)]}


def test_without_tensorboard_the_json_lines_are_written_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    Telemetry(tmp_path).metrics(updates=20, loss=3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
