"""Sharing a pretrained network: out of one store as a file, into another, and under the methods of a suite."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner, Result

from xtra.cli.main import app
from xtra.execute.suite_run import import_networks
from xtra.execute.worker import Exit, run_job
from xtra.store.store import State, Store
from xtra.suite.load import load_suite
from xtra.suite.plan import Plan, plan

SUITE: dict[str, Any] = {
    "suite": "sharing", "version": 3, "question": "?", "protocol": "catch", "preset": "tiny", "seeds": [0],
    "targets": ["Catch"], "sources": ["CatchSlow", "CatchRising"], "source_method": "EfficientZero",
    "set": {
        "training.env_steps": 96, "training.updates_per_env_step": 0.001, "training.curve_episodes": 0,
        "transfer.pretraining.updates": 2, "transfer.pretraining.batch_size": 4, "evaluation.num_episodes": 2,
        "agent.acting.num_envs": 4, "agent.replay.min_transitions": 32, "agent.search.num_simulations": 2,
    },
}  # fmt: skip
POOLED = {"transfer.pretraining.method": "multi_task", "transfer.data.policy": "random"}
PARTS = ["representation", "dynamics", "prediction"]


def written(directory: Path, *methods: dict[str, Any], **changes: Any) -> Path:
    """A suite whose trainings make no update: what they leave is what they started from."""
    directory.mkdir(exist_ok=True)
    path = directory / "sharing.yaml"
    path.write_text(json.dumps(SUITE | {"methods": [{"name": "EfficientZero"}, *methods]} | changes), encoding="utf-8")
    return path


def run_here(made: Plan, store: Store, *methods: str) -> None:
    """Runs the jobs of these methods' cells in this process."""
    wanted = made.only([f"{method}/*/*" for method in methods])
    for job in wanted.jobs.values():
        store.add(job)
        assert run_job(str(store.root), job.key) == Exit.DONE, job.key


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def weights(path: Path) -> dict[str, bytes]:
    read = torch.load(path, weights_only=True) if path.suffix == ".pt" else safetensors.torch.load_file(path)
    return {name: value.numpy().tobytes() for name, value in read.items()}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a network was pretrained: `sharing.yaml`, `results`, and the exported `shared.safetensors`."""
    directory = tmp_path_factory.mktemp("here")
    zero_shot = {"name": "Pooled", "set": {**POOLED, "transfer.zero_shot": True}}
    suite = written(directory, zero_shot, {"name": "Finetuned", "set": POOLED})
    run_here(plan(load_suite(suite)), Store(directory / "results" / "store"), "Pooled")
    told = export(directory, "Finetuned/Catch/0", "--pretrained", "--out", directory / "shared.safetensors")
    assert (told.exit_code, told.stderr) == (0, "")
    return directory


def export(directory: Path, *arguments: object) -> Result:
    return command("export", directory / "sharing.yaml", *arguments, "--results", directory / "results")


def test_an_exported_network_is_the_one_in_the_store_and_the_card_says_what_it_is(here: Path) -> None:
    (cell,) = [cell for cell in plan(load_suite(here / "sharing.yaml")).cells if cell.method == "Pooled"]
    assert cell.train_key is not None
    store = Store(here / "results" / "store")
    assert weights(here / "shared.safetensors") == weights(store.out(cell.train_key) / "network.pt")
    card = (here / "shared.md").read_text(encoding="utf-8")
    assert "pretrained on the offline data of CatchSlow, CatchRising" in card
    assert "Suite sharing version 3: Finetuned/Catch/0, what its training started from." in card
    assert f"Job `{cell.train_key}`" in card
    data = store.job(cell.train_key).inputs["dataset"]
    for key in data:
        manifest = store.manifest(key)
        assert manifest is not None
        assert f"`{key}` | frames.zst | `{manifest.files['frames.zst'].sha256}`" in card
    assert "| pretrain.pretraining.updates | 2 |" in card


def test_the_same_network_is_the_same_file_however_it_is_named_and_none_is_overwritten(here: Path, tmp_path: Path) -> None:
    results = ("--results", here / "results")
    (pretrain,) = (here / "results" / "store" / "pretrain").iterdir()
    again = tmp_path / "new" / "again.safetensors"
    assert command("export", pretrain.name[:12], "--out", again, *results).exit_code == 0
    assert again.read_bytes() == (here / "shared.safetensors").read_bytes()
    again.write_bytes(b"mine")
    told = command("export", pretrain.name, "--out", again, *results)
    assert (told.exit_code, again.read_bytes()) == (2, b"mine")
    assert "again.md would be overwritten; name another --out, or pass --force" in told.stderr
    assert command("export", pretrain.name, "--out", again, "--force", *results).exit_code == 0
    assert again.read_bytes() == (here / "shared.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train-0"], "is neither a job in"),
        (["pretrain-", "--pretrained"], "--pretrained requires a suite"),
        (["{suite}"], "say whose network"),
        (
            ["{suite}", "Poled/Catch/0"],
            "METHOD/GAME/SEED: matches no cell\n    Poled/Catch/0\n    ^\n    did you mean 'Pooled/Catch/0'?",
        ),
        (["{suite}", "*/Catch/0"], "means 3 networks; name one: 'EfficientZero/Catch/0'"),
        (["{suite}", "EfficientZero/Catch/0", "--pretrained"], "starts from no pretrained network"),
        (["{suite}", "EfficientZero/Catch/0"], "EfficientZero/Catch/0, with these settings, was not run here"),
        (["pretrain-", "--out", "network.pt"], "ends in .safetensors"),
        (["pretrain-", "--out", "{suite}/network.safetensors"], "sharing.yaml is not a directory"),
        (
            ["pretrain-", "--out", "/proc/network.safetensors"],
            "error: --out /proc/network.safetensors: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_exported_is_told(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [argument.format(suite=here / "sharing.yaml") for argument in arguments]
    told = command("export", *named, "--results", here / "results")
    assert told.exit_code == 2
    assert expected in told.stderr
    assert not list(tmp_path.iterdir())


def test_an_imported_network_is_a_job_named_by_its_content_alone(here: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other name.safetensors"
    elsewhere.write_bytes((here / "shared.safetensors").read_bytes())
    keys = []
    for number, file in enumerate((elsewhere, here / "shared.safetensors", elsewhere)):
        told = command("import", file, "--results", tmp_path / str(number % 2))
        assert told.exit_code == 0, told.stderr
        keys.append(told.stdout.splitlines()[-1])
    assert len(set(keys)) == 1
    back = tmp_path / "back.safetensors"
    assert command("export", keys[0], "--out", back, "--results", tmp_path / "0").exit_code == 0
    assert back.read_bytes() == elsewhere.read_bytes()
    elsewhere.write_bytes(elsewhere.read_bytes()[:-1])
    told = command("import", elsewhere, "--results", tmp_path)
    assert (told.exit_code, told.stdout) == (2, "")
    assert "was cut short" in told.stderr


def test_methods_of_a_suite_start_from_exactly_the_weights_of_a_file_that_may_be_gone_by_then(here: Path, tmp_path: Path) -> None:
    file = tmp_path / "there" / "networks" / "shared.safetensors"
    start = {"transfer.init_from": "networks/shared.safetensors"}
    methods = (
        {"name": "All", "set": start},
        {"name": "Part", "base": "All", "set": {"transfer.start.components": PARTS, "transfer.start.frozen": ["dynamics"]}},
        {"name": "As it is", "base": "All", "set": {"transfer.zero_shot": True}},
    )
    file.parent.mkdir(parents=True)
    file.write_bytes((here / "shared.safetensors").read_bytes())
    made = plan(load_suite(written(tmp_path / "there", *methods)))
    (imported,) = [job for job in made.jobs.values() if job.stage == "imported"]
    assert str(tmp_path) not in json.dumps([job.config for job in made.jobs.values()])
    store = Store(tmp_path / "results" / "store")
    import_networks(store, made)
    shared = weights(file)
    file.unlink()
    run_here(made, store, "All", "Part", "As it is")
    left = {cell.method: cell.train_key for cell in made.cells}
    assert left["As it is"] == imported.key
    assert weights(store.out(str(left["All"])) / "network.pt") == shared
    part = weights(store.out(str(left["Part"])) / "network.pt")
    changed = {name.split(".")[0] for name, value in part.items() if value != shared[name]}
    assert changed == {"projection"}
    # What was finetuned is told to stand on all that the shared network stood on.
    results = ("--results", tmp_path / "results")
    assert command("export", left["All"], "--out", tmp_path / "finetuned.safetensors", *results).exit_code == 0
    card = (tmp_path / "finetuned.md").read_text(encoding="utf-8")
    assert "trained online on CatchSlow, CatchRising, Catch" in card
    assert "frames.zst" in card


def test_run_has_the_file_in_its_store_before_anything_is_launched(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[State] = []

    def launched(made: Plan, store: Store, *_: object) -> None:
        seen.extend(store.state(key, time.time()) for key, job in made.jobs.items() if job.stage == "imported")

    monkeypatch.setattr("xtra.cli.run._execute", launched)
    monkeypatch.setattr("xtra.cli.run._conclude", lambda *_: None)
    start = {"transfer.init_from": str(here / "shared.safetensors")}
    suite = written(tmp_path, {"name": "Shared", "set": start})
    assert command("run", suite, "--only", "EfficientZero", "--results", tmp_path / "a").exit_code == 0
    assert seen == []
    assert command("run", suite, "--results", tmp_path / "b").exit_code == 0
    assert seen == [State.COMPLETE]
    assert not list(tmp_path.glob("a/store/imported"))


@pytest.fixture
def files(here: Path, tmp_path: Path) -> Path:
    """Beside a suite: the shared network, whole and damaged."""
    data = (here / "shared.safetensors").read_bytes()
    (tmp_path / "shared.safetensors").write_bytes(data)
    (tmp_path / "damaged.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return tmp_path


CURL = {"name": "CURL", "agent": "curl", "set": {"agent.network.encoder": "small", "transfer.init_from": "shared.safetensors"}}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({"transfer.init_from": "shraed.safetensors"}, "did you mean {files}/shared.safetensors?"),
        ({"transfer.init_from": "damaged.safetensors"}, "does not match its own checksum: it was damaged or altered"),
        ({"transfer.init_from": "sharing.yaml"}, "is not safetensors"),
        ({"transfer.init_from": "/dev/zero"}, "/dev/zero: is not a regular file"),
        ({"transfer.init_from": 3}, "transfer.init_from: 3 is not"),
        (
            {"transfer.init_from": "shared.safetensors", "agent.network.channels": 6},
            "agent.network.channels is 16 in the file, 6 in the method",
        ),
        (
            {"transfer.init_from": "shared.safetensors", **POOLED},
            "transfer.pretraining.method is multi_task, which makes another",
        ),
        ({"name": "R", "agent": "random", "set": {"transfer.init_from": "shared.safetensors"}}, "agent random has none"),
        (CURL, "agent is efficientzero in the file, curl in the method"),
    ],
)
def test_a_network_that_a_method_cannot_start_from_is_told_at_once(files: Path, method: dict[str, Any], expected: str) -> None:
    told = command("validate", written(files, method if "name" in method else {"name": "Shared", "set": method}))
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith(f"{files}/sharing.yaml:1:")
    assert expected.format(files=files) in told.stderr


def test_parts_that_fit_may_be_taken_from_a_network_that_does_not(files: Path) -> None:
    other = {"transfer.init_from": "shared.safetensors", "agent.network.support": 7}
    assert command("validate", written(files, {"name": "All", "set": other})).exit_code == 2
    part = {**other, "transfer.start.components": ["representation", "projection"]}
    assert "ok" in command("validate", written(files, {"name": "Part", "set": part})).stdout
    # But what is scored as it is needs them all.
    assert command("validate", written(files, {"name": "Scored", "set": {**part, "transfer.zero_shot": True}})).exit_code == 2


def test_a_path_on_the_command_line_is_relative_to_where_the_command_is_given(
    files: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = written(tmp_path_factory.mktemp("suite"), sources=None, source_method=None)
    monkeypatch.chdir(files)
    assert "2 jobs" in command("validate", suite).stdout
    assert "3 jobs" in command("validate", suite, "--set", "transfer.init_from=shared.safetensors").stdout
    told = command("validate", suite, "--set", "transfer.init_from=shraed.safetensors")
    assert told.stderr.startswith("--set: shraed.safetensors: no such file")


def test_a_method_that_starts_from_a_file_makes_no_source_data(files: Path) -> None:
    start = {"name": "Shared", "set": {"transfer.init_from": "shared.safetensors"}}
    pooled = {"name": "Pooled", "set": {"transfer.pretraining.method": "multi_task"}}
    told = command("validate", written(files, start, pooled, source_method="Shared"))
    assert "'Shared' cannot make the data: it is not EfficientZero from scratch" in told.stderr


def test_a_suite_that_starts_from_a_file_is_planned_without_torch(files: Path) -> None:
    suite = written(files, {"name": "Shared", "set": {"transfer.init_from": "shared.safetensors"}})
    program = (
        "import sys; from xtra.cli.main import app\n"
        "for command in sys.argv[1:]: app(command.split(), standalone_mode=False)\n"
        "print('torch' in sys.modules)"
    )
    commands = [f"validate {suite.name}", f"plan {suite.name}", "import shared.safetensors"]
    done = subprocess.run([sys.executable, "-c", program, *commands], capture_output=True, text=True, cwd=files, check=True)
    assert done.stdout.splitlines()[-1] == "False"
