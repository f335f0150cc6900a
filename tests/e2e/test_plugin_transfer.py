"""A start procedure and a pretraining objective of a plugin, run by workers to weights that can be computed without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xtra.agents.interface import load_weights
from xtra.stages import pretrain
from xtra.stages.config import PretrainConfig
from xtra.stages.context import StageContext
from xtra.store.job import Job
from xtra.store.store import Store
from xtra.telemetry import Telemetry

CPU = torch.device("cpu")
PLUGIN = '''
from dataclasses import replace

from xtra.transfer.config import PretrainingConfig, StartConfig
from xtra.transfer.registry import PretrainingObjective, StartProcedure
from xtra.transfer.student import make_multi_task_student


class SlowConfig(PretrainingConfig):
    method: str = "slow"
    slowness: float = 1.0
    """Divides the learning rate."""


def make_slow(setup):
    learning_rate = setup.agent.optimizer.learning_rate / setup.pretraining.slowness
    optimizer = setup.agent.optimizer.model_copy(update={"learning_rate": learning_rate})
    return make_multi_task_student(replace(setup, agent=setup.agent.model_copy(update={"optimizer": optimizer})))


class SumConfig(StartConfig):
    method: str = "sum"
    factor: float = 1.0
    """Of the pretrained weights."""


def start(pretrained, fresh, config):
    return {name: fresh[name] + config.factor * weight for name, weight in pretrained.items()}


SLOW = PretrainingObjective("slow", SlowConfig, {"efficientzero": "my_transfer:make_slow"})
SUM = StartProcedure("sum", SumConfig, "my_transfer:start")
'''
# At this rate no update is due before the last env step, so that a training leaves the weights that it starts from.
SUITE = """
suite: ways
version: 1
question: Do a plugin's ways of transfer run?
plugins: [my_transfer.py]
protocol: catch
preset: tiny
size: smoke
seeds: [0]
targets: [Catch]
sources: [CatchWide]
source_method: scratch
set: {training.updates_per_env_step: 0.001}
methods:
  - name: scratch
  - name: mine
    set:
      transfer.pretraining.method: slow
      transfer.pretraining.slowness: 4.0
      transfer.start.method: sum
      transfer.start.factor: 0.5
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Job]]:
    """The store of the suite's run, and its jobs by stage; the trainings by game and method as well."""
    directory = tmp_path_factory.mktemp("ways")
    (directory / "my_transfer.py").write_text(PLUGIN)
    (directory / "ways.yaml").write_text(SUITE)
    command = [str(Path(sys.executable).parent / "xtra-bench"), "run", "ways.yaml", "--no-report", "--trust-plugins"]
    environment = os.environ | {"XDG_STATE_HOME": str(directory / "state")}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(directory / "results" / "store")
    jobs = [store.job(key) for key in store.keys()]  # noqa: SIM118, a method
    return store, {_name(job): job for job in jobs}


def _name(job: Job) -> str:
    if job.stage != "train":
        return job.stage
    return "finetuned" if "pretrained" in job.inputs else f"scratch on {job.config['environment']['game']}"


def test_the_objective_pretrains_as_it_says_with_what_it_is_given(finished: tuple[Store, dict[str, Job]], tmp_path: Path) -> None:
    store, jobs = finished
    config = jobs["pretrain"].config
    assert config["pretraining"]["slowness"] == 4.0 and list(jobs["pretrain"].plugins) == ["my_transfer.py"]
    optimizer = config["agent"]["optimizer"] | {"learning_rate": config["agent"]["optimizer"]["learning_rate"] / 4}
    by_hand = {
        **config,
        "agent": config["agent"] | {"optimizer": optimizer},
        "pretraining": {name: config["pretraining"][name] for name in ("updates", "batch_size")} | {"method": "multi_task"},
    }
    (tmp_path / "work").mkdir()
    (tmp_path / "out").mkdir()
    context = StageContext(
        tmp_path / "work", tmp_path / "out", {"dataset": (store.out(jobs["dataset"].key),)}, Telemetry(tmp_path / "work")
    )
    pretrain.run(PretrainConfig.model_validate_json(json.dumps(by_hand)), context)
    theirs, ours = (load_weights(out, CPU) for out in (store.out(jobs["pretrain"].key), tmp_path / "out"))
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_the_start_is_made_of_the_pretrained_weights_and_those_of_a_fresh_network(
    finished: tuple[Store, dict[str, Job]],
) -> None:
    store, jobs = finished
    pretrained, fresh, start = (
        load_weights(store.out(jobs[name].key), CPU) for name in ("pretrain", "scratch on Catch", "finetuned")
    )
    assert not torch.equal(pretrained["dynamics.conv.weight"], fresh["dynamics.conv.weight"])
    for name, weight in start.items():
        assert torch.equal(weight, (fresh[name] + 0.5 * pretrained[name]).to(weight.dtype)), name
