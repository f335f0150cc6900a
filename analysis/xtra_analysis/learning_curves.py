"""Learning curves: the score at each number of env steps, per game and over all games."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xtra_analysis.aggregates import interquartile_mean
from xtra_analysis.comparison import mean_ratio
from xtra_analysis.drawing import (
    FAINT,
    MAX_COLUMNS,
    Curve,
    Look,
    add_legend,
    draw_band,
    draw_curves,
    label_steps,
    legend_handles,
    legend_height,
    looks,
    mark,
    new_figure,
    reference_line,
    widen,
    xtra_style,
)
from xtra_analysis.intervals import (
    UNKNOWN,
    JointStatistic,
    generator,
    joint_distribution,
    percentile_interval,
    small_sample_interval,
)
from xtra_analysis.matrices import (
    Array,
    games_with_positive_scores,
    games_with_values,
    runs_per_game,
    score_matrix,
    split_by_baseline,
)
from xtra_analysis.text import short

CURVE_REPS = 2_000
"""Resamples for each point of a curve, as in rliable."""
CURVE_COLUMNS = [
    "method", "env_steps", "estimate", "low", "high", "percentile_low", "percentile_high", "num_games", "min_runs", "max_runs",
]  # fmt: skip


def sample_efficiency(curves: pd.DataFrame, value: str = "normalized", reps: int = CURVE_REPS, seed: int = 0) -> pd.DataFrame:
    """Computes the IQM over runs × games of each method at each number of env steps that all its runs reached, with 95 %
    intervals."""
    rows = []
    for method, env_steps, point in _points(curves[curves[value].notna()]):
        matrix = score_matrix(point, games_with_values(point, value), value)
        random = generator(seed, "curve", method, str(env_steps))
        rows.append(_point(method, env_steps, interquartile_mean, [matrix], reps, random))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def relative_efficiency(
    curves: pd.DataFrame, scores: pd.DataFrame, baseline: str, reps: int = CURVE_REPS, seed: int = 0
) -> pd.DataFrame:
    """Computes the score over the baseline's final mean score, averaged over games, at each number of env steps: the paper's
    Figure 1.

    The baseline's final scores are resampled too, and apart from its own curve, although they are of the same runs: its own band
    is wider than it need be. Games in which a run of the baseline is not positive are left out.
    Raises InputError for a baseline that is no method of `scores`.
    """
    _, final = split_by_baseline(scores, baseline)
    rows = []
    for method, env_steps, point in _points(curves[curves["game"].isin(games_with_positive_scores(final))]):
        games = games_with_values(point, "score")
        samples = [score_matrix(point, games, "score"), score_matrix(final, games, "score")]
        random = generator(seed, "relative curve", method, str(env_steps))
        rows.append(_point(method, env_steps, mean_ratio, samples, reps, random))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _points(curves: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    for method, part in curves.groupby("method", sort=False):
        for env_steps, point in common_points(part).groupby("env_steps"):
            yield str(method), int(env_steps), point


def _point(
    method: str, env_steps: int, statistic: JointStatistic, samples: Sequence[Array], reps: int, random: np.random.Generator
) -> tuple[object, ...]:
    counts = [runs_per_game(sample) for sample in samples]
    fewest, most = min(count[0] for count in counts), max(count[1] for count in counts)
    distribution = joint_distribution(statistic, samples, reps, random)
    honest = small_sample_interval(statistic, samples, distribution)
    percentile = percentile_interval(distribution) if fewest > 1 else UNKNOWN
    bounds = (honest.low, honest.high, percentile.low, percentile.high)
    return (method, env_steps, float(statistic(*samples)), *bounds, samples[0].shape[1], fewest, most)


def common_points(curves: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows at env steps at which every run of the frame was evaluated; all rows where there is no such point."""
    num_runs = curves[["game", "seed"]].drop_duplicates().shape[0]
    evaluated = curves.groupby("env_steps")["seed"].count()
    common = evaluated.index[evaluated == num_runs]
    return curves[curves["env_steps"].isin(common)] if len(common) else curves


def areas(curves: pd.DataFrame, value: str = "normalized") -> pd.DataFrame:
    """Computes the area under each run's learning curve over its length, that is, its mean height: columns method, seed, value,
    game.

    A curve is straight between its evaluations, and all curves of a game count over the env steps that all of them span: agents
    that step in rows of 32 environments are evaluated at 512 env steps, others at 500.
    """
    frames = []
    for game, part in curves[curves[value].notna()].groupby("game", sort=False):
        heights = part.pivot(index=["method", "seed"], columns="env_steps", values=value)
        heights = heights.interpolate(axis="columns", method="index", limit_area="inside").dropna(axis="columns")
        if heights.shape[1]:
            frames.append(_mean_heights(heights).reset_index().assign(game=game))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["method", "seed", "value", "game"])


def _mean_heights(heights: pd.DataFrame) -> pd.Series:
    """Computes area over length of curves, one a row with env steps as columns; of a single point, its height."""
    steps = heights.columns.to_numpy(dtype=np.float64)
    if len(steps) == 1:
        return heights.iloc[:, 0].rename("value")
    return pd.Series(np.trapezoid(heights.to_numpy(), steps, axis=1) / (steps[-1] - steps[0]), heights.index, name="value")


def plot_learning_curves(
    curves: pd.DataFrame, value: str = "score", label: str = "Return", emphasis: Sequence[str] | None = None
) -> Figure:
    """Draws one panel per game: the mean over runs of each method; thin lines are the runs of those of `emphasis` (default:
    all)."""
    games = sorted(curves["game"].unique())
    methods = list(dict.fromkeys(curves["method"]))
    drawn = looks(methods)
    width = min(len(games), MAX_COLUMNS)
    height = math.ceil(len(games) / width)
    with xtra_style():
        inches = max(2.75 * width, 5.5)
        figure = new_figure(inches, 2.25 * height + 0.55 + legend_height(drawn, inches))
        panels = figure.subplots(height, width, squeeze=False)
        for axes, game in zip(panels.flat, games, strict=False):
            _draw_game(axes, curves[curves["game"] == game], value, drawn, methods if emphasis is None else emphasis)
            axes.set_title(short(game, 20))
        for axes in panels.flat[len(games) :]:
            axes.set_visible(False)
        figure.supxlabel("Env steps", fontsize=10.5)
        figure.supylabel(label, fontsize=10.5)
        add_legend(figure, legend_handles(drawn))
    return figure


def mean_curves(curves: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """Computes the mean over seeds of each (method, game) at each number of env steps, of as many runs as were evaluated
    there."""
    grouped = curves.groupby(["method", "game", "env_steps"], sort=False)[value]
    means = grouped.agg(**{value: "mean", "num_runs": "size"}).reset_index()
    return means.sort_values(["game", "env_steps"], kind="stable", ignore_index=True)


def _draw_game(axes: Axes, rows: pd.DataFrame, value: str, drawn: dict[str, Look], strong: Sequence[str]) -> None:
    for _, run in rows[rows["method"].isin(list(strong))].groupby(["method", "seed"], sort=False):
        ordered = run.sort_values("env_steps")
        method = str(run["method"].iloc[0])
        (line,) = axes.plot(ordered["env_steps"], ordered[value], color=drawn[method].color, linewidth=0.7, alpha=0.3, zorder=1.5)
        mark(line, method)
    curves = [
        Curve(str(method), list(part["env_steps"]), list(part[value]))
        for method, part in mean_curves(rows, value).groupby("method", sort=False)
    ]
    draw_curves(axes, curves, drawn, strong)
    label_steps(axes)
    widen(axes)
    axes.locator_params(axis="y", nbins=4)


def plot_efficiency(
    points: pd.DataFrame,
    x: str = "env_steps",
    x_label: str = "Env steps",
    y_label: str = "IQM, normalized score",
    emphasis: Sequence[str] | None = None,
    reference: float | None = None,
) -> Figure:
    """Draws the estimate of each method over `x`; those of `emphasis` (default: all) with their 95 % interval, others thin."""
    methods = list(dict.fromkeys(points["method"]))
    strong = [name for name in methods if emphasis is None or name in emphasis]
    drawn = looks(methods)
    with xtra_style():
        figure = new_figure(5.3, 3.7)
        axes = figure.subplots()
        for method in (name for name in methods if name not in strong):
            part = points[points["method"] == method]
            (line,) = axes.plot(part[x], part["estimate"], color=FAINT, linewidth=1.0, zorder=3)
            mark(line, method)
        parts = {method: points[points["method"] == method] for method in strong}
        for method, part in parts.items():
            draw_band(axes, part[x], part, method, drawn[method])
        draw_curves(axes, [Curve(name, list(part[x]), list(part["estimate"])) for name, part in parts.items()], drawn)
        if reference is not None:
            reference_line(axes, reference, vertical=False)
        label_steps(axes)
        widen(axes)
        axes.set(xlabel=x_label, ylabel=short(y_label, 40))
        handles = legend_handles({name: drawn[name] for name in strong})
        if len(strong) < len(methods):
            handles.append(Line2D([], [], color=FAINT, linewidth=1.0, label="other methods"))
        add_legend(figure, handles)
    return figure
