"""The flight plan (benchmarks/gpu): what becomes of its steps, and the table it ends in. Flown whole in tests/fakegpu."""

import importlib.util
import json
import subprocess
import sys
import time
from importlib.metadata import distribution, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


flight, pack, table = load("flight"), load("pack"), load("table")


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
    assert [each["log"] for each in written(tmp_path)] == ["", "[Errno 2] No such file or directory: 'no-such-program'\n", ""]
    assert json.loads((tmp_path / "flight.json").read_text())["rehearsal"] is True
    assert (tmp_path / "logs" / "sound.out").read_text().startswith("a word")


def test_a_step_out_of_time_ends_with_what_it_started_and_keeps_what_it_printed(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    outcome = flight.Flight(tmp_path, 100, []).take(step("slow", child, limit_s=5))
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
    assert written(tmp_path) == [{"name": "late", "status": "not begun", "seconds": 0.0, "result": None, "log": ""}]


def test_a_command_is_told_how_to_start_xtra_bench_and_how_long_it_has(tmp_path: Path) -> None:
    flown = flight.Flight(tmp_path, 50, [sys.executable, "-c", "import sys; print(sys.argv[1:])"])
    flown.take(flight.Step("told", 60, ["{bench}", "perf", "{left}"], {"XTRA_CUDA_GRAPHS": "0"}))
    assert (tmp_path / "logs" / "told.out").read_text().strip() in ("['perf', '41']", "['perf', '42']")


def test_the_json_that_ends_the_output_or_else_its_last_line_of_json_is_the_result() -> None:
    assert flight.result_of('{\n "a": 1\n}\n') == {"a": 1}
    assert flight.result_of("[1]\n[1, 2]\nand so on\n") == [1, 2]
    assert flight.result_of('going on from 66 env steps\n{\n "a": [\n  1\n ]\n}\n') == {"a": [1]}
    assert flight.result_of("nothing") is None


def test_steps_import_what_is_installed_and_never_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('a module of the working directory')")
    monkeypatch.chdir(tmp_path)
    assert flight.Flight(tmp_path / "out", 100, []).take(step("imports", "import json; print(1)")).status == "done"


def test_what_a_failed_step_said_last_stands_beside_its_outcome_and_logs_may_lie_elsewhere(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    program = "import os, sys; sys.exit('x' * 5000 + os.environ['CACHE'])"
    flown = flight.Flight(out, 100, [], work=work)
    flown.take(flight.Step("broken", 60, ["{python}", "-c", program], {"CACHE": "{work}/cache"}))
    (failed,) = written(out)
    assert len(failed["log"]) == flight.LOG_CHARACTERS and failed["log"].endswith(f"x{work}/cache\n")
    assert [path.name for path in out.iterdir()] == ["flight.json"]
    assert (work / "logs" / "broken.err").exists()


IMPORTS = """
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
for package, modules in {"perf": "train resume search doctor", "execute": "worker suite_run", "stages": "train"}.items():
    for module in modules.split():
        import_module(f"xtra.{package}.{module}")
import xtra.cli.main, xtra.suite.load
import ale_py, rich.table, ruamel.yaml
import hypothesis, pytest, submitit
owners = packages_distributions()
print(*{owner for module in {name.partition(".")[0] for name in sys.modules} for owner in owners.get(module, [])})
"""


def test_a_tool_that_was_packed_is_found_behind_the_images_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "own"))
    monkeypatch.setenv("PYTHONPATH", "others")
    monkeypatch.setattr(subprocess, "run", lambda command, check: None)
    packed = tmp_path / "site" / "nvidia" / "cu13" / "bin" / "compute-sanitizer"
    packed.parent.mkdir(parents=True)
    for path, words in ((packed, "packed"), (tmp_path / "own" / "compute-sanitizer", "own")):
        flight.install(tmp_path / "wheels", tmp_path / "site")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho \'{{"tool": "{words}"}}\'\n')
        path.chmod(0o755)
        outcome = flight.Flight(tmp_path / "out", 100, []).take(flight.Step("memcheck", 60, ["compute-sanitizer"]))
        assert outcome.result == {"tool": words}


@pytest.mark.pinned
def test_what_the_steps_import_is_packed_unless_torch_brings_it() -> None:
    imported = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout.split()
    of_the_image = {"numpy", "xtra-bench", *required_by("torch")}
    packed = {canonical(name) for name in pack.MISSING}
    required = set().union(*map(required_by, packed))  # some of it is imported only when it is needed
    assert {canonical(name) for name in imported} | required <= packed | of_the_image
    assert {"pydantic-core", "ale-py", "zstandard"} < packed


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def required_by(name: str) -> set[str]:
    """A distribution and all that it requires, extras left out."""
    names, waiting = set(), [name]
    while waiting:
        name = canonical(waiting.pop())
        if name in names or not list(distributions(name=name)):
            continue
        names.add(name)
        needs = [Requirement(need) for need in distribution(name).requires or []]
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return names


def test_a_pack_builds_the_engine_for_cuda_takes_tested_versions_and_refuses_to_be_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[tuple[list[str], str]] = []

    def run(command: list[str], *, check: bool, env: dict[str, str] | None = None) -> None:
        commands.append((command, (env or {}).get("SKBUILD_CMAKE_DEFINE", "")))
        (tmp_path / "wheels").mkdir(exist_ok=True)
        (tmp_path / "wheels" / f"{len(commands)}.whl").write_bytes(b"x" * 600_000)

    monkeypatch.setattr(pack, "HERE", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    pack.main()
    (own, defined), (others, _) = commands
    assert defined == "XTRA_CUDA=ON"
    assert own[-1] == str(tmp_path.parents[1])
    assert "--constraint" in others and {"pydantic", "ale-py", pack.SANITIZER} < set(others)
    assert "2 wheels, 1.2 MB" in capsys.readouterr().out
    monkeypatch.setattr(pack, "LIMIT_MB", 1)
    with pytest.raises(SystemExit, match="more than 1 MB"):
        pack.main()


def test_every_step_has_a_name_of_its_own_and_trains_long_enough_to_be_sustained() -> None:
    steps = flight.plan(flight.Sizes())
    assert len({each.name for each in steps}) == len(steps)
    assert flight.Sizes().updates >= table.SUSTAINED_UPDATES
    assert set(table.TRAINING) == {each.name for each in steps if "train" in each.command}
    assert {*table.CHECKS} < {each.name for each in steps}
    assert steps[-1].name == "atari"


def test_every_file_with_a_test_marked_gpu_is_flown() -> None:
    tests = FOLDER.parents[1] / "tests"
    marked = {str(path) for path in tests.rglob("test_*.py") if "@pytest.mark.gpu\n" in path.read_text(encoding="utf-8")}
    assert marked - {str(Path(__file__))} == set(flight.GPU_TESTS)


def test_a_rehearsal_has_the_steps_of_the_flight_and_more_time_for_each() -> None:
    steps, small = flight.plan(flight.Sizes()), flight.rehearsal()
    assert [each.name for each in small] == [each.name for each in steps]
    assert all(each.limit_s > other.limit_s for each, other in zip(small[:-1], steps[:-1], strict=True))
    tests, plain = (flight.step_of("tests", each).command for each in (small, steps))
    assert [part for part in tests if part not in plain] == ["gpu and not arithmetic"]
    on_cpu = {each.name for each in small if each.environment.get("CUDA_VISIBLE_DEVICES") == ""}
    assert on_cpu == {"resume", "atari"}


def test_what_reanalysis_computes_is_counted_as_by_hand() -> None:
    """The replay has just the 12 rows that a sample needs, so all 256 are the same 6 steps, the last of which bootstraps, too."""
    searches = load("searches")
    settings = {"replay": {"min_transitions": 12}, "targets": {"num_unroll_steps": 5, "td_steps": 5}}
    counts = searches.count(searches.EfficientZeroConfig.model_validate(settings), env_steps=12)
    assert counts == {"each_draw": (1536, 1536), "per_period": (6, 5), "per_period in batches": (256, 256)}


def test_a_run_under_way_tells_its_curve_up_to_the_last_whole_line(tmp_path: Path) -> None:
    curve_of = load("measure").curve_of
    assert curve_of(tmp_path) == {"env_steps": 0, "updates": 0, "episode_returns": []}
    work = tmp_path / "store" / "train" / "run" / "work"
    work.mkdir(parents=True)
    lines = [{"env_steps": 4, "updates": 0, "episode_return": 1.5}, {"env_steps": 8, "updates": 3}]
    (work / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"env_steps": 1')
    assert curve_of(tmp_path) == {"env_steps": 8, "updates": 3, "episode_returns": [[4, 1.5]]}


TRAINING = {"updates": 30, "updates_per_second": 12.34, "projected_hours": 2.5, "model_flop_utilisation": 0.21}


def flown(*steps: tuple[str, str, Any], rehearsal: bool = False) -> dict[str, Any]:
    outcomes = [{"name": name, "status": status, "result": result} for name, status, result in steps]
    return {"begun": "2026-01-02T03:04:05Z", "rehearsal": rehearsal, "steps": outcomes}


def test_a_flight_becomes_a_table_that_says_what_was_not_measured() -> None:
    device = {"card": "A card", "bfloat16_tflops": 790.4, "copy_tb_per_s": 4.0, "us_per_graph_node": 1.25}
    one = flown(
        ("device", "done", device),
        ("tests", "failed (1)", None),
        ("train", "done", TRAINING),
        ("train_float32", "done", {**TRAINING, "updates": 10}),
        ("search", "failed (1)", None),
        ("side_by_side", "out of time", [{"games": 1, "updates_per_second": 9.0}]),
        ("atari", "not begun", None),
    )
    lines = table.table([one]).splitlines()
    assert lines[0] == "On one A card, 2026-01-02:"
    assert (
        "| training, EfficientZero as released, bfloat16 | 12.3 updates/s, 2.50 h for 100,000 env steps, 21 % of peak |" in lines
    )
    assert any("(of 10 updates only: not sustained) |" in line for line in lines)
    assert "| 1 runs on the card | 9.0 updates/s in all |" in lines
    assert "| the tests marked `gpu` | failed (1) |" in lines
    assert lines[-1] == ("Not or not wholly measured: search (failed (1)), side_by_side (out of time), atari (not begun).")
    rehearsed = table.table([flown(rehearsal=True)])
    assert rehearsed.startswith("**A rehearsal: these figures mean nothing.**")


def test_a_flight_flown_in_parts_is_one_table() -> None:
    search = {"cuda": [{"simulations_per_second": 2.5e7, "outside_network_fraction": 0.2}]}
    first = flown(("exact", "failed (1)", {"cases": 72, "different": 2}), ("search", "out of time", None))
    second = flown(("exact", "not begun", None), ("search", "done", search), ("memcheck", "done", None))
    text = table.table([first, second])
    assert "| trees equal to the CPU's bit for bit | 70 of 72 cases |" in text
    assert "| search as `perf search` measures it | 25.00 M simulations/s, 20 % of it outside the network |" in text
    assert "| compute-sanitizer's memcheck of the search | passed |" in text
    assert text.splitlines()[-1] == "Not or not wholly measured: exact (failed (1))."
