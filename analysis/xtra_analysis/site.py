"""A site of many runs: a gallery of their reports, and a leaderboard whose every number leads to its report and its rows."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xtra.results.run_record import RECORD
from xtra.store.rows import SCORES
from xtra_analysis.games import game_scores
from xtra_analysis.matrices import InputError, games_with_values
from xtra_analysis.page import MOST_ROWS, Picture
from xtra_analysis.report import Report, make_report, render, save_report
from xtra_analysis.study import Study, read_study, runs_in
from xtra_analysis.text import counted, listed, number, rounded, span

LEADERBOARD = "leaderboard.csv"
MOST_NAMES = 3
"""Games that the title of a leaderboard names."""
LEADERBOARD_COLUMNS = [
    "protocol", "games", "method", "study", "iqm", "low", "high", "num_games", "num_runs", "game", "score", "std", "num_seeds",
    "report", "rows",
]  # fmt: skip


@dataclass(frozen=True)
class Exhibit:
    """A study on the site: the folder with its report, and what the gallery shows of it."""

    folder: str
    report: Report

    @property
    def study(self) -> Study:
        return self.report.findings.study

    @property
    def question(self) -> str:
        return self.study.record.question

    @property
    def page(self) -> str:
        """The path of its report, from the site's page."""
        return f"{self.folder}/report.html"

    @property
    def rows(self) -> str:
        """The path of its scores, from the site's page."""
        return f"{self.folder}/{SCORES.file_name}"

    @property
    def thumbnail(self) -> str | None:
        """A link that holds its first figure; None for a study without any."""
        blocks = [block for section in (self.report.first, *self.report.sections) for block in section.blocks]
        picture = next((block for block in blocks if isinstance(block, Picture)), None)
        return None if picture is None else f"data:image/svg+xml;base64,{base64.b64encode(picture.svg.encode()).decode()}"

    @property
    def ranked(self) -> bool:
        """True if its scores say how good methods are."""
        record = self.study.record
        return record.proves == "learning" and not record.synthetic

    @property
    def group(self) -> tuple[str, tuple[str, ...]]:
        """Protocol and games: only scores that have both in common stand in one leaderboard."""
        return self.study.record.protocol, tuple(sorted(self.study.record.games))


@dataclass(frozen=True)
class Entry:
    """A number of the leaderboard: whose it is, its text, whether it is the highest, and where it comes from."""

    method: str
    game: str
    text: str
    interval: str
    seeds: str
    best: bool
    exhibit: Exhibit
    anchor: str


@dataclass(frozen=True)
class Leaderboard:
    """The scores of all studies of one protocol and the same games, the best first: over all games, and in each.

    incomplete: who has no score in some game, and so no place over all of them.
    """

    title: str
    overall: Sequence[Entry]
    incomplete: Sequence[str]
    games: Sequence[Entry]

    @property
    def folded(self) -> bool:
        """True if the page shows only the first scores of games until one asks for all."""
        return len(self.games) > MOST_ROWS


def find_studies(places: Sequence[Path]) -> list[Path]:
    """Finds the studies among the places and directly in them, in order of name: runs, and directories of runs. A place that is
    no run itself stands for what is in it. Raises InputError for a place with none."""
    studies: list[Path] = []
    for place in places:
        inside = [place] if (place / RECORD).is_file() else sorted(path for path in place.glob("*/") if runs_in(path))
        if not inside:
            raise InputError(f"{place} holds no run: neither it nor a directory in it has a {RECORD}")
        studies += inside
    return list(dict.fromkeys(studies))


def write_site(studies: Sequence[Path], out: Path, seed: int = 0) -> Path:
    """Writes `out/index.html`, `out/leaderboard.csv` and for each study a folder with report and scores. Returns the page's path.

    A study is a run or a directory of runs. Those that cannot be read are named on the page with the reason. Equal rows and seed
    give equal bytes. Raises InputError where none can be read, or where a run lies in a place that would be written to.
    """
    readable: dict[str, Study] = {}
    unreadable: list[str] = []
    for place in studies:
        try:
            study = read_study([place])
        except InputError as error:
            unreadable.append(str(error))
            continue
        readable[_folder(place.resolve().name, list(readable))] = study
    _require_no_runs(out, list(readable))
    exhibits: list[Exhibit] = []
    for folder, study in readable.items():
        exhibit = Exhibit(folder, make_report(study, seed))
        save_report(exhibit.report, out / exhibit.folder)
        study.scores[list(SCORES.columns)].to_csv(out / exhibit.rows, index=False, lineterminator="\n")
        exhibits.append(exhibit)
    if not exhibits:
        raise InputError("; ".join(unreadable) or "no run given")
    table = _leaderboard_table(exhibits)
    table.to_csv(out / LEADERBOARD, index=False, lineterminator="\n")
    boards = [_leaderboard(group, table, exhibits) for group in dict.fromkeys(one.group for one in exhibits if one.ranked)]
    page = out / "index.html"
    page.write_text(
        render("site.html.j2", exhibits=exhibits, boards=boards, unreadable=unreadable, csv=LEADERBOARD), encoding="utf-8"
    )
    return page


def _require_no_runs(out: Path, folders: Sequence[str]) -> None:
    """Refuses to write over runs: whoever leaves DIR out names the studies in its place."""
    taken = [out] if (out / RECORD).is_file() else [out / folder for folder in folders if runs_in(out / folder)]
    if taken:
        raise InputError(
            f"{taken[0]} holds a run, and the site would be written over it; "
            f"DIR is the site's own directory: `xtra-bench site site {out}`"
        )


def _folder(name: str, taken: Sequence[str]) -> str:
    """Chooses a name for a run's folder that no other has."""
    names = [name, *(f"{name}-{count}" for count in range(2, len(taken) + 3))]
    return next(one for one in names if one not in taken)


def _leaderboard_table(exhibits: Sequence[Exhibit]) -> pd.DataFrame:
    """Makes one row per (study, method) with the IQM over games, where it is known, and one per (study, method, game)."""
    rows = [row for exhibit in exhibits if exhibit.ranked for row in _rows(exhibit)]
    return pd.DataFrame(rows, columns=LEADERBOARD_COLUMNS)


def _rows(exhibit: Exhibit) -> Iterator[dict[str, object]]:
    protocol, games = exhibit.group
    common = {"protocol": protocol, "games": " ".join(games), "study": exhibit.folder, "rows": exhibit.rows}
    estimates = exhibit.report.findings.estimates
    for row in estimates[estimates["statistic"] == "iqm"].to_dict("records"):
        own = {name: row[name] for name in ("method", "low", "high", "num_games", "num_runs")}
        yield common | own | {"iqm": row["estimate"], "report": f"{exhibit.page}#aggregates"}
    for row in game_scores(exhibit.study).sort_values("game", kind="stable").to_dict("records"):
        own = {
            "method": row["method"],
            "game": row["game"],
            "score": row["mean"],
            "std": row["std"],
            "num_seeds": row["num_runs"],
        }
        yield common | own | {"report": f"{exhibit.page}#games"}


def _leaderboard(group: tuple[str, tuple[str, ...]], table: pd.DataFrame, exhibits: Sequence[Exhibit]) -> Leaderboard:
    protocol, games = group
    own = table[(table["protocol"] == protocol) & (table["games"] == " ".join(games))]
    known = {exhibit.folder: exhibit for exhibit in exhibits}
    members = [exhibit.study.complete for exhibit in exhibits if exhibit.ranked and exhibit.group == group]
    num_games = len({game for scores in members for game in games_with_values(scores)})
    over_games = own[own["iqm"].notna()].sort_values("iqm", ascending=False, kind="stable")
    overall = over_games[over_games["num_games"] == num_games]
    fewer = over_games[over_games["num_games"] < num_games]
    single = own[own["score"].notna()].sort_values(["game", "score"], ascending=[True, False], kind="stable")
    names = listed(list(games)) if len(games) <= MOST_NAMES else counted(len(games), "game")
    best = single.groupby("game")["score"].max()
    return Leaderboard(
        f"{protocol}: {names}",
        [
            Entry(
                method=row.method,
                game="",
                text=number(row.iqm),
                interval=span(row.low, row.high),
                seeds=f"{row.num_runs / row.num_games:.3g}",
                best=rounded(row.iqm) == rounded(overall["iqm"].max()),
                exhibit=known[row.study],
                anchor=row.report,
            )
            for row in overall.itertuples()
        ],
        [f"{row.method} ({row.study}, {row.num_games:.0f} of {num_games})" for row in fewer.itertuples()],
        [
            Entry(
                method=row.method,
                game=row.game,
                text=number(row.score),
                interval="" if pd.isna(row.std) else f"± {number(row.std)}",
                seeds=f"{row.num_seeds:.0f}",
                best=rounded(row.score) == rounded(best[row.game]),
                exhibit=known[row.study],
                anchor=row.report,
            )
            for row in single.itertuples()
        ],
    )
