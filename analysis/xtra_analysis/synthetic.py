"""A whole study's rows, invented: to see every part of a report, and to test it, before any run exists. Not results.

Each run is lognormal around (a game's level × a method's factor), a few runs are missing or diverged, and every table of
`xtra.store.rows` is written. The run's `run.json` says `synthetic`, and its report says so on every screen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xtra.protocol.scores import reference_scores
from xtra.results.run_record import SCHEMA_VERSION
from xtra.store.rows import COSTS, CURVES, EPISODES, SCORES, SOURCE_SCORES, TABLES, TASK_WEIGHTS, CsvTable, to_csv
from xtra_analysis.intervals import generator

ENV_STEPS = 100_000
EPISODES_PER_RUN = 3
SHARED_SECONDS = {"train": 86400.0, "dataset": 240.0, "teacher": 57600.0, "label": 1200.0, "pretrain": 72000.0}
"""Seconds of the jobs that a run with transfer depends on, all source games together."""
GENRES = {
    "shooter": ("Assault", "Carnival", "Centipede", "DemonAttack", "Phoenix"),
    "maze": ("Alien", "Amidar", "BankHeist", "MsPacman", "WizardOfWor"),
}


@dataclass(frozen=True)
class SyntheticMethod:
    """`factor`: its score over EfficientZero's; `head_start`: the share of it that is there after no env step, if pretrained."""

    name: str
    agent: str
    description: str
    factor: float
    head_start: float = 0.0
    cross_tasks: bool = False
    group: str | None = None

    @property
    def transfer(self) -> dict[str, Any] | None:
        """Its transfer as `run.json` holds it."""
        if not (self.head_start or self.cross_tasks):
            return None
        return {
            "sources": ["other_targets"],
            "source_method": "EfficientZero",
            "data_policy": "agent",
            "pretraining": "distillation" if self.head_start else "none",
            "cross_tasks": self.cross_tasks,
            "pretrain_seeds": [0],
        }


METHODS = (
    SyntheticMethod("EfficientZero", "efficientzero", "Trained from scratch on the target alone.", 1.0),
    SyntheticMethod("XTRA", "efficientzero", "Pretrained, then finetuned with cross-tasks.", 1.25, 0.35, True),
    SyntheticMethod("XTRA without cross-tasks", "efficientzero", "Pretrained, then finetuned alone.", 1.10, 0.35),
    SyntheticMethod("XTRA without pretraining", "efficientzero", "From scratch, with cross-tasks.", 1.05, 0.0, True),
    SyntheticMethod("XTRA, constant task weights", "efficientzero", "Cross-tasks always count fully.", 1.15, 0.35, True),
    SyntheticMethod("Representation only", "efficientzero", "Only the encoder is transferred.", 1.04, 0.1),
    SyntheticMethod("Representation and dynamics", "efficientzero", "Encoder and dynamics are transferred.", 1.12, 0.2),
    SyntheticMethod("Frozen representation", "efficientzero", "The encoder stays as pretrained.", 0.85, 0.3),
    SyntheticMethod("EfficientZero, deep encoder", "efficientzero", "From scratch, with XTRA's encoder.", 1.02),
    SyntheticMethod("CURL", "curl", "Pretrained and finetuned, model-free.", 0.55, 0.15),
    SyntheticMethod("Behaviour cloning", "cloning", "Cloned offline, then finetuned.", 0.4, 0.6),
    SyntheticMethod("Random", "random", "Acts at random.", 0.0),
)


def write_synthetic_run(
    directory: Path,
    methods: Sequence[SyntheticMethod] = METHODS,
    games: Sequence[str] = GENRES["shooter"] + GENRES["maze"],
    seeds: Sequence[int] = range(5),
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Writes a run directory as `xtra-bench run` leaves it, and returns it. `changes` replace keys of `run.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    info = _run_info(methods, games, seeds) | changes
    (directory / "run.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    cells = [_Cell(info, method, game, run_seed, seed) for method in methods for game in games for run_seed in seeds]
    rows: dict[CsvTable, list[dict[str, Any]]] = {
        SCORES: [cell.score_row() for cell in cells],
        EPISODES: [row for cell in cells for row in cell.episode_rows()],
        CURVES: [row for cell in cells for row in cell.curve_rows()],
        COSTS: [row for cell in cells for row in cell.cost_rows()],
        TASK_WEIGHTS: [row for cell in cells for row in cell.task_weight_rows()],
        SOURCE_SCORES: [row for cell in cells for row in cell.source_score_rows()],
    }
    for table in TABLES:
        (directory / table.file_name).write_text(to_csv(table, rows.get(table, [])), encoding="utf-8")
    return directory


class _Cell:
    """One (method, game, seed) of the invented study."""

    def __init__(self, info: dict[str, Any], method: SyntheticMethod, game: str, run_seed: int, seed: int) -> None:
        self.method = method
        self.random = generator(seed, "synthetic", method.name, game, str(run_seed))
        self.identity = {
            "suite": info["suite"],
            "suite_version": info["suite_version"],
            "protocol": info["protocol"],
            "method": method.name,
            "agent": method.agent,
            "game": game,
            "seed": run_seed,
        }
        self.start, level = _levels(game)
        taste = 1.0 + 0.35 * generator(seed, "taste", method.name, game).standard_normal() if method.head_start else 1.0
        factor = 1.0 + (method.factor - 1.0) * taste
        self.final = self.start + (level - self.start) * factor * float(np.exp(0.3 * self.random.standard_normal() - 0.045))
        self.final = self.final if method.factor else self.start * float(1.0 + 0.05 * self.random.standard_normal())
        draw = self.random.random()
        self.status = "diverged" if draw < 0.006 else "missing" if draw < 0.012 else "complete"

    @property
    def trained(self) -> bool:
        return self.method.agent != "random"

    def score_row(self) -> dict[str, Any]:
        steps = ENV_STEPS if self.trained else 0
        key = "-".join(str(part) for part in (self.identity["method"], self.identity["game"], self.identity["seed"]))
        return self.identity | {
            "status": self.status,
            "score": round(self.final, 3) if self.status == "complete" else None,
            "score_rule": "mean_episode_return",
            "num_episodes": 32,
            "env_steps": steps,
            "updates": round(1.2 * steps),
            "train_key": f"train-synthetic-{key}" if self.trained else "",
            "evaluate_key": f"evaluate-synthetic-{key}",
        }

    def episode_rows(self) -> Iterator[dict[str, Any]]:
        for episode in range(EPISODES_PER_RUN if self.status == "complete" else 0):
            value = round(self.final * float(np.exp(0.4 * self.random.standard_normal())), 1)
            yield self.identity | {"episode": episode, "episode_return": value, "episode_env_steps": 900, "truncated": False}

    def curve_rows(self) -> Iterator[dict[str, Any]]:
        if not self.trained or self.status != "complete":
            return
        for step in range(0, ENV_STEPS + 1, 10_000):
            share = step / ENV_STEPS
            progress = self.method.head_start + (1 - self.method.head_start) * (share**1.3)
            noise = float(np.exp(0.08 * self.random.standard_normal())) if step < ENV_STEPS else 1.0
            score = self.start + (self.final - self.start) * progress * noise
            yield self.identity | {"env_steps": step, "updates": step, "score": round(score, 3), "num_episodes": 8}

    def cost_rows(self) -> Iterator[dict[str, Any]]:
        cell = {name: self.identity[name] for name in ("method", "game", "seed")}
        row = self.score_row()
        if not self.trained:
            return
        hours = (9.0 if self.method.cross_tasks else 6.0) * (0.3 if self.method.agent != "efficientzero" else 1.0)
        seconds = round(3600 * hours * float(np.exp(0.05 * self.random.standard_normal())), 1)
        yield cell | {"stage": "train", "key": row["train_key"], "seconds": seconds, "device": "cuda", "sharers": 1}
        yield cell | {"stage": "evaluate", "key": row["evaluate_key"], "seconds": 900.0, "device": "cuda", "sharers": 1}
        for stage, shared_seconds in SHARED_SECONDS.items() if self.method.transfer else ():
            key = f"{stage}-synthetic-{cell['game']}"
            yield cell | {"stage": stage, "key": key, "seconds": shared_seconds, "device": "cuda", "sharers": 25}

    def task_weight_rows(self) -> Iterator[dict[str, Any]]:
        if not self.method.cross_tasks or self.status != "complete":
            return
        game = self.identity["game"]
        peers = next((genre for genre in GENRES.values() if game in genre), ())
        for source in (peer for peer in peers if peer != game):
            affinity = generator(0, "affinity", *sorted((str(game), source))).uniform(0.0, 0.3)
            for updates in range(10_500, 120_000, 10_000):
                similarity = affinity * (1 - updates / 300_000) + 0.03 * float(self.random.standard_normal())
                weight = 1.0 if "constant" in self.method.name else float(np.clip(0.2 + 3.0 * similarity, 0.0, 1.0))
                yield self.identity | {
                    "source_game": source,
                    "updates": updates,
                    "weight": round(weight, 2),
                    "gradient_similarity": round(similarity, 4),
                }

    def source_score_rows(self) -> Iterator[dict[str, Any]]:
        game = self.identity["game"]
        peers = next((genre for genre in GENRES.values() if game in genre), ()) if self.method.transfer else ()
        for source in (peer for peer in peers if peer != game):
            data_score = round(_levels(source)[1], 1)
            score = round(data_score * generator(0, "source", str(game), source).uniform(0.7, 1.1), 1)
            scores = {"source_game": source, "score": score, "num_episodes": EPISODES_PER_RUN, "data_score": data_score}
            yield self.identity | scores | {"pretrain_key": f"pretrain-synthetic-{game}"}


def _levels(game: str) -> tuple[float, float]:
    """Returns a random agent's return, and an invented level for EfficientZero: a third of the way to the human's."""
    reference = reference_scores().get(game)
    return (
        (reference.random, reference.random + 0.35 * (reference.reference - reference.random)) if reference else (400.0, 2400.0)
    )


def _run_info(methods: Sequence[SyntheticMethod], games: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": "synthetic",
        "suite_version": 1,
        "question": "Does a world model pretrained on similar games learn a new game faster than EfficientZero from scratch?",
        "protocol": "atari100k",
        "protocol_name": "atari100k",
        "protocol_summary": "Atari 100k: 100,000 env steps (400,000 frames), no sticky actions, 32 whole games.",
        "proves": "learning",
        "normalization": "human",
        "games": list(games),
        "seeds": list(seeds),
        "methods": [
            {"name": m.name, "agent": m.agent, "description": m.description, "group": m.group, "transfer": m.transfer}
            for m in methods
        ],
        "baseline": next((method.name for method in methods if method.name == "EfficientZero"), None),
        "preset": "efficientzero",
        "score_threshold": None,
        "synthetic": True,
        "provenance": {
            "xtra_version": "synthetic",
            "git_commit": None,
            "git_dirty": None,
            "python": "none",
            "torch": "none",
            "platform": "none",
            "hardware": ["no hardware: these rows are invented"],
            "created": "2026-01-01T00:00:00+00:00",
            "suite_text": "# no suite: these rows are invented by xtra_analysis.synthetic\n",
        },
    }
