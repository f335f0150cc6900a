"""The first screen: the answer in one sentence, with its interval and its reservations; missing cells, a figure, a table."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.aggregates import IQM_OF_FEW_GAMES, plot_aggregates
from xtra_analysis.columns import GAMES, METHOD, SEEDS, band_text, in_most_games, spoken
from xtra_analysis.equivalence import game_verdicts_sentence, verdict_sentence
from xtra_analysis.findings import Findings
from xtra_analysis.games import game_scores, mean_text
from xtra_analysis.learning_curves import plot_efficiency
from xtra_analysis.matrices import games_with_positive_scores
from xtra_analysis.missing import incomplete_methods, missing_line
from xtra_analysis.page import Column, Paragraph, Picture, Section, Table
from xtra_analysis.published import PROTOCOL
from xtra_analysis.significance import LEVEL
from xtra_analysis.sources import spread_sentence
from xtra_analysis.text import NONE, corrected, counted, each, listed, listed_or_counted, number, p_sign, percent, span
from xtra_analysis.time_to_threshold import threshold_sentence
from xtra_analysis.transfer_matrix import matrix_sentence

MOST_RAW = 4
"""Most games whose raw scores the first screen shows."""


def overview_section(findings: Findings) -> Section:
    """Shows the missing cells, the figure that answers the question, and the table of methods."""
    blocks: list[Table | Picture | Paragraph] = [missing_line(findings), *incomplete_methods(findings)]
    if len(findings.estimates) or len(findings.relative_efficiency):
        blocks.append(_figure(findings))
    table = _count_table(findings) if findings.study.record.proves == "wiring" else _table(findings)
    return Section("overview", "Overview", [*blocks, table])


def _figure(findings: Findings) -> Picture:
    """Draws learning curves relative to the baseline where there is one, else learning curves, else the aggregate itself."""
    relative, points = findings.relative_efficiency, findings.efficiency
    if len(relative):
        baseline = str(findings.study.ratio_baseline)
        return Picture(
            "overview",
            plot_efficiency(relative, y_label=f"Mean score / {baseline} at the end", emphasis=findings.emphasis, reference=1.0),
            f"Line chart: score divided by {baseline}'s final score over env steps, mean over games. "
            f"At the end: {spoken(relative)}",
            f"{_figure_name(findings)}core over {baseline}'s final mean while learning, averaged over games. The dashed line is "
            f"where {baseline} ends. {band_text(relative)}",
            relative,
            wide=False,
        )
    if len(points) and points.groupby("method")["env_steps"].nunique().max() > 1:
        return Picture(
            "overview",
            plot_efficiency(points, emphasis=findings.emphasis),
            f"Line chart: interquartile mean of the normalized score over env steps. At the end: {spoken(points)}",
            f"IQM of the normalized score while learning. {band_text(points)}",
            points,
            wide=False,
        )
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    return Picture(
        "overview",
        plot_aggregates(iqm),
        f"Points with intervals: interquartile mean of the normalized score. {spoken(iqm)}",
        "IQM of the normalized score. Thin line: 95 % interval that allows for few seeds; thick line: rliable's.",
        iqm,
        wide=False,
    )


def _figure_name(findings: Findings) -> str:
    """Begins the caption: XTRA's paper draws this figure of XTRA and EfficientZero on Atari 100k."""
    pair = tuple(str(name).casefold() for name in (findings.primary, findings.study.ratio_baseline))
    return "The paper's Figure 1: s" if findings.study.record.protocol == PROTOCOL and pair == ("xtra", "efficientzero") else "S"


def _count_table(findings: Findings) -> Table:
    """Counts the runs of each method that have a score: all that a run which proves the wiring can show."""
    cells = findings.study.scores.assign(scored=lambda frame: frame["status"] == "complete")
    frame = cells.groupby("method", sort=False).agg(num_scored=("scored", "sum"), num_runs=("scored", "size")).reset_index()
    columns = [METHOD, Column("Runs with a score", lambda row: f"{row.num_scored} of {row.num_runs}")]
    return Table("overview", "Methods", frame, columns)


def _table(findings: Findings) -> Table:
    """Tells of each method its ratio to the baseline, its IQM, and raw scores as far as `_raw_games` goes."""
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    ratios = findings.comparison[findings.comparison["statistic"] == "mean_ratio"]
    games = _raw_games(findings)
    frame = pd.DataFrame({"method": findings.study.methods}).merge(iqm, on="method", how="left")
    ratios = ratios.assign(most_games=ratios["num_games"].max()).set_index("method")
    columns_of_ratios = ["estimate", "low", "high", "num_games", "most_games"]
    frame = frame.merge(ratios[columns_of_ratios].add_suffix("_ratio"), on="method", how="left")
    runs = findings.study.complete.groupby(["method", "game"]).size().groupby("method").agg(["min", "max"])
    for column, raw in (("min_runs", frame["method"].map(runs["min"])), ("max_runs", frame["method"].map(runs["max"]))):
        frame[column] = frame[column].astype("float64").fillna(raw).fillna(0).astype(int)
    frame["num_games"] = frame["num_games"].astype("float64").fillna(0).astype(int)
    frame["most_games"] = frame["num_games"].max()
    scores = game_scores(findings.study)
    means = scores[scores["game"].isin(games)].pivot(index="method", columns="game", values="mean").add_prefix("mean ")
    columns = [METHOD]
    if len(ratios):
        columns += _ratio_columns(str(findings.study.baseline))
    if len(iqm):
        columns += [
            Column(
                "IQM",
                lambda row: number(row.estimate),
                value=lambda row: in_most_games(row.estimate, row.num_games, row.most_games),
            ),
            Column("95 % interval", lambda row: span(row.low, row.high)),
        ]
    columns += [_raw_column(scores[scores["game"] == game], f"Raw score, {game}") for game in games]
    columns += [SEEDS, GAMES] if iqm["num_games"].nunique() > 1 else [SEEDS]
    known = int(iqm["num_games"].max()) if len(iqm) else 0
    notes = ["Raw score: mean ± standard deviation over seeds."] if games else []
    if 0 < known < len(findings.study.record.games):
        notes.append(f"IQM of the normalized score, over the {counted(known, 'game')} whose scale is known.")
    if iqm["num_games"].isin([2, 3, 4]).any():
        notes.append(IQM_OF_FEW_GAMES)
    return Table("overview", "Methods", frame.merge(means.reset_index(), on="method", how="left"), columns, notes)


def _raw_games(findings: Findings) -> list[str]:
    """Returns the games whose raw scores the first screen shows: a single one, or a few where no normalized score is known."""
    games = sorted(findings.study.complete["game"].unique())
    return games if len(games) == 1 or (findings.estimates.empty and len(games) <= MOST_RAW) else []


def _ratio_columns(baseline: str) -> list[Column]:
    return [
        Column(
            f"×\u00a0{baseline}",
            lambda row: "1" if row.method == baseline else number(row.estimate_ratio),
            value=lambda row: (
                1.0 if row.method == baseline else in_most_games(row.estimate_ratio, row.num_games_ratio, row.most_games_ratio)
            ),
        ),
        Column("95 % interval", lambda row: "" if row.method == baseline else span(row.low_ratio, row.high_ratio)),
    ]


def _raw_column(scores: pd.DataFrame, heading: str) -> Column:
    """Makes the column of one game's rows of `game_scores`."""
    rows = {row.method: row for row in scores.itertuples()}
    return Column(
        heading,
        lambda row: mean_text(rows[row.method]) if row.method in rows else NONE,
        value=lambda row: rows[row.method].mean if row.method in rows else float("nan"),
    )


def answer(findings: Findings) -> str:
    """Answers the suite's question in a sentence or two, as far as the rows allow."""
    study = findings.study
    primary = findings.primary
    if primary is None:
        return "No run has finished yet, so there is no answer."
    if study.record.proves == "wiring":
        return (
            f"Everything ran: {counted(len(study.complete), 'run')} of {len(study.scores)} left a score. "
            "Runs this short prove the wiring, not learning, so they answer no question about methods."
        )
    group = next(method.group for method in study.record.methods if method.name == primary)
    drawn = spread_sentence(findings, group) if group in set(findings.draw_spread["group"]) else None
    pairs, baseline = findings.transfer_matrix, str(study.ratio_baseline)
    matrix = matrix_sentence(pairs, baseline, study.looks) if len(pairs) else None
    if matrix and set(study.learners) <= {baseline, *pairs["method"]}:
        # Methods are pairs of games here, of which the first is no more than the others.
        return " ".join(filter(None, (matrix, drawn)))
    judged = (verdict_sentence(findings), game_verdicts_sentence(findings))
    return " ".join(filter(None, (threshold_sentence(findings), *judged, _final_sentence(findings, primary), matrix, drawn)))


def _final_sentence(findings: Findings, primary: str) -> str:
    """Words the ratio to the baseline. A game in which one run of the baseline scored nothing has none, and the games that are
    left are those where it was lucky: then the normalized score is worded, if there is one."""
    ratio, iqm = findings.estimate(primary, "mean_ratio"), findings.estimate(primary, "iqm")
    improvement = findings.estimate(primary, "probability_of_improvement")
    has_all_games = ratio is not None and (improvement is None or ratio["num_games"] == improvement["num_games"])
    if ratio is not None and (has_all_games or iqm is None):
        return _ratio_sentence(findings, primary, ratio)
    if iqm is not None:
        return _score_sentence(findings, primary, iqm)
    return _raw_sentence(findings, primary)


def _raw_sentence(findings: Findings, primary: str) -> str:
    """Words raw scores, where no game has a reference score."""
    scores = game_scores(findings.study)
    rows = list(scores[scores["method"] == primary].itertuples())
    if len(rows) > MOST_RAW:
        scored = f"{primary} has scores, but no game has a reference score to normalize them by; see the raw ones."
    else:
        runs = [row.num_runs for row in rows]
        of = each(min(runs), max(runs))
        if len(rows) == 1:
            of = "the score of one seed" if runs == [1] else f"the mean of {counted(runs[0], 'seed')}"
        games = listed([f"{number(row.mean)} on {row.game}" for row in rows])
        lacks = "The game has" if len(rows) == 1 else "These games have"
        scored = f"{primary} scored {games}, {of}. {lacks} no reference score to normalize by."
    return " ".join(filter(None, (scored, _chance_sentence(findings, primary, len(rows)))))


def _ratio_sentence(findings: Findings, primary: str, ratio: pd.Series) -> str:
    baseline, change = str(ratio["baseline"]), float(ratio["estimate"]) - 1.0
    size = (
        f"{percent(abs(change))} {'higher' if change >= 0 else 'lower'} than {baseline}" if change else f"as high as {baseline}"
    )
    scored = findings.study.complete
    usable = games_with_positive_scores(scored[scored["method"] == baseline]) & set(
        scored.loc[scored["method"] == primary, "game"]
    )
    where = f"averaged over {_games(findings, usable, 'no ratio there')}, {each(ratio['min_runs'], ratio['max_runs'])}"
    if pd.isna(ratio["low"]):
        return f"{primary} scored {size}, {where}; {_no_interval(ratio)}."
    bounds = f"95 % interval {percent(ratio['low'] - 1)} to {percent(ratio['high'] - 1)}"
    caution = _caution(findings, primary, usable)
    return f"{primary} scored {size} ({bounds}{caution}), {where}. {_verdict(findings, primary, ratio)}"


def _caution(findings: Findings, primary: str, usable: set[str]) -> str:
    """Says beside a ratio's interval in which games it is unstable, as the baseline's own interval reaches zero; else nothing."""
    ratios = findings.game_ratios
    rows = ratios[(ratios["method"] == primary) & ratios["unstable"] & ratios["game"].isin(list(usable))]
    names = sorted(rows["game"])
    return f", unstable on {listed_or_counted(names, 'game')}" if names else ""


def _games(findings: Findings, counted_games: set[str], reason: str) -> str:
    """Words the number of games: "3 games", or "1 of 3 games (Alien and Carnival left out, no ratio there)"."""
    games = findings.study.record.games
    absent = [game for game in games if game not in counted_games]
    if not absent:
        return counted(len(games), "game")
    left_out = f"{listed_or_counted(absent, 'other')} left out, {reason}"
    return f"{len(games) - len(absent)} of {counted(len(games), 'game')} ({left_out})"


def _verdict(findings: Findings, primary: str, ratio: pd.Series) -> str:
    """Words what interval and rank test show together, where they are over the same games."""
    clear = ratio["low"] > 1 or ratio["high"] < 1
    improvement = findings.estimate(primary, "probability_of_improvement")
    p_value = float(improvement["p_holm"]) if improvement is not None else float("nan")
    if improvement is not None and improvement["num_games"] != ratio["num_games"]:
        return (
            f"The rank test is over {counted(int(improvement['num_games']), 'game')} ({_p_text(findings, p_value)}), so the two "
            "make no verdict together."
        )
    tested = "" if pd.isna(p_value) else f" ({_p_text(findings, p_value)})"
    agree = improvement is None or (ratio["low"] > 1) == (improvement["estimate"] > 0.5)
    if clear and agree and (pd.isna(p_value) or p_value < LEVEL):
        return f"The difference is larger than the seeds explain{tested}."
    if clear or p_value < LEVEL:
        return f"Interval and rank test disagree{tested}, so the question stays open."
    return f"With these seeds that cannot be told from no difference{tested}."


def _p_text(findings: Findings, p_value: float) -> str:
    tests = int(findings.comparison["p_value"].notna().sum())
    return f"p {p_sign(p_value)}{corrected(tests, findings.study.looks)}"


def _score_sentence(findings: Findings, primary: str, iqm: pd.Series) -> str:
    meaning = findings.study.scale.meaning
    scored = findings.study.complete
    known = set(scored.loc[(scored["method"] == primary) & scored["normalized"].notna(), "game"])
    where = f"over {_games(findings, known, 'no normalized score there')}, {each(iqm['min_runs'], iqm['max_runs'])}"
    bounds = f"95 % interval {span(iqm['low'], iqm['high'])}" if pd.notna(iqm["low"]) else _no_interval(iqm)
    reached = f"{primary} reached a normalized score of {number(iqm['estimate'])} ({bounds}; {meaning}), {where}."
    return " ".join(filter(None, (reached, _chance_sentence(findings, primary, iqm["num_games"]))))


def _chance_sentence(findings: Findings, primary: str, num_games: int) -> str | None:
    """Words how likely a run beats one of the baseline. num_games: those that the sentence before it is about."""
    improvement = findings.estimate(primary, "probability_of_improvement")
    if improvement is None or improvement["max_runs"] < 2:
        return None  # One run against one run is no probability.
    games = int(improvement["num_games"])
    over = "" if games == num_games else f" on {counted(games, 'game')}"
    chance = f"scores higher than one of {improvement['baseline']}{over} with probability {number(improvement['estimate'])}"
    return f"A run of it {chance}, ties counting half ({_p_text(findings, float(improvement['p_holm']))})."


def _no_interval(row: pd.Series) -> str:
    return "one seed gives no interval" if row["min_runs"] < 2 else "no draw of the seeds changes it, so there is no interval"
