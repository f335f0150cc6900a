"""Suite `transferability`, as small as it can be, from the file to the report: three games, each from the two others."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from xtra.execute.worker import Exit, run_job
from xtra.results.collect import collect
from xtra.results.describe import describe
from xtra.results.finish import report
from xtra.store.store import Store
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

SUITE = Path(__file__).parents[2] / "suites" / "transferability.yaml"
GAMES = ("Catch", "CatchFast", "CatchWide")
SMALLEST = {
    "training.env_steps": 80,
    "training.curve_interval": 40,
    "training.curve_episodes": 2,
    "evaluation.num_episodes": 2,
    "agent.replay.min_transitions": 48,
    "agent.acting.num_envs": 4,
    "agent.optimizer.batch_size": 8,
    "agent.network.channels": 4,
    "agent.search.num_simulations": 2,
    "transfer.teacher.updates": 4,
    "transfer.pretraining.updates": 4,
    "transfer.pretraining.batch_size": 8,
    "transfer.probes.env_steps": 100,
    "transfer.probes.transitions": 32,
    "transfer.probes.episodes": 2,
}


@pytest.mark.slow
def test_three_games_from_one_another_make_a_report_that_judges_every_predictor(tmp_path: Path) -> None:
    suite = YAML(typ="safe").load(SUITE)
    methods = [one for one in suite["methods"] if one["name"].removeprefix("From ") in (*GAMES, "EfficientZero")]
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(suite | {"targets": GAMES, "seeds": [0], "methods": methods, "set": SMALLEST}), encoding="utf-8")
    made, store = plan(load_suite(path)), Store(tmp_path / "store")
    for job in made.jobs.values():
        store.add(job)
        assert run_job(str(store.root), job.key) == Exit.DONE, job.key
    statuses = collect(store, made.cells, describe(made, path.read_text()), tmp_path / "run")
    assert set(statuses.values()) == {"complete"}
    rows = pd.read_csv(tmp_path / "run" / "probes.csv")
    asked = methods[1]["set"]["transfer.probes.predictors"]
    pairs = [(target, source) for target in GAMES for source in GAMES if source != target]
    assert set(zip(rows["game"], rows["source_game"], rows["predictor"], strict=True)) == {
        (*pair, predictor) for pair in pairs for predictor in asked
    }
    report([tmp_path / "run"])
    judged = pd.read_csv(tmp_path / "run" / "tables" / "predictors.csv")
    assert set(judged["predictor"]) == {*asked, "constant", "static_ranker", "own_score", "early_gain"}
    assert judged["tau"].between(-1, 1).all()
