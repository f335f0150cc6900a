"""Transferability: which predictors tell, before finetuning, which game to start from; how sure that is; and what each costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from xtra_analysis.bootstrap import generator
from xtra_analysis.drawing import INK, MUTED, new_figure, reference_line, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.matrices import Array
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.pairs import EARLY_GAIN, EARLY_SHARE, OWN_SCORE, Pairs, read_pairs
from xtra_analysis.ranking import (
    Predictor,
    bootstrap_taus,
    gain_lost,
    mean_tau,
    noise_ceiling,
    over_seeds,
    ranking_of,
    relabelling_test,
    static_ranking,
)
from xtra_analysis.significance import holm
from xtra_analysis.text import counted, duration, listed, number, probability, short, span

STATIC, CONSTANT = "static_ranker", "constant"
NULLS = (CONSTANT, STATIC, OWN_SCORE, "action_overlap", "picture_similarity", EARLY_GAIN)
"""What needs no look at the network, and the early gain, which any predictor must be cheaper than or beat."""
LEVEL = 0.05
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


def evaluate_predictors(pairs: Pairs, seed: int = 0) -> pd.DataFrame:
    """Makes one row per predictor, nulls first, with `COLUMNS`.

    tau: Kendall's within a target, averaged, with its 95 % interval over targets and seeds. p_holm: of "it orders sources no
    better than chance"; difference: of tau from the static ranking's, with its interval and the one-sided p-value of "it is no
    better", both corrected by Holm over all predictors but the constant (and the static ranking itself).
    """
    predictors = _predictors(pairs)
    names, random = list(predictors), generator(seed, "transferability")
    everything = np.arange(len(pairs.seeds))[None]
    gains = over_seeds(pairs.gains, everything)[0]
    rankings = {name: ranking_of(predictor, pairs.gains, everything)[0] for name, predictor in predictors.items()}
    draws = bootstrap_taus(list(predictors.values()), pairs.gains, random)
    differences = draws - draws[:, [names.index(STATIC)]]
    frame = pd.DataFrame({"predictor": names, "tau": [float(mean_tau(rankings[name], gains)) for name in names]})
    frame["low"], frame["high"] = np.nanquantile(draws, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    frame["difference"] = frame["tau"] - float(frame["tau"][names.index(STATIC)])
    frame["difference_low"], frame["difference_high"] = np.nanquantile(differences, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    p_values = [
        relabelling_test(predictor, pairs.gains, pairs.targets, pairs.sources, random) for predictor in predictors.values()
    ]
    frame["p_holm"] = _corrected(np.array(p_values), frame["predictor"] != CONSTANT)
    no_better = (1 + (differences <= 0).sum(0)) / (1 + len(differences))
    frame["difference_p_holm"] = _corrected(no_better, ~frame["predictor"].isin([CONSTANT, STATIC]))
    frame["gain_lost"] = [gain_lost(rankings[name], gains) for name in names]
    frame["seconds"] = [pairs.seconds.get(name, np.nan) for name in names]
    return frame[COLUMNS]


def transferability_section(findings: Findings) -> Section | None:
    """Shows the verdict on every predictor, their taus with the ceiling that noise sets, and the gains of all pairs."""
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
        Picture(
            "transfer_gains",
            plot_gains(pairs),
            "Heat map: gain of each target game from each source game.",
            f"Gain over scratch of the same seed in area under the learning curve, in {pairs.unit}, mean over seeds. "
            "Orange gains, purple loses.",
            mean_gains(pairs).rename_axis("source_game").reset_index(),
            folded=True,
        ),
    ]
    return Section("transferability", "Can transfer be foretold?", blocks)


def verdicts(frame: pd.DataFrame) -> list[str]:
    """Writes a paragraph on the predictors that beat the static ranking, and one on those that do not: in one size of type."""
    judged = frame[~frame["predictor"].isin([CONSTANT, STATIC])]
    beats = judged["difference_p_holm"] <= LEVEL
    chance = ~(judged["p_holm"] <= LEVEL)
    groups = (
        ("Beats the static ranking of the sources", judged[beats]),
        ("Does not beat the static ranking of the sources", judged[~beats & ~chance]),
        ("Does not beat the static ranking of the sources, and cannot be told from chance", judged[~beats & chance]),
    )
    return [f"{text}: {listed([title(name) for name in part['predictor']])}." for text, part in groups if len(part)]


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


def mean_gains(pairs: Pairs) -> pd.DataFrame:
    """Computes the mean gain over seeds of each source game (row) in each target game (column)."""
    return pd.DataFrame(over_seeds(pairs.gains, np.arange(len(pairs.seeds))[None])[0].T, pairs.sources, pairs.targets)


def plot_gains(pairs: Pairs) -> Figure:
    """Draws a heat map of mean gains, source by target."""
    gains = mean_gains(pairs)
    largest = max(0.05, float(gains.abs().max().max()))
    with xtra_style():
        figure = new_figure(2.8 + 0.72 * gains.shape[1], 1.6 + 0.42 * gains.shape[0])
        axes = figure.subplots()
        sns.heatmap(
            gains, ax=axes, annot=True, fmt=".2f", cmap="PuOr_r", vmin=-largest,
            vmax=largest, linewidths=1.5, linecolor="white", cbar_kws={"label": "Gain", "shrink": 0.85}, annot_kws={"size": 9},
        )  # fmt: skip
        axes.set(xlabel="Target game", ylabel="Source game")
        axes.grid(visible=False)
        axes.tick_params(length=0, rotation=0)
        axes.set_xticklabels([short(game, 20) for game in pairs.targets], rotation=35, ha="right")
    return figure


def _predictors(pairs: Pairs) -> dict[str, Predictor]:
    nulls: dict[str, Predictor] = {CONSTANT: np.zeros_like(pairs.gains), STATIC: static_ranking}
    everything = {**nulls, **pairs.predictors}
    first = [name for name in NULLS if name in everything]
    return {name: everything[name] for name in [*first, *(name for name in everything if name not in first)]}


def _corrected(p_values: Array, tested: pd.Series) -> Array:
    corrected = np.full(len(p_values), np.nan)
    corrected[tested] = holm(p_values[tested])
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
        "away by taking the source that the predictor puts first instead of the best.",
        f"Seconds: parts that predictors share count for each. One finetuning took {duration(finetuning)}.",
    ]
    return Table("predictors", "Predictors of transfer", frame, columns, notes)
