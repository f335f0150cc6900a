"""Transferability: which predictors tell, before finetuning, which game to start from; how sure that is; and what each costs.

Predictors are judged over pairs of a source and a target game. A method with probes stands for its one source game. Arrays are
`[T, S, R]`, targets by sources by seeds, NaN where a run is missing or a game would be its own source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.drawing import INK, MUTED, new_figure, reference_line, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.intervals import generator
from xtra_analysis.learning_curves import areas
from xtra_analysis.matrices import Array
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.ranking import (
    Predictor,
    bootstrap_taus,
    central_interval,
    gain_lost,
    mean_tau,
    no_better_test,
    noise_ceiling,
    over_seeds,
    ranking_of,
    relabelling_test,
    static_ranking,
)
from xtra_analysis.significance import LEVEL, holm
from xtra_analysis.study import Study
from xtra_analysis.text import counted, duration, listed, number, probability, short, span

EARLY_SHARE = 0.05
"""Share of the budget of env steps after which the early gain is read."""
EARLY_GAIN = "early_gain"
OWN_SCORE = "own_score"
STATIC, CONSTANT = "static_ranker", "constant"
NULLS = (CONSTANT, STATIC, OWN_SCORE, "action_overlap", "picture_similarity", EARLY_GAIN)
"""Predictors without a look at the network, and the early gain: any other predictor must be cheaper, or better."""
NO_STATIC = (
    "There is no static ranking of the sources to compare with: it orders them by their gains on other targets, and no target "
    "has two sources that were tried on others too."
)
NAMES = {
    STATIC: "static ranking of the sources",
    CONSTANT: "constant",
    OWN_SCORE: "the source's own score",
    EARLY_GAIN: "gain after 5 % of the budget",
}

COLUMNS = [
    "predictor", "tau", "low", "high", "p_holm", "difference", "difference_low", "difference_high", "difference_p_holm",
    "gain_lost", "seconds",
]  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """Gains `[T, S, R]` of all pairs, predictors of them and the mean seconds that each takes for one pair.

    gains: area under the learning curve less that of the run from scratch with the same seed, in `unit`.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    seeds: tuple[int, ...]
    gains: Array
    predictors: Mapping[str, Array]
    seconds: Mapping[str, float]
    unit: str


def read_pairs(study: Study) -> Pairs | None:
    """Reads the pairs of a study; None where nothing was probed, or there is no run from scratch to compare with."""
    probes, curves = study.tables["probes"], study.tables["curves"]
    if probes.empty or study.baseline is None or curves.empty:
        return None
    source_of = probes.drop_duplicates("method").set_index("method")["source_game"]
    axes = (
        tuple(sorted(probes["game"].unique())),
        tuple(sorted(source_of.unique())),
        tuple(sorted(probes["seed"].unique().tolist())),
    )
    unit, means = _unit(curves, study.baseline)
    curves = curves.assign(normalized=_in_unit(curves, "game", means))
    source_scores = study.tables["source_scores"]
    source_scores = source_scores.assign(normalized=_in_unit(source_scores, "source_game", means))
    gains = _gains(areas(curves), source_of, study.baseline)
    if gains.empty:
        return None
    named = probes.rename(columns={"source_game": "source"})
    measured = {str(name): _array(part, axes) for name, part in named.groupby("predictor", sort=False)}
    measured[OWN_SCORE] = _own_scores(source_scores, source_of, axes)
    measured[EARLY_GAIN] = _array(_gains(early_scores(curves), source_of, study.baseline), axes)
    seconds = {str(name): float(value) for name, value in probes.groupby("predictor", sort=False)["seconds"].mean().items()}
    seconds[EARLY_GAIN] = EARLY_SHARE * finetuning_seconds(study)
    return Pairs(*axes, gains=_array(gains, axes), predictors=measured, seconds=seconds, unit=unit)


def _unit(curves: pd.DataFrame, baseline: str) -> tuple[str, pd.Series | None]:
    """Chooses the unit in which scores of different games are compared: normalized ones where every game has them; else shares of
    the baseline's score at its last evaluation: the mean over seeds, by game, NaN where it is not above zero."""
    if curves["normalized"].notna().all():
        return "normalized score", None
    final = curves[curves["method"] == baseline].sort_values("env_steps", kind="stable").groupby(["game", "seed"])["score"].last()
    means = final.groupby("game").mean()
    return f"shares of {baseline}'s mean final score", means.where(means > 0)


def _in_unit(rows: pd.DataFrame, game: str, means: pd.Series | None) -> pd.Series:
    return rows["normalized"] if means is None else rows["score"] / rows[game].map(means)


def early_scores(curves: pd.DataFrame) -> pd.DataFrame:
    """Returns each run's score at its first evaluation after EARLY_SHARE of its env steps; columns `method`, `game`, `seed`,
    `value`."""
    known = curves.dropna(subset=["normalized"])
    budget = known.groupby(["method", "game", "seed"])["env_steps"].transform("max")
    late = known[known["env_steps"] >= EARLY_SHARE * budget].sort_values("env_steps", kind="stable")
    first = late.groupby(["method", "game", "seed"], sort=False).head(1)
    return first[["method", "game", "seed", "normalized"]].rename(columns={"normalized": "value"})


def finetuning_seconds(study: Study) -> float:
    """Returns the mean seconds of a finetuning of a probed method; NaN where no costs are known."""
    costs, probed = study.tables["costs"], set(study.tables["probes"]["method"])
    trained = costs[(costs["stage"] == "train") & costs["method"].isin(probed)]
    own = trained[trained["key"].isin(set(study.scores["train_key"]))]
    return float(own.drop_duplicates("key")["seconds"].mean())


def _gains(values: pd.DataFrame, source_of: pd.Series, baseline: str) -> pd.DataFrame:
    """Subtracts the baseline's value of the same game and seed from those of the probed methods: columns `game`, `source`,
    `seed`, `value`."""
    scratch = values[values["method"] == baseline].set_index(["game", "seed"])["value"].rename("scratch")
    probed = values[values["method"].isin(source_of.index)].join(scratch, on=["game", "seed"], how="inner")
    return probed.assign(source=probed["method"].map(source_of), value=probed["value"] - probed["scratch"])


def _own_scores(scores: pd.DataFrame, source_of: pd.Series, axes: tuple[tuple[str, ...], ...]) -> Array:
    """Returns the score of each pair's pretrained network on its own game."""
    probed = scores[scores["method"].isin(source_of.index)]
    return _array(probed.rename(columns={"source_game": "source", "normalized": "value"}), axes)


def _array(rows: pd.DataFrame, axes: tuple[tuple[object, ...], ...]) -> Array:
    """Turns rows with columns `game`, `source`, `seed`, `value` into `[T, S, R]`."""
    values = np.full([len(axis) for axis in axes], np.nan)
    places = [{name: place for place, name in enumerate(axis)} for axis in axes]
    for row in rows[["game", "source", "seed", "value"]].itertuples(index=False):
        here = tuple(place.get(name) for place, name in zip(places, row[:3], strict=True))
        if None not in here:
            values[here] = row.value
    return values


def evaluate_predictors(pairs: Pairs, seed: int = 0) -> pd.DataFrame:
    """Makes one row per predictor, nulls first, with `COLUMNS`.

    tau: Kendall's within a target, averaged, with its 95 % interval over targets and seeds. p_holm: of "it orders sources no
    better than chance"; difference: of tau from the static ranking's, with its interval and the one-sided p-value of "it is no
    better", both corrected by Holm over all predictors but the constant (and the static ranking itself) that have a p-value. All
    are NaN where they are not defined: no target has two sources with a value, or the static ranking has no other target to read.
    """
    predictors = _predictors(pairs)
    names, random = list(predictors), generator(seed, "transferability")
    everything = np.arange(len(pairs.seeds))[None]
    gains = over_seeds(pairs.gains, everything)[0]
    rankings = {name: ranking_of(predictor, pairs.gains, everything)[0] for name, predictor in predictors.items()}
    draws = bootstrap_taus(list(predictors.values()), pairs.gains, random)
    differences = draws - draws[:, [names.index(STATIC)]]
    frame = pd.DataFrame({"predictor": names, "tau": [float(mean_tau(rankings[name], gains)) for name in names]})
    frame["low"], frame["high"] = central_interval(draws, frame["tau"].to_numpy(), LEVEL / 2)
    frame["difference"] = frame["tau"] - float(frame["tau"][names.index(STATIC)])
    observed = frame["difference"].to_numpy()
    frame["difference_low"], frame["difference_high"] = central_interval(differences, observed, LEVEL / 2)
    p_values = [
        relabelling_test(predictor, pairs.gains, pairs.targets, pairs.sources, random) for predictor in predictors.values()
    ]
    frame["p_holm"] = _corrected(np.array(p_values), frame["predictor"] != CONSTANT)
    frame["difference_p_holm"] = _corrected(no_better_test(differences, observed), ~frame["predictor"].isin([CONSTANT, STATIC]))
    frame["gain_lost"] = [gain_lost(rankings[name], gains) for name in names]
    frame["seconds"] = [pairs.seconds.get(name, np.nan) for name in names]
    return frame[COLUMNS]


def transferability_section(findings: Findings) -> Section | None:
    """Shows the verdict on every predictor, and their taus with the ceiling that noise sets. The gains themselves are in the
    transfer matrix."""
    if findings.study.record.proves == "wiring":
        return None
    pairs = read_pairs(findings.study)
    if pairs is None:
        return None
    frame = evaluate_predictors(pairs, findings.seed)
    ceiling = noise_ceiling(pairs.gains, generator(findings.seed, "noise ceiling"))
    blocks: list[Paragraph | Picture | Table] = [
        Paragraph(_question(pairs)),
        *(Paragraph(text) for text in verdicts(frame)),
        Picture("predictors", plot_predictors(frame, ceiling), _spoken(frame), _caption(pairs, ceiling), frame, wide=False),
        _table(frame, pairs),
    ]
    return Section("transferability", "Can transfer be foretold?", blocks)


def verdicts(frame: pd.DataFrame) -> list[str]:
    """Writes a paragraph on the predictors that beat the static ranking, one on those that do not, and one on those that cannot
    be judged: in one size of type."""
    judged = frame[~frame["predictor"].isin([CONSTANT, STATIC])]
    undefined, chance = judged["p_holm"].isna(), judged["p_holm"] > LEVEL
    # At few targets a predictor may beat another by luck; one that beats it is better than chance, too.
    beats, alone = (judged["difference_p_holm"] <= LEVEL) & ~chance, ~undefined & judged["difference_p_holm"].isna()
    compared = ~undefined & ~alone
    groups = (
        ("Beats the static ranking of the sources", compared & beats),
        ("Not shown to beat the static ranking of the sources", compared & ~beats & ~chance),
        ("Not shown to beat the static ranking of the sources, and cannot be told from chance", compared & ~beats & chance),
        ("Better than chance", alone & ~chance),
        ("Cannot be told from chance", alone & chance),
        ("Not defined, since no target has two sources with a value", undefined),
    )
    texts = [f"{text}: {listed([title(name) for name in judged['predictor'][group]])}." for text, group in groups if group.any()]
    return [NO_STATIC, *texts] if alone.any() else texts


def title(predictor: str) -> str:
    """Words a predictor's name."""
    name, _, part = predictor.partition(".")
    words = NAMES.get(predictor, name.replace("_", " ").replace("logme", "LogME").replace("cka", "CKA"))
    if not part:
        return words
    return f"{words} (step {part})" if part.isdigit() else f"{words} ({part})"


def plot_predictors(frame: pd.DataFrame, ceiling: float) -> Figure:
    """Draws tau of each predictor with its interval, the best on top; lines at chance, the static ranking and the noise
    ceiling."""
    rows = frame.sort_values("tau", ascending=False, kind="stable").reset_index(drop=True)
    with xtra_style():
        figure = new_figure(6.2, 1.0 + 0.27 * len(rows))
        axes = figure.subplots()
        for place, row in enumerate(rows.itertuples(index=False)):
            color = MUTED if row.predictor in NULLS else INK
            axes.plot([row.low, row.high], [place, place], color=color, linewidth=1.3, solid_capstyle="butt")
            axes.plot(row.tau, place, "o", color=color, markersize=6, markeredgecolor="white", markeredgewidth=0.7)
        reference_line(axes, 0.0)
        reference_line(axes, float(frame.loc[frame["predictor"] == STATIC, "tau"].iloc[0]))
        if np.isfinite(ceiling):
            axes.axvline(ceiling, color=MUTED, linewidth=0.9)
        axes.set_yticks(range(len(rows)), labels=[short(title(name)) for name in rows["predictor"]])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("Kendall's tau within a target, averaged")
        axes.grid(visible=False, axis="y")
    return figure


def _predictors(pairs: Pairs) -> dict[str, Predictor]:
    nulls: dict[str, Predictor] = {CONSTANT: np.zeros_like(pairs.gains), STATIC: static_ranking}
    everything = {**nulls, **pairs.predictors}
    first = [name for name in NULLS if name in everything]
    return {name: everything[name] for name in [*first, *(name for name in everything if name not in first)]}


def _corrected(p_values: Array, tested: pd.Series) -> Array:
    corrected, defined = np.full(len(p_values), np.nan), tested & ~np.isnan(p_values)
    corrected[defined] = holm(p_values[defined])
    return corrected


def _question(pairs: Pairs) -> str:
    axes = {"target": pairs.targets, "source": pairs.sources, "seed": pairs.seeds}
    size = listed([counted(len(axis), noun) for noun, axis in axes.items()])
    return (
        f"Every pair of a source and a target game is a run of its own: {size}. The outcome is the gain over scratch of the same "
        "seed in area under the learning curve; a predictor is judged by how well it orders the sources of one target. The "
        "static ranking knows nothing of the target: it orders sources by their mean gain on all others."
    )


def _spoken(frame: pd.DataFrame) -> str:
    taus = "; ".join(f"{title(row.predictor)} {number(row.tau)}" for row in frame.itertuples())
    return f"Points with intervals: Kendall's tau of each predictor. {taus}."


def _caption(pairs: Pairs, ceiling: float) -> str:
    limit = (
        f"The solid line is what the gains of half the seeds foretell of the other half's ({number(ceiling)})."
        if np.isfinite(ceiling)
        else "One seed gives no noise ceiling."
    )
    return (
        "Kendall's tau within a target, averaged, with 95 % intervals from resampled targets and seeds. Dashed: chance, and the "
        f"static ranking. {limit} Grey: what needs no look at the network, and the early gain."
    )


def _table(frame: pd.DataFrame, pairs: Pairs) -> Table:
    columns = [
        Column("Predictor", lambda row: title(row.predictor), numeric=False),
        Column("Tau", lambda row: number(row.tau), value=lambda row: row.tau),
        Column("95 % interval", lambda row: span(row.low, row.high)),
        Column("p (Holm)", lambda row: probability(row.p_holm)),
        Column("Over the static ranking", lambda row: "" if row.predictor == STATIC else number(row.difference)),
        Column("95 % interval", lambda row: "" if row.predictor == STATIC else span(row.difference_low, row.difference_high)),
        Column("p (Holm)", lambda row: probability(row.difference_p_holm)),
        Column("Gain lost", lambda row: number(row.gain_lost)),
        Column("Seconds a pair", lambda row: duration(row.seconds)),
    ]
    finetuning = pairs.seconds.get(EARLY_GAIN, np.nan) / EARLY_SHARE
    notes = [
        "The first p-value is of chance, by giving games other names; the second of being no better than the static ranking, "
        "from resampled targets and seeds; both one-sided and corrected for the number of predictors. Gain lost: what is given "
        "away by taking the source that the predictor puts first instead of the best. Intervals and second p-values come from "
        "percentile bootstraps, which at few targets or seeds are too narrow and too small.",
        f"Seconds: parts that predictors share count for each. One finetuning took {duration(finetuning)}.",
    ]
    return Table("predictors", "Predictors of transfer", frame, columns, notes)
