"""Scores that other code measured: the report of a CSV file, of rliable's JSON and of a frame, and what mistakes are answered."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result
from xtra_analysis import InputError, compare, estimate, from_frame, load, normalize, write_report
from xtra_analysis.analyse import analyse
from xtra_analysis.intervals import generator
from xtra_analysis.scores_of_others import read_scores

from xtra.cli.main import app
from xtra.protocol.scores import reference_scores

GAMES = ("Alien", "Pong")
HEADER = "method,game,seed,score\n"
GOOD = HEADER + "".join(
    f"{method},{game},{seed},{level + 10 * seed + place}\n"
    for method, level in (("DQN", 300), ("Rainbow", 500))
    for place, game in enumerate(GAMES)
    for seed in range(3)
)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)], env={"COLUMNS": "500"})


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file: `write(content, name="scores.csv")`."""

    def write_file(content: str | bytes, name: str = "scores.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_four_columns_make_the_page_that_a_run_has(write: Callable[..., Path], tmp_path: Path) -> None:
    done = invoke("--scores", write(GOOD), "--normalize", "human", "--baseline", "DQN")
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / "scores-report" / "report.html"))
    page = (tmp_path / "scores-report" / "report.html").read_text(encoding="utf-8")
    assert "How does Rainbow compare with DQN?" in page and "scores.csv · 2 games × 2 methods × 3 seeds" in page
    assert re.search(r"Rainbow scored \d+\u00a0% higher than DQN \(95 % interval", page)
    assert "scores.csv, SHA-256 " in page and str(tmp_path) not in page
    assert "version 0" not in page and "not known" not in page


def test_estimates_equal_those_of_a_run_with_the_same_scores(small_run: Path) -> None:
    of_run = load(small_run)
    known = of_run[(of_run["status"] == "complete") & (of_run["game"] != "Carnival")]
    study = from_frame(known[["method", "game", "seed", "score"]].sample(frac=1, random_state=1), normalize="human")
    columns = ["method", "statistic", "estimate", "low", "high", "num_runs"]
    ours, theirs = (estimate(frame, reps=200)[columns] for frame in (known, study.scores))
    pd.testing.assert_frame_equal(
        ours.sort_values(columns[:2], ignore_index=True), theirs.sort_values(columns[:2], ignore_index=True)
    )


def test_curves_are_drawn_and_a_run_without_score_is_missing_by_name(write: Callable[..., Path], tmp_path: Path) -> None:
    scores = write(GOOD.replace("Rainbow,Pong,1,511", "Rainbow,Pong,1,"))
    points = "".join(line.replace(",3", ",100,3").replace(",5", ",100,5") for line in GOOD.splitlines(keepends=True)[1:])
    curves = write("method,game,seed,env_steps,score\n" + points, "curves.csv")
    assert invoke("--scores", scores, "--curves", curves, "--normalize", "human", "--out", tmp_path / "out").exit_code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Missing: 1 of 12 runs: Rainbow on Pong, seed 1 (missing)" in page
    assert "Raw return while learning" in page
    curve = pd.read_parquet(tmp_path / "out" / "rows" / "curves.parquet")
    assert set(curve["env_steps"]) == {100} and len(curve) == 12


def test_seeds_of_one_method_need_not_be_those_of_another(write: Callable[..., Path]) -> None:
    text = re.sub(r"(Rainbow,\w+,)(\d)", r"\g<1>1\2", GOOD)
    study = read_scores(write(text), None, None, "human")
    assert len(study.missing) == 0 and len(study.complete) == 12
    assert len(study.record.seeds) == 3


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()], ids=["bom", "crlf"])
def test_what_spreadsheets_leave_is_read(write: Callable[..., Path], content: bytes) -> None:
    plain = read_scores(write(GOOD, "plain.csv"), None, None, "human").scores
    of_spreadsheet = read_scores(write(content), None, None, "human").scores
    pd.testing.assert_frame_equal(of_spreadsheet.drop(columns="suite"), plain.drop(columns="suite"))


def test_rliables_json_gives_rliables_numbers(write: Callable[..., Path], tmp_path: Path) -> None:
    from rliable import metrics

    matrix = generator(0, "rliable json").random((4, 5))
    path = write(json.dumps({"A": matrix.tolist(), "B": (matrix + 0.1).tolist()}), "scores.json")
    assert invoke("--scores", path, "--normalize", "none", "--baseline", "A").exit_code == 0
    out = tmp_path / "scores-report"
    with (out / "tables" / "aggregates.csv").open(newline="") as file:
        rows = {(row["method"], row["statistic"]): float(row["estimate"]) for row in csv.DictReader(file)}
    assert rows["A", "iqm"] == pytest.approx(metrics.aggregate_iqm(matrix))
    assert rows["B", "median"] == pytest.approx(metrics.aggregate_median(matrix + 0.1))
    assert "Scores are taken as they were given" in (out / "report.html").read_text(encoding="utf-8")


def test_json_with_names_of_games_can_be_normalized(write: Callable[..., Path]) -> None:
    path = write(json.dumps({"A": {"Alien": [100, 200], "Pong": [1, None]}}), "scores.json")
    rows = read_scores(path, None, None, "human").scores
    assert list(zip(rows["game"], rows["seed"], rows["score"].fillna(-1), rows["status"], strict=True)) == [
        ("Alien", 0, 100.0, "complete"),
        ("Alien", 1, 200.0, "complete"),
        ("Pong", 0, 1.0, "complete"),
        ("Pong", 1, -1.0, "missing"),
    ]


def test_normalized_is_zero_at_random_and_one_at_the_reference(write: Callable[..., Path]) -> None:
    alien = reference_scores()["Alien"]
    frame = pd.DataFrame({"game": "Alien", "score": [alien.random, alien.reference, (alien.random + alien.reference) / 2]})
    assert normalize(frame, "human")["normalized"].tolist() == pytest.approx([0.0, 1.0, 0.5])
    catch = pd.DataFrame({"game": ["Catch"], "score": [1.0]})
    assert normalize(catch, "max")["normalized"].tolist() == [1.0]
    own = write("game,random,reference,note\nMine,10,20,x\nOther,3,,no reference\n", "games.csv")
    mine = pd.DataFrame({"game": ["Mine", "Other"], "score": [25.0, 7.0]})
    assert np.isnan(normalize(mine, str(own))["normalized"].iloc[1])
    assert normalize(mine, str(own))["normalized"].iloc[0] == 1.5
    assert normalize(mine, "none")["normalized"].tolist() == [25.0, 7.0]


def test_human_and_max_know_the_games_of_their_kind_alone() -> None:
    for scale, game in (("human", "Catch"), ("max", "Alien")):
        with pytest.raises(InputError, match=f"{game!r}.* has no reference score"):
            normalize(pd.DataFrame({"game": [game], "score": [1.0]}), scale)


@pytest.mark.parametrize(("scale", "game", "reaches_beyond"), [("max", "Catch", False), ("human", "Pong", True)])
def test_intervals_reach_beyond_one_where_scores_can(scale: str, game: str, reaches_beyond: bool) -> None:
    high = reference_scores()[game].reference
    frame = pd.DataFrame({"method": "A", "game": game, "seed": range(3), "score": [high, 0.9 * high, 0.8 * high]})
    assert (analyse(from_frame(frame, normalize=scale)).estimates["high"].max() > 1) == reaches_beyond


def test_a_game_with_an_empty_reference_is_left_out_of_normalized_scores_by_name(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    own = write("game,random,reference\nAlien,0,100\nPong,-21,\n", "games.csv")
    assert invoke("--scores", write(GOOD), "--normalize", own).exit_code == 0
    page = (tmp_path / "scores-report" / "report.html").read_text(encoding="utf-8")
    assert "Left out here, for want of such a reference: Pong" in page
    assert "0 and 1 are the columns random and reference of games.csv" in page


def test_a_frame_makes_a_study_a_comparison_and_a_page(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        [(method, game, seed, level + seed) for method, level in (("A", 9.0), ("B", 19.0)) for game in "xy" for seed in range(3)],
        columns=["method", "game", "seed", "score"],
    )
    frame.loc[0, "score"] = np.nan
    study = from_frame(frame, baseline="A")
    ratio = compare(study.scores, baseline="A").set_index("statistic").loc["mean_ratio", "estimate"]
    assert ratio == pytest.approx((20 / 10.5 + 20 / 10) / 2)
    assert write_report(study, tmp_path).is_file()


def test_the_random_agent_answers_no_question() -> None:
    frame = pd.DataFrame({"method": ["Random", "DQN"], "game": "x", "seed": 0, "score": [0.1, 1.0]})
    assert from_frame(frame).learners == ["DQN"]


Spoil = Callable[[Callable[..., Path]], tuple[object, ...]]


def csv_file(content: str | bytes, *options: str) -> Spoil:
    return lambda write: ("--scores", write(content), "--normalize", "human", *options)


def json_file(content: object, *options: str) -> Spoil:
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda write: ("--scores", write(text, "scores.json"), "--normalize", "none", *options)


def games_file(content: str) -> Spoil:
    return lambda write: ("--scores", write(GOOD), "--normalize", write(content, "games.csv"))


def curves_file(content: str) -> Spoil:
    return lambda write: ("--scores", write(GOOD), "--normalize", "human", "--curves", write(content, "curves.csv"))


ROW = "DQN,Alien,0,1\n"
VALID_JSON = "valid are {method: [[runs × games]]} and {method: {game: [runs]}}"
MISTAKES: dict[str, tuple[Spoil, str]] = {
    "no such file": (lambda write: ("--scores", "absent.csv", "--normalize", "none"), "absent.csv: No such file or directory"),
    "a directory": (
        lambda write: ("--scores", write("").parent, "--normalize", "none"),
        "is a directory; name a CSV or JSON file in it (a run of xtra-bench is reported without --scores)",
    ),
    "a pipe": (lambda write: ("--scores", "/dev/null", "--normalize", "none"), "/dev/null: is no regular file; save the table"),
    "an empty file": (csv_file(" \n"), "scores.csv: is empty"),
    "a header alone": (csv_file(HEADER), "scores.csv: has a header but no row below it; give one line for each method, game, "),
    "a missing column": (
        csv_file("method,game,score\nDQN,Alien,1\n"),
        "scores.csv, line 1: there is no column 'seed'; needed are method, game, seed, score, and there are method, game, score",
    ),
    "another name of a column": (
        csv_file("algo,game,seed,score\n" + ROW), "there is no column 'method' (is it 'algo'? Rename it); needed are method, "
    ),
    "a capital": (csv_file("Method,game,seed,score\n" + ROW), "there is no column 'method' (is it 'Method'? Rename it)"),
    "a typing error": (csv_file("method,game,seed,scroe\n" + ROW), "there is no column 'score' (is it 'scroe'? Rename it)"),
    "a column twice": (csv_file("method,game,seed,score,seed\nDQN,Alien,0,1,2\n"), "line 1: column 'seed' stands there twice"),
    "no header": (csv_file(ROW), "line 1: there is no column 'method'; needed are method, game, seed, score, and there are"),
    "semicolons": (csv_file(GOOD.replace(",", ";")), "line 1: columns are separated by semicolons; separate them by commas"),
    "tabs": (csv_file(GOOD.replace(",", "\t")), "line 1: columns are separated by tabs; separate them by commas"),
    "text in score": (csv_file(GOOD + "DQN,Alien,7,high\n"), "scores.csv, line 14, column score: 'high' is no number; write it "),
    "a decimal comma": (csv_file(HEADER + 'DQN,Alien,0,"1,5"\n'), "column score: '1,5' is no number; write it with a decimal p"),
    "nan": (csv_file(HEADER + "DQN,Alien,0,nan\n"), "line 2, column score: 'nan' is not finite; give a number, or leave it empt"),
    "infinity": (csv_file(HEADER + "DQN,Alien,0,-inf\n"), "line 2, column score: '-inf' is not finite"),
    "a huge score": (csv_file(HEADER + "DQN,Alien,0,1e300\n"), "column score: '1e300' is too large to be averaged; valid are n"),
    "a seed that is none": (csv_file(HEADER + "DQN,Alien,1.5,1\n"), "column seed: '1.5' is no whole number from 0 on"),
    "a negative seed": (csv_file(HEADER + "DQN,Alien,-1,1\n"), "column seed: '-1' is no whole number from 0 on"),
    "no method": (csv_file(HEADER + ",Alien,0,1\n"), "line 2, column method: is empty; give a name"),
    "a row twice": (
        csv_file(GOOD + ROW),
        "scores.csv, line 14: method DQN, game Alien, seed 0 stands already in ",
    ),
    "a comma in a name": (csv_file(HEADER + "DQN, ours,Alien,0,1\n"), "line 2: has 5 columns, the first line has 4; put a text"),
    "a line cut short": (
        csv_file(GOOD + "DQN"),
        "has 1 column, the first line has 4; the line is cut short; is the file truncated?",
    ),
    "an open quote": (csv_file(HEADER + '"DQN,Alien,0,1\n'), "is not CSV: "),
    "a spreadsheet": (csv_file(b"PK\x03\x04\x00\x00\xff"), "scores.csv: is no UTF-8 text; save it as CSV with UTF-8 encoding"),
    "zero bytes": (csv_file(bytes(40)), "scores.csv: is no text (it holds zero bytes); save it as CSV with UTF-8 encoding"),
    "a game of another spelling": (
        csv_file(HEADER + ROW + "DQN,ALE/Pong-v5,0,1\n"),
        "scores.csv, line 3, column game: 'ALE/Pong-v5' (did you mean 'Pong'?) has no reference score (0 is a random agent, 1 a "
        "human); rename the game, or normalize by a CSV file with columns game, random, reference",
    ),
    "games without reference": (
        csv_file(HEADER + "".join(f"DQN,level {level},0,1\n" for level in range(6))),
        "line 2, column game: 'level 0', 'level 1', 'level 2', 'level 3' and 2 more have no reference score",
    ),
    "no such baseline": (
        csv_file(GOOD, "--baseline", "RAINBOW"),
        "baseline 'RAINBOW' is no method of scores.csv (did you mean 'Rainbow'?); valid are DQN, Rainbow",
    ),
    "no scale": (lambda write: ("--scores", write(GOOD)), "--scores needs --normalize human|max|none|FILE. What normalized"),
    "another scale": (
        lambda write: ("--scores", write(GOOD), "--normalize", "humna"),
        "normalize 'humna': is none of human, max, none, and no file; did you mean 'human'?",
    ),
    "a scale of no file": (
        lambda write: ("--scores", write(GOOD), "--normalize", "games.csv"),
        "is none of human, max, none, and no file; a file is a CSV file with columns game, random, reference",
    ),
    "a scale of one score": (games_file("game,random,reference\nAlien,5,5\n"), "games.csv, line 2, column reference: equals ran"),
    "a scale with a game twice": (games_file("game,random,reference\nPong,0,1\nPong,0,2\n"), "line 3, column game: 'Pong' st"),
    "a scale without random": (games_file("game,human\nPong,3\n"), "games.csv, line 1: there is no column 'random'; needed are"),
    "curves without env steps": (
        curves_file("method,game,seed,step,score\nDQN,Alien,0,1,1\n"), "there is no column 'env_steps' (is it 'step'? Rename it)"
    ),
    "curves of other runs": (
        curves_file("method,game,seed,env_steps,score\nDQN,Alien,8,1,1\n"),
        "curves.csv, line 2: DQN on Alien, seed 8, is no run of the scores; give it a line there",
    ),
    "an empty point": (
        curves_file("method,game,seed,env_steps,score\nDQN,Alien,0,1,\n"), "curves.csv, line 2, column score: is empty"
    ),
    "broken JSON": (json_file('{"A": [[1,'), "scores.json: is no JSON: "),
    "JSON of a list": (json_file([[1, 2]]), f"scores.json: holds no object; {VALID_JSON}"),
    "JSON of one number": (json_file({"A": 3}), f"scores.json, method 'A': 3 is no list; {VALID_JSON}"),
    "JSON without runs": (json_file({"A": [1.0, 2.0]}), f"scores.json, method 'A', run 0: 1.0 is no list; {VALID_JSON}"),
    "runs of other lengths": (
        json_file({"A": [[1, 2]], "B": [[1, 2], [1]]}), "run 0 of 'A' has 2 games, run 1 of 'B' has 1; every run has one score"
    ),
    "text in JSON": (
        json_file({"A": [[1, "x"]]}), "scores.json, method 'A', game 2, run 0, column score: 'x' is no number; write it with"
    ),
    "a method twice": (json_file('{"A": [[1]], "A": [[2]]}'), "scores.json: key 'A' stands there twice; keep one of them"),
    "an empty matrix": (json_file({"A": []}), "scores.json: holds no score"),
    "games without names": (
        lambda write: ("--scores", write('{"A": [[1]]}', "scores.json"), "--normalize", "human"),
        "scores.json: its games have no names, so nothing is known to normalize by; write {method: {game: [runs]}}, or normalize",
    ),
    "neither runs nor scores": (lambda write: (), "name runs, such as results/runs/quick-<time>-<id>, or --scores FILE"),
    "runs and scores": (
        lambda write: ("results/runs/x", "--scores", write(GOOD), "--normalize", "human"), "x: name runs or --scores, not both"
    ),
    "a baseline of a run": (lambda write: ("x", "--baseline", "DQN"), "--baseline requires --scores FILE"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_one_sentence(mistake: str, write: Callable[..., Path], tmp_path: Path) -> None:
    spoil, message = MISTAKES[mistake]
    done = invoke(*spoil(write))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(tmp_path.glob("*-report"))


def test_a_frame_is_refused_with_its_row_and_column() -> None:
    frame = pd.DataFrame({"method": "A", "game": "x", "seed": [0, 1], "score": ["1", "high"]})
    with pytest.raises(InputError, match=r"the frame of scores, row 1, column score: 'high' is no number"):
        from_frame(frame)
    with pytest.raises(InputError, match="there is no row of scores"):
        from_frame(frame.iloc[:0])
    with pytest.raises(InputError, match=r"column game: 'x' has no reference score"):
        normalize(frame, "human")


def test_the_json_of_the_documentation_is_read_as_it_says(write: Callable[..., Path]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text(encoding="utf-8")
    examples = re.findall(r'`(\{"DQN": .*\})`', text)
    matrix, by_game = (read_scores(write(example, "scores.json"), None, None, "none").scores for example in examples)
    assert list(zip(matrix["game"], matrix["seed"], matrix["score"], strict=True)) == [
        ("game 1", 0, 0.1),
        ("game 1", 1, 0.2),
        ("game 2", 0, 0.7),
        ("game 2", 1, 0.5),
    ]
    assert set(by_game["game"]) == {"Alien", "Pong"}
