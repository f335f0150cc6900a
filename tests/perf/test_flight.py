"""The flight plan (benchmarks/gpu): what becomes of its steps, and the table it ends in. Flown whole in tests/fakegpu."""

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


flight, table = load("flight"), load("table")


def step(name: str, program: str, limit_s: int = 60) -> Any:
    return flight.Step(name, limit_s, ["{python}", "-c", program])


def written(out: Path) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = json.loads((out / "flight.json").read_text())["steps"]
    return steps


def test_a_step_that_fails_or_cannot_start_does_not_stop_the_next(tmp_path: Path) -> None:
    flown = flight.Flight(tmp_path, 100, ["xtra-bench"], rehearsal=True)
    flown.take(step("broken", "import sys; sys.exit(3)"))
    flown.take(flight.Step("absent", 60, ["no-such-program"]))
    flown.take(step("sound", "print('a word'); print('{\"speed\": 2}')"))
    assert [(each["name"], each["status"], each["result"]) for each in written(tmp_path)] == [
        ("broken", "failed (3)", None),
        ("absent", "failed (not started)", None),
        ("sound", "done", {"speed": 2}),
    ]
    assert json.loads((tmp_path / "flight.json").read_text())["rehearsal"] is True
    assert (tmp_path / "logs" / "sound.out").read_text().startswith("a word")


def test_a_step_out_of_time_ends_with_what_it_started_and_keeps_what_it_printed(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    outcome = flight.Flight(tmp_path, 100, []).take(step("slow", child, limit_s=2))
    assert (outcome.status, outcome.result) == ("out of time", int((tmp_path / "logs" / "slow.out").read_text()))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and alive(outcome.result):
        time.sleep(0.1)
    assert not alive(outcome.result)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def test_no_step_begins_without_time_for_it(tmp_path: Path) -> None:
    flown = flight.Flight(tmp_path, flight.LEAST_SECONDS - 1, [])
    flown.take(step("late", "print(1)"))
    assert written(tmp_path) == [{"name": "late", "status": "not begun", "seconds": 0.0, "result": None}]


def test_a_command_is_told_how_to_start_xtra_bench_and_how_long_it_has(tmp_path: Path) -> None:
    flown = flight.Flight(tmp_path, 50, [sys.executable, "-c", "import sys; print(sys.argv[1:])"])
    flown.take(flight.Step("told", 60, ["{bench}", "perf", "{left}"], {"XTRA_CUDA_GRAPHS": "0"}))
    assert (tmp_path / "logs" / "told.out").read_text().strip() in ("['perf', '41']", "['perf', '42']")


def test_all_of_the_output_or_its_last_line_that_is_json_is_the_result() -> None:
    assert flight.result_of('{\n "a": 1\n}\n') == {"a": 1}
    assert flight.result_of("[1]\n[1, 2]\nand so on\n") == [1, 2]
    assert flight.result_of("nothing") is None


def test_every_step_has_a_name_of_its_own_and_trains_long_enough_to_be_sustained() -> None:
    steps = flight.plan(flight.Sizes())
    assert len({each.name for each in steps}) == len(steps)
    assert flight.Sizes().updates >= table.SUSTAINED_UPDATES
    assert set(table.TRAINING) == {each.name for each in steps if "train" in each.command}
    assert steps[-1].name == "atari"


def test_a_flight_becomes_a_table_that_says_what_was_not_measured() -> None:
    training = {"updates": 30, "updates_per_second": 12.34, "projected_hours": 2.5, "model_flop_utilisation": 0.21}
    steps = [
        {"name": "device", "status": "done", "result": {"card": "A card", "bfloat16_tflops": 790.4, "copy_tb_per_s": 4.0,
                                                        "us_per_graph_node": 1.25}},
        {"name": "train", "status": "done", "result": training},
        {"name": "train_float32", "status": "done", "result": {**training, "updates": 10}},
        {"name": "search", "status": "failed (1)", "result": None},
    ]  # fmt: skip
    flown = {"begun": "2026-01-02T03:04:05Z", "rehearsal": False, "steps": steps}
    text = table.table(flown)
    assert text.splitlines()[0] == "On one A card, 2026-01-02:"
    assert (
        "| training, EfficientZero as released, bfloat16 | 12.3 updates/s, 2.50 h for 100,000 env steps, 21 % of peak |" in text
    )
    assert "(of 10 updates only: not sustained) |" in text
    assert table.table({**flown, "rehearsal": True}).startswith("**A rehearsal: these figures mean nothing.**")
    assert text.splitlines()[-1] == "Not measured: search (failed (1))."
