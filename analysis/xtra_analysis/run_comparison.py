"""Two runs side by side, for the question "did my change help?": their differences, and the effect on the scores.

Runs of both are paired by method, game and seed. The estimate is the mean of their differences: in each game of raw scores, over
games of normalized ones, every game counting the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import JsonValue

from xtra.results.run_record import MethodRecord, RunRecord
from xtra_analysis.aggregates import estimate, mean
from xtra_analysis.intervals import generator
from xtra_analysis.matrices import games_with_values, score_matrix
from xtra_analysis.significance import LEVEL, fewest_for_significance, holm, sign_flip_test
from xtra_analysis.study import Study, read_study
from xtra_analysis.text import counted, listed, number, probability, setting, span

REPS = 10_000
"""Resamples of the differences, as of ratios."""
CELL = ["method", "game", "seed"]
PAIR_COLUMNS = [*CELL, "before", "after", "difference", "normalized_difference", "same_job"]
GAME_COLUMNS = ["method", "game", "num_pairs", "before", "after", "estimate", "low", "high", "p_value", "p_holm"]
OVERALL_COLUMNS = ["method", "num_games", "num_pairs", "estimate", "low", "high", "p_value", "p_holm"]
UNCHANGED = "A change of code alone runs no job again; to see what it does, run it with a --results directory of its own."
MOST_UNPAIRED = 4
"""Most cells without a partner that are named."""
UNCOMMITTED = "uncommitted changes"
"""Words of `made_by` for code that no commit holds."""

Topic = Literal["settings", "code", "machine"]


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in both runs, as text."""

    topic: Topic
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class RunComparison:
    """The results of `compare_runs`.

    refusal: why the scores are not compared; the frames are empty then. unchanged: methods of which every run is the same job
    with the same score; the frames but `pairs` are without them. pairs: one row per (method, game, seed) with a score in both.
    games: one row per (method, game), the mean difference of raw scores. overall: one per method, that of normalized ones.
    `p_holm` corrects for all rows of a frame. unpaired: cells that have a score in one run alone.
    """

    before: RunRecord
    after: RunRecord
    differences: list[Difference]
    warning: str | None
    refusal: str | None
    unchanged: list[str]
    pairs: pd.DataFrame
    games: pd.DataFrame
    overall: pd.DataFrame
    unpaired: list[str]


def compare_runs(before: Path, after: Path, seed: int = 0) -> RunComparison:
    """Compares the scores of two run directories. Raises InputError for what is no run."""
    earlier, later = read_study([Path(before)]), read_study([Path(after)])
    pairs = _pairs(earlier, later)
    refusal = _refusal(earlier.record, later.record) or (None if len(pairs) else _nothing_in_common(earlier, later))
    if refusal is not None:
        pairs = pairs.iloc[:0]
    unchanged = [str(method) for method, part in pairs.groupby("method", sort=False) if part["same_job"].all()]
    changed = pairs[~pairs["method"].isin(unchanged)]
    return RunComparison(
        before=earlier.record,
        after=later.record,
        differences=run_differences(earlier.record, later.record),
        warning=hidden_changes(earlier.record, later.record),
        refusal=refusal,
        unchanged=unchanged,
        pairs=pairs,
        games=_corrected([_game(part, seed) for _, part in changed.groupby(["method", "game"], sort=False)], GAME_COLUMNS),
        overall=_corrected(list(_overall(changed, seed)), OVERALL_COLUMNS),
        unpaired=[] if refusal is not None else _unpaired(earlier, later),
    )


def _refusal(before: RunRecord, after: RunRecord) -> str | None:
    """Explains why scores of these runs must not be compared; None if they may be."""
    if before.protocol != after.protocol:
        return f"their protocols differ ({before.protocol} and {after.protocol}), so they measure different things"
    if before.suite == after.suite and before.suite_version != after.suite_version:
        return "they are of different versions of one suite, and a version is raised when results change meaning"
    if "wiring" in (before.proves, after.proves):
        return "runs this short prove the wiring, not learning"
    return None


def _nothing_in_common(before: Study, after: Study) -> str:
    if not set(before.methods) & set(after.methods):
        return f"no method is in both: {', '.join(before.methods)} there, {', '.join(after.methods)} here"
    return "no method has a score on the same game with the same seed in both; run one with the games and --seeds of the other"


def _pairs(before: Study, after: Study) -> pd.DataFrame:
    sides = [study.complete[[*CELL, "score", "normalized", "evaluate_key"]] for study in (before, after)]
    both = sides[0].merge(sides[1], on=CELL, suffixes=("_before", "_after"))
    both = both.rename(columns={"score_before": "before", "score_after": "after"})
    both["difference"] = both["after"] - both["before"]
    both["normalized_difference"] = both["normalized_after"] - both["normalized_before"]
    both["same_job"] = (both["evaluate_key_before"] == both["evaluate_key_after"]) & (both["difference"] == 0)
    return both[PAIR_COLUMNS]


def _unpaired(before: Study, after: Study) -> list[str]:
    """Lists the cells with a score in one run alone, by name."""
    earlier, later = (set(study.complete[CELL].itertuples(index=False, name=None)) for study in (before, after))
    return [
        f"{method} on {game}, seed {seed} (only {which})"
        for which, cells in (("before", earlier - later), ("after", later - earlier))
        for method, game, seed in sorted(cells)
    ]


def _game(pairs: pd.DataFrame, seed: int) -> dict[str, object]:
    """Estimates the mean difference of one method in one game."""
    first = pairs.iloc[0]
    row = {"method": first["method"], "game": first["game"], "before": pairs["before"].mean(), "after": pairs["after"].mean()}
    return row | _mean_difference(pairs, "difference", seed, str(first["game"]))


def _overall(pairs: pd.DataFrame, seed: int) -> Iterator[dict[str, object]]:
    """Yields the mean over games of normalized differences, of each method with a game whose scale is known."""
    known = pairs[pairs["normalized_difference"].notna()]
    for method, part in known.groupby("method", sort=False):
        yield {"method": method, "num_games": part["game"].nunique()} | _mean_difference(part, "normalized_difference", seed, "")


def _mean_difference(pairs: pd.DataFrame, value: str, seed: int, game: str) -> dict[str, object]:
    row = estimate(pairs, value, {"mean difference": mean}, REPS, seed).iloc[0]
    matrix = score_matrix(pairs, games_with_values(pairs, value), value)
    random = generator(seed, "sign flips", str(row["method"]), game)
    p_value = sign_flip_test(matrix, random) if row["max_runs"] > 1 else float("nan")  # one run can tell nothing
    return {"num_pairs": row["num_runs"], **row[["estimate", "low", "high"]].to_dict(), "p_value": p_value}


def _corrected(rows: Sequence[dict[str, object]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    tested = table["p_value"].notna()
    table["p_holm"] = np.nan
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy(dtype=np.float64))
    return table


def comparison_text(comparison: RunComparison) -> str:
    """Writes what the command prints: differences, the table of games, a sentence for each method."""
    blocks = [_differences_text(comparison)]
    if comparison.refusal is not None:
        return "\n\n".join([*blocks, f"The scores are not compared: {comparison.refusal}."])
    if len(comparison.games):
        blocks.append(_games_text(comparison.games))
    blocks.append("\n".join(_sentences(comparison)))
    if comparison.unpaired:
        more = len(comparison.unpaired) - MOST_UNPAIRED
        names = [*comparison.unpaired[:MOST_UNPAIRED], *([f"{more} more"] if more > 0 else [])]
        blocks.append(f"Left out, for want of a partner: {'; '.join(names)}.")
    return "\n\n".join(blocks)


def _differences_text(comparison: RunComparison) -> str:
    lines = ["What differs (before → after)"]
    for topic in ("settings", "code", "machine"):
        own = [one for one in comparison.differences if one.topic == topic]
        lines += [f"  {topic}: {one.name}: {one.before} → {one.after}" for one in own] or [f"  {topic}: nothing"]
    if comparison.warning:
        lines.append(f"  {comparison.warning}")
    return "\n".join(lines)


def _games_text(games: pd.DataFrame) -> str:
    heading = ("Method", "Game", "Pairs", "Before", "After", "Difference", "95 % interval", "p", "p, corrected")
    rows = [
        (
            row.method, row.game, str(row.num_pairs), number(row.before), number(row.after), number(row.estimate),
            span(row.low, row.high), probability(row.p_value), probability(row.p_holm),
        )
        for row in games.itertuples()
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if place < 2 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heading, *rows)
    ]
    title = "Raw scores, after minus before, of runs paired by seed; p: before and after exchanged in each pair"
    return "\n".join([title, *(line.rstrip() for line in lines)])


def _sentences(comparison: RunComparison) -> Iterator[str]:
    if comparison.unchanged:
        yield f"The same jobs with the same scores in both: {listed(comparison.unchanged)}. {UNCHANGED}"
    tests = int(comparison.overall["p_value"].notna().sum())
    for row in comparison.overall.itertuples():
        where = f"over {counted(row.num_games, 'game')} and {counted(row.num_pairs, 'pair')} of runs"
        change = f"{row.method}: {number(row.estimate)} in normalized score"
        if pd.isna(row.low) or pd.isna(row.p_value):
            yield f"{change}, {where}; too few seeds, or differences too much alike, for an interval."
            continue
        corrected = f", corrected for {tests} methods" if tests > 1 else ""
        bounds = f"95 % interval {span(row.low, row.high)}; p = {probability(row.p_holm)}{corrected}".replace("= <", "<")
        yield f"{change} ({bounds}), {where}. {_verdict(row, tests)}"
    changed = comparison.pairs[~comparison.pairs["method"].isin(comparison.unchanged)]
    if unknown := sorted(set(changed.loc[changed["normalized_difference"].isna(), "game"])):
        yield f"Left out of normalized scores, whose scale is not known there: {listed(unknown)}."


def _verdict(row: Any, tests: int) -> str:
    clear = row.low > 0 or row.high < 0
    if clear and row.p_holm < LEVEL:
        return f"It is {'better' if row.low > 0 else 'worse'} than before by more than the seeds explain."
    needed = fewest_for_significance(LEVEL / tests)
    if row.num_pairs < needed:
        return f"So few pairs cannot settle it: the test needs at least {needed}."
    if clear and row.p_value < LEVEL:
        return f"Alone it would be clear; as one of {tests} methods it is not."
    return (
        "Interval and test disagree, so the question stays open."
        if clear or row.p_holm < LEVEL
        else "That cannot be told from no change."
    )


def run_differences(before: RunRecord, after: RunRecord) -> list[Difference]:
    """Lists everything in two `run.json` that could make scores differ."""
    return [*_suite(before, after), *_methods(before, after), *_origins(before, after)]


def hidden_changes(before: RunRecord, after: RunRecord) -> str | None:
    """Warns where equal commits need not be equal code."""
    both = set(before.provenance.made_by) & set(after.provenance.made_by)
    if not any(UNCOMMITTED in made_by for made_by in both):
        return None
    return "Both runs were made with uncommitted changes; those may differ although the commit is the same."


def _suite(before: RunRecord, after: RunRecord) -> Iterator[Difference]:
    for name in ("suite", "suite_version", "protocol", "preset", "games", "seeds", "baseline"):
        yield from _difference("settings", name, _value(getattr(before, name)), _value(getattr(after, name)))
    for path in dict.fromkeys([*before.command_line, *after.command_line]):
        yield from _difference(
            "settings", f"--set {path}", before.command_line.get(path), after.command_line.get(path), "not set"
        )


def _methods(before: RunRecord, after: RunRecord) -> Iterator[Difference]:
    earlier, later = ({method.name: method for method in record.methods} for record in (before, after))
    for name in dict.fromkeys([*earlier, *later]):
        if name in earlier and name in later:
            yield from _method(earlier[name], later[name])
        else:
            there, here = ("there" if name in methods else "absent" for methods in (earlier, later))
            yield Difference("settings", f"method {name}", there, here)


def _method(before: MethodRecord, after: MethodRecord) -> Iterator[Difference]:
    if before.agent != after.agent:
        yield Difference("settings", f"{before.name}: agent", before.agent, after.agent)
    if before.identity is None or after.identity is None:
        if before.identity is not after.identity:
            there, here = ("not recorded" if method.identity is None else "recorded" for method in (before, after))
            yield Difference("settings", f"{before.name}: what it is", there, here)
        return
    differences = list(before.identity.differences(after.identity))
    for name, old, new in differences:
        if name != "agent":
            topic: Topic = "code" if name.startswith("version of stage") else "settings"
            yield Difference(topic, f"{before.name}: {name}", setting(old), setting(new))
    if not differences and before.identity.digest != after.identity.digest:
        yield Difference("settings", f"{before.name}: its jobs", before.identity.digest, after.identity.digest)


def _origins(before: RunRecord, after: RunRecord) -> Iterator[Difference]:
    earlier, later = before.provenance, after.provenance
    yield from _difference("code", "results made by", "; ".join(earlier.made_by), "; ".join(later.made_by), "not known")
    yield from _difference("machine", "hardware", "; ".join(earlier.hardware), "; ".join(later.hardware), "not known")
    yield from _difference("machine", "platform of the collector", earlier.platform, later.platform, "not known")


def _difference(topic: Topic, name: str, before: JsonValue, after: JsonValue, missing: str = "none") -> Iterator[Difference]:
    if before != after:
        there, here = (missing if value in (None, "") else setting(value) for value in (before, after))
        yield Difference(topic, name, there, here)


def _value(value: JsonValue | tuple[JsonValue, ...]) -> JsonValue:
    return list(value) if isinstance(value, tuple) else value
