"""Sources of a study: where offline data and pretrained networks come from, and the networks' scores on their own games."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import pandas as pd

from xtra.results.run_record import MethodRecord, TransferRecord
from xtra_analysis.columns import METHOD
from xtra_analysis.draws import draws_blocks
from xtra_analysis.findings import Findings
from xtra_analysis.page import Column, Paragraph, Section, Table
from xtra_analysis.study import OTHER_TARGETS
from xtra_analysis.text import counted, number

PRETRAINING = {
    "none": "none",
    "distillation": "distilled from teachers",
    "multi_task": "multi-task",
    "cloning": "cloned behaviour",
}


def sources_section(findings: Findings) -> Section | None:
    """Shows the source games of each method with transfer, what its intervals cover, and the spread between draws."""
    methods = [method for method in findings.study.record.methods if method.transfer is not None]
    blocks: list[Table | Paragraph] = []
    if methods:
        blocks += [Paragraph(_coverage(methods)), _table(methods), *_scores(findings)]
    blocks += draws_blocks(findings)
    return Section("sources", "Where transfer comes from", blocks) if blocks else None


def _coverage(methods: Sequence[MethodRecord]) -> str:
    """Tells what varies with a run's seed, and so what its intervals cover."""
    seeds = sorted({seed for method in methods if method.transfer for seed in method.transfer.pretrain_seeds})
    if len(seeds) == 1:
        return (
            f"Source runs, teachers and pretrained networks were made once, with seed {seeds[0]}; seeds vary the finetuning "
            "alone. Intervals therefore do not cover how pretrained networks differ from one another."
        )
    return (
        f"Source runs, teachers and pretrained networks were made with {counted(len(seeds), 'seed')} "
        f"({', '.join(map(str, seeds))}), which the runs take in turn. Where runs share a pretrained network they are not quite "
        "independent, so intervals cover how pretrained networks differ only in part."
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
    return [Table("source_scores", "What pretrained networks score on their own games", frame.reset_index(), columns, notes)]
