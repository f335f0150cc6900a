"""Sources of a study: where offline data and pretrained networks come from, the networks' scores on their own games, and the
spread of methods that are draws of one thing (random source sets), with the part of it that seeds alone would bring about.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import itemgetter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xtra.results.run_record import MethodRecord, TransferRecord
from xtra_analysis.aggregates import mean
from xtra_analysis.columns import GAMES, METHOD
from xtra_analysis.findings import Findings
from xtra_analysis.matrices import Array, games_with_positive_scores, games_with_values, score_matrix
from xtra_analysis.page import Column, Paragraph, Section, Table
from xtra_analysis.study import OTHER_TARGETS, Study
from xtra_analysis.text import counted, number

PRETRAINING = {
    "none": "none",
    "distillation": "distilled from teachers",
    "multi_task": "multi-task",
    "cloning": "cloned behaviour",
}
DRAW_COLUMNS = ["group", "method", "score", "seed_error", "num_games", "min_runs"]
SPREAD_COLUMNS = ["group", "num_draws", "mean", "lowest", "highest", "spread", "seed_spread", "draw_spread"]


def sources_section(findings: Findings) -> Section | None:
    """Shows the source games of each method with transfer, what its intervals cover, and the spread between draws."""
    methods = [method for method in findings.study.record.methods if method.transfer is not None]
    blocks: list[Table | Paragraph] = []
    if methods:
        blocks += [Paragraph(coverage(methods)), _table(methods), *_scores(findings)]
    blocks += draws_blocks(findings)
    return Section("sources", "Where transfer comes from", blocks) if blocks else None


def coverage(methods: Sequence[MethodRecord]) -> str:
    """Tells what varies with a run's seed, and so what its intervals cover."""
    seeds = sorted({seed for method in methods if method.transfer for seed in method.transfer.pretrain_seeds})
    if len(seeds) == 1:
        return (
            f"Source runs, teachers and pretrained networks were made once, with seed {seeds[0]}; seeds vary the finetuning "
            "alone. Intervals therefore do not cover how pretrained networks differ from one another."
        )
    return (
        f"Source runs, teachers and pretrained networks were made with {counted(len(seeds), 'seed')} "
        f"({', '.join(map(str, seeds))}), which the runs take in turn. Runs that share a pretrained network, as those of one "
        "seed on several targets do, are not independent. Intervals and permutation tests over several games take them to be, so "
        "intervals can be too short there and p-values too small; paired tests over seeds, as of areas under learning curves, "
        "allow for it where each seed has a network of its own."
    )


def _table(methods: Sequence[MethodRecord]) -> Table:
    rows = [(method.name, *_facts(method.transfer)) for method in methods if method.transfer is not None]
    columns = ["method", "source_games", "source_runs", "pretraining", "cross_tasks", "pretrain_seeds"]
    headings = ["Method", "Source games", "Their data", "Pretraining", "Cross-tasks", "Seeds of pretraining"]
    shown = [Column(heading, itemgetter(place), numeric=False) for place, heading in enumerate(headings)]
    return Table("sources", "Source games and pretraining", pd.DataFrame(rows, columns=columns), shown)


def _facts(transfer: TransferRecord) -> tuple[str, ...]:
    others = transfer.sources == (OTHER_TARGETS,)
    return (
        "all other targets" if others else ", ".join(transfer.sources),
        "random play" if transfer.data_policy == "random" else f"runs of {transfer.source_method}",
        PRETRAINING.get(transfer.pretraining, transfer.pretraining),
        "yes" if transfer.cross_tasks else "no",
        ", ".join(map(str, transfer.pretrain_seeds)),
    )


def _distils(findings: Findings, methods: Collection[str]) -> bool:
    transfers = [method.transfer for method in findings.study.record.methods if method.name in methods]
    return any(transfer is not None and transfer.pretraining == "distillation" for transfer in transfers)


def _scores(findings: Findings) -> list[Table]:
    """Makes one row per source game: a network can transfer only what it has learned there."""
    table = findings.study.tables["source_scores"]
    if table.empty:
        return []
    networks = table.drop_duplicates(["pretrain_key", "source_game"])
    by_game = ["method", "source_game"]
    frame = networks.groupby(by_game, sort=False).agg(
        score=("score", "mean"), normalized=("normalized", "mean"), data_score=("data_score", "mean"), networks=("score", "size")
    )
    columns = [
        METHOD,
        Column("Source game", lambda row: row.source_game, numeric=False),
        Column("Pretrained network", lambda row: number(row.score)),
        Column("Run that made the data", lambda row: number(row.data_score)),
        Column("Networks", lambda row: str(row.networks)),
    ]
    notes = ["Raw scores before any finetuning. Methods that share a network stand here once, under the first."]
    if findings.study.record.proves == "learning":
        columns.insert(-1, Column("Normalized", lambda row: number(row.normalized)))
        notes.append("Normalized: the pretrained network's score.")
    if _distils(findings, set(networks["method"])):
        notes.append(
            "A distilled network plays here by default settings of search and acting, so that methods which ablate these share "
            "it; the run that made the data played by its own method's. Where these differ, so do the players of the two columns."
        )
    return [Table("source_scores", "What pretrained networks score on their own games", frame.reset_index(), columns, notes)]


def draw_scores(study: Study) -> pd.DataFrame:
    """Makes one row per method that has a group: its mean over games, and the standard error of that from its own seeds alone.

    Scores are ratios to the baseline's mean in each game if it learns, else normalized. The baseline's own error is left out,
    because all draws share it. Only games that every draw of the group has count; the error is NaN where one has one run.
    """
    rows = []
    groups = pd.Series({method.name: method.group for method in study.record.methods}, dtype=object).dropna()
    scored = _scaled(study)
    for group, members in groups.groupby(groups, sort=False):
        parts = {name: scored[scored["method"] == name] for name in members.index}
        parts = {name: part for name, part in parts.items() if len(part)}
        games = _common_games(list(parts.values()))
        for name, part in parts.items() if games else ():
            matrix = score_matrix(part, games, "scaled")
            counts = (~np.isnan(matrix)).sum(axis=0)
            rows.append((group, name, float(mean(matrix)), _seed_error(matrix, counts), len(games), int(counts.min())))
    return pd.DataFrame(rows, columns=DRAW_COLUMNS)


def draw_spread(draws: pd.DataFrame) -> pd.DataFrame:
    """Makes one row per group with two draws or more.

    `spread`: standard deviation between the draws' scores; `seed_spread`: what seeds alone would make of equal draws (the root
    mean square of their errors); `draw_spread`: what is left for the draws themselves (the root of the variances' difference).
    """
    rows = []
    for group, part in draws.groupby("group", sort=False):
        if len(part) < 2:
            continue
        scores, spread = part["score"], float(part["score"].std(ddof=1))
        seeds = float(np.sqrt((part["seed_error"] ** 2).mean(skipna=False)))
        left = float(np.sqrt(np.maximum(spread**2 - seeds**2, 0.0)))
        rows.append((group, len(part), scores.mean(), scores.min(), scores.max(), spread, seeds, left))
    return pd.DataFrame(rows, columns=SPREAD_COLUMNS)


def _scaled(study: Study) -> pd.DataFrame:
    complete = study.complete
    if study.ratio_baseline is None:
        return complete.assign(scaled=complete["normalized"])
    reference = complete[complete["method"] == study.ratio_baseline]
    usable = reference[reference["game"].isin(games_with_positive_scores(reference))]
    means = usable.groupby("game")["score"].mean()
    return complete.assign(scaled=complete["score"] / complete["game"].map(means))


def _common_games(parts: Sequence[pd.DataFrame]) -> list[str]:
    games = [set(games_with_values(part, "scaled")) for part in parts]
    return sorted(set.intersection(*games)) if games else []


def _seed_error(matrix: Array, counts: NDArray[np.intp]) -> float:
    if counts.min() < 2:
        return float("nan")
    return float(np.sqrt((np.nanvar(matrix, axis=0, ddof=1) / counts).sum()) / matrix.shape[1])


def spread_sentence(findings: Findings, group: str | None) -> str:
    """Tells how far the draws of a group differ, and how much of that their seeds explain."""
    row = findings.draw_spread.set_index("group").loc[group]
    opening = (
        f"{group}: {counted(int(row['num_draws']), 'draw')} scored {number(row['lowest'])} to {number(row['highest'])} "
        f"({draw_unit(findings)}; mean {number(row['mean'])}), a standard deviation between draws of {number(row['spread'])}"
    )
    if pd.isna(row["seed_spread"]):
        return f"{opening}. How much of it is due to seeds cannot be told from one seed."
    rest = (
        f"which leaves {number(row['draw_spread'])} for the draws themselves and their pretrained networks; something is left "
        "of equal draws, too, in every second or third study"
        if row["draw_spread"] > 0
        else "so the draws cannot be told apart"
    )
    return f"{opening}. Seeds alone would make one of {number(row['seed_spread'])} between equal draws, {rest}."


def draw_unit(findings: Findings) -> str:
    """Names the unit of a draw's score."""
    return f"× {findings.study.ratio_baseline}" if findings.study.ratio_baseline else "normalized score"


def draws_blocks(findings: Findings) -> list[Table | Paragraph]:
    if findings.draw_spread.empty:
        return []
    columns = [
        METHOD,
        Column(f"Mean, {draw_unit(findings)}", lambda row: number(row.score)),
        Column("Standard error from seeds", lambda row: number(row.seed_error)),
        GAMES,
    ]
    table = Table("draws", "Draws", findings.draws, columns, ["Mean over games; each game counts equally."])
    return [*(Paragraph(spread_sentence(findings, group)) for group in findings.draw_spread["group"]), table]
