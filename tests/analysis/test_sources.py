"""The spread between draws, what of it seeds explain, and what the report says of where transfer comes from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xtra_analysis import load
from xtra_analysis.analyse import analyse
from xtra_analysis.overview import answer
from xtra_analysis.page import Paragraph, Table
from xtra_analysis.sources import draw_scores, draw_spread, sources_section
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS

MakeRun = Callable[..., Path]
DRAWS = tuple(dataclasses.replace(METHODS[1], name=f"Draw {draw}", group="XTRA, random sources") for draw in range(3))


def told(run: Path) -> str:
    """Everything that the section on transfer says, or nothing."""
    section = sources_section(analyse(read_study([run])))
    blocks = section.blocks if section else []
    paragraphs = [block.text for block in blocks if isinstance(block, Paragraph)]
    return "\n".join(
        [*paragraphs, *(cell.text for block in blocks if isinstance(block, Table) for row in block.rows for cell in row.cells)]
    )


def write_scores(run: Path, scores: dict[str, list[float]]) -> None:
    """Every game of a method has the same scores, one per seed."""
    table = load(run).drop(columns="normalized")
    table["score"] = [scores[method][seed] for method, seed in zip(table["method"], table["seed"], strict=True)]
    table["status"] = "complete"
    table.to_csv(run / "scores.csv", index=False)


def test_the_spread_between_draws_by_hand(make_run: MakeRun) -> None:
    """Baseline 100; draws 110, 120, 130 on average, with a variance of 0.03² between seeds: over 2 games, 3 seeds."""
    run = make_run("draws", methods=(METHODS[0], *DRAWS))
    noise = np.array([-3.0, 0.0, 3.0])
    write_scores(run, {"EfficientZero": [100.0] * 3} | {f"Draw {i}": list(110.0 + 10 * i + noise) for i in range(3)})

    draws = draw_scores(read_study([run]))
    assert draws["score"].tolist() == pytest.approx([1.1, 1.2, 1.3])
    assert draws["seed_error"].tolist() == pytest.approx([0.03 / np.sqrt(3 * 2)] * 3)
    row = draw_spread(draws).iloc[0]
    assert (row["num_draws"], row["spread"]) == (3, pytest.approx(0.1))
    assert row["draw_spread"] == pytest.approx(np.sqrt(0.1**2 - 0.03**2 / 6))
    sentence = "XTRA, random sources: 3 draws scored 1.10 to 1.30 (× EfficientZero; mean 1.20)"
    assert sentence in told(run) and sentence in answer(analyse(read_study([run])))


def test_equal_draws_with_noisy_seeds_cannot_be_told_apart(make_run: MakeRun) -> None:
    run = make_run("draws", methods=(METHODS[0], *DRAWS))
    write_scores(run, {"EfficientZero": [100.0] * 3} | {f"Draw {i}": [80.0 + i, 120.0, 160.0 - i] for i in range(3)})
    assert draw_spread(draw_scores(read_study([run]))).iloc[0]["draw_spread"] == 0.0
    assert "so the draws cannot be told apart" in told(run)


def test_one_seed_says_nothing_of_what_seeds_explain(make_run: MakeRun) -> None:
    run = make_run("draws", methods=(METHODS[0], *DRAWS), seeds=range(1))
    write_scores(run, {"EfficientZero": [100.0]} | {f"Draw {i}": [110.0 + i] for i in range(3)})
    assert np.isnan(draw_spread(draw_scores(read_study([run]))).iloc[0]["draw_spread"])


def test_the_report_says_which_sources_and_that_one_pretrained_network_is_no_sample(make_run: MakeRun) -> None:
    run = make_run("run")
    page = told(run)
    assert "made once, with seed 0; seeds vary the finetuning alone. Intervals therefore do not cover" in page
    assert "all other targets" in page and "runs of EfficientZero" in page and "distilled from teachers" in page

    info = json.loads((run / "run.json").read_text())
    info["methods"][1]["transfer"] |= {"sources": ["Phoenix", "Carnival"], "pretrain_seeds": [0, 7]}
    (run / "run.json").write_text(json.dumps(info))
    page = told(run)
    assert "made with 2 seeds (0, 7)" in page and "Phoenix, Carnival" in page


@pytest.mark.parametrize("pretraining", ["distillation", "multi_task"])
def test_the_report_says_by_whose_settings_a_distilled_network_plays_its_own_games(pretraining: str, make_run: MakeRun) -> None:
    run = make_run("run")
    info = json.loads((run / "run.json").read_text())
    info["methods"][1]["transfer"] |= {"pretraining": pretraining}
    (run / "run.json").write_text(json.dumps(info))
    section = sources_section(analyse(read_study([run])))
    assert section is not None
    (table,) = [block for block in section.blocks if isinstance(block, Table) and block.name == "source_scores"]
    said = any("plays here by default settings of search and acting" in note for note in table.notes)
    assert said == (pretraining == "distillation")


def test_a_study_without_transfer_does_not_speak_of_it(make_run: MakeRun) -> None:
    assert told(make_run("run", methods=METHODS[:1])) == ""
