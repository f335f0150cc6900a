"""Performance profiles: the share of runs that score above each threshold (rliable's `run_score_deviation`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtra_analysis.columns import sample_text
from xtra_analysis.drawing import Curve, add_legend, draw_band, draw_curves, legend_handles, looks, new_figure, xtra_style
from xtra_analysis.findings import Findings
from xtra_analysis.intervals import generator, joint_distribution
from xtra_analysis.matrices import Array, games_with_values, is_ragged, runs_per_game, score_matrix
from xtra_analysis.page import Picture, Section

PROFILE_REPS = 2_000
NUM_THRESHOLDS = 61
PROFILE_COLUMNS = ["method", "threshold", "share", "low", "high", "num_games", "min_runs", "max_runs"]


def performance_profiles(frame: pd.DataFrame, value: str = "normalized", reps: int = PROFILE_REPS, seed: int = 0) -> pd.DataFrame:
    """Computes one row per (method, threshold): the share of runs above it, games counting equally, with rliable's pointwise
    band."""
    complete = frame[(frame["status"] == "complete") & frame[value].notna()]
    if complete.empty:
        return pd.DataFrame(columns=PROFILE_COLUMNS)
    low, high = complete[value].quantile([0.02, 0.98])
    thresholds = np.linspace(min(0.0, float(low)), float(high), NUM_THRESHOLDS)
    tables = []
    for method, part in complete.groupby("method", sort=False):
        matrix = score_matrix(part, games_with_values(part, value), value)
        random = generator(seed, "profile", str(method))
        tables.append(_profile(matrix, thresholds, reps, random).assign(method=str(method)))
    return pd.concat(tables, ignore_index=True)[PROFILE_COLUMNS]


def _profile(matrix: Array, thresholds: Array, reps: int, random: np.random.Generator) -> pd.DataFrame:
    fewest, most = runs_per_game(matrix)
    low = high = np.full(len(thresholds), np.nan)
    if fewest > 1:
        drawn = joint_distribution(lambda scores: share_above(scores, thresholds), [matrix], reps, random)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    table = {"threshold": thresholds, "share": share_above(matrix[None], thresholds)[0], "low": low, "high": high}
    return pd.DataFrame(table).assign(num_games=matrix.shape[1], min_runs=fewest, max_runs=most)


def share_above(scores: Array, thresholds: Array) -> Array:
    """Computes the mean over games of the share of runs above each threshold: `[stack, runs, games]` and `[thresholds]` →
    `[stack, thresholds]`."""
    ragged = is_ragged(scores)
    shares = np.empty((len(scores), len(thresholds)))
    for place, threshold in enumerate(thresholds):
        above = np.where(np.isnan(scores), np.nan, scores > threshold) if ragged else (scores > threshold).astype(np.float64)
        shares[:, place] = (np.nanmean(above, axis=-2) if ragged else above.mean(axis=-2)).mean(axis=-1)
    return shares


def plot_profiles(table: pd.DataFrame, emphasis: Sequence[str] | None = None) -> Figure:
    """Draws `performance_profiles`' rows: share of runs above each score; bands for the methods of `emphasis` (default: all)."""
    methods = list(dict.fromkeys(table["method"]))
    strong = methods if emphasis is None else list(emphasis)
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(7.6, 4.2)
        axes = figure.subplots()
        parts = {method: table[table["method"] == method] for method in methods}
        for method in (name for name in methods if name in strong):
            draw_band(axes, parts[method]["threshold"], parts[method], method, drawn[method], step="post")
        curves = [Curve(name, list(part["threshold"]), list(part["share"])) for name, part in parts.items()]
        draw_curves(axes, curves, drawn, strong, drawstyle="steps-post")
        axes.set(xlabel="Normalized score τ", ylabel="Share of runs above τ", ylim=(-0.02, 1.02))
        add_legend(figure, legend_handles(drawn), "outside right center")
    return figure


def profiles_section(findings: Findings) -> Section | None:
    """Shows the share of runs above each score."""
    if findings.profiles.empty:
        return None
    picture = Picture(
        "profiles",
        plot_profiles(findings.profiles, findings.emphasis),
        "Step chart: share of runs that score above a threshold, over the threshold, one line per method.",
        "A curve that lies higher was better everywhere in these runs; curves that cross mean that the order of the methods "
        "depends on which games or runs count. Bands: rliable's pointwise 95 %, too narrow at few seeds; nothing is tested here. "
        f"{sample_text(findings.profiles)}",
        findings.profiles,
    )
    return Section("profiles", "Performance profiles", [picture])
