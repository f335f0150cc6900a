"""Normalized scores: the raw scores that 0 and 1 stand for in each game, from the tables of `xtra.protocol.scores`, a file, or
not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xtra.protocol.scores import reference_scores
from xtra_analysis.matrices import InputError, require_columns
from xtra_analysis.tables_of_others import NAME, NUMBER, OPTIONAL_NUMBER, read_csv_rows
from xtra_analysis.text import listed, nearest

HUMAN = "0 is a random agent, 1 a human"
MAXIMUM = "0 is a random agent, 1 the game's maximum"
AS_GIVEN = "taken as they were given"
NAMED_SCALES = ("human", "max", "none")
MOST_GAMES = 4
"""Most games that an error names."""


@dataclass(frozen=True)
class Scale:
    """The meaning of normalized scores.

    meaning: in words. endpoints: for each game the raw scores that become 0 and 1; None if scores are taken as given.
    unknown_games: games that are left out of normalized scores, because nobody knows their endpoints. bounded: whether no score
    can be above 1.
    """

    meaning: str
    endpoints: Mapping[str, tuple[float, float]] | None
    unknown_games: frozenset[str] = frozenset()
    bounded: bool = False

    def normalize(self, games: pd.Series, scores: pd.Series) -> pd.Series:
        """Normalizes scores; NaN in a game that has no endpoints."""
        if self.endpoints is None:
            return scores.astype("float64")
        low, high = (games.map({game: pair[place] for game, pair in self.endpoints.items()}) for place in (0, 1))
        return ((scores - low) / (high - low)).astype("float64")

    def complaint(self, games: list[str]) -> str | None:
        """Tells which of these games it does not know, and what to do about them; None if it knows all."""
        if self.endpoints is None:
            return None
        unknown = [game for game in games if game not in self.endpoints and game not in self.unknown_games]
        if not unknown:
            return None
        shown = [f"{game!r}{self._suggestion(game)}" for game in unknown[:MOST_GAMES]]
        if len(unknown) > MOST_GAMES:
            shown.append(f"{len(unknown) - MOST_GAMES} more")
        verb = "has" if len(unknown) == 1 else "have"
        return (
            f"{listed(shown)} {verb} no reference score ({self.meaning}); rename the game, or normalize by a CSV file "
            "with columns game, random, reference (an empty reference leaves a game out of normalized scores), or by none"
        )

    def _suggestion(self, game: str) -> str:
        """Returns the known game that is spelled most like it, such as Pong for ALE/Pong-v5."""
        core = game.rpartition("/")[2].partition("-v")[0].removesuffix("NoFrameskip")
        known = nearest(core, self.endpoints or ())
        return f" (did you mean {known!r}?)" if known else ""


def run_scale(normalization: str) -> Scale:
    """Returns the scale of a run: every reference score that is known, of whichever kind."""
    endpoints = {game: (one.random, one.reference) for game, one in reference_scores().items()}
    return Scale(MAXIMUM if normalization == "maximum" else HUMAN, endpoints, bounded=normalization == "maximum")


def named_scale(name: str) -> Scale:
    """Returns the scale called `human`, `max` or `none`, or that of a CSV file with columns game, random, reference. Raises
    InputError that says what is valid."""
    if name == "none":
        return Scale(AS_GIVEN, None)
    if name in ("human", "max"):
        kind = "human" if name == "human" else "maximum"
        endpoints = {game: (one.random, one.reference) for game, one in reference_scores().items() if one.reference_kind == kind}
        return Scale(HUMAN if name == "human" else MAXIMUM, endpoints, bounded=name == "max")
    if not Path(name).exists():
        near = nearest(name, NAMED_SCALES)
        hint = f"did you mean {near!r}?" if near else "a file is a CSV file with columns game, random, reference"
        raise InputError(f"normalize {name!r}: is none of {', '.join(NAMED_SCALES)}, and no file; {hint}")
    return _read_scale(Path(name))


def normalize(frame: pd.DataFrame, scale: str | Scale) -> pd.DataFrame:
    """Adds a column `normalized` to the frame. `scale` is human, max, none or the path of a CSV file: game, random, reference.

    Raises InputError for a game without a reference score, with what to do.
    """
    require_columns(frame, "game", "score")
    chosen = named_scale(scale) if isinstance(scale, str) else scale
    if complaint := chosen.complaint(list(dict.fromkeys(frame["game"]))):
        raise InputError(f"column game: {complaint}")
    return frame.assign(normalized=chosen.normalize(frame["game"], frame["score"]))


def _read_scale(path: Path) -> Scale:
    fields = {"game": NAME, "random": NUMBER, "reference": OPTIONAL_NUMBER}
    places: dict[str, str] = {}
    endpoints: dict[str, tuple[float, float]] = {}
    for place, row in read_csv_rows(path, fields):
        game = row["game"]
        if game in places:
            raise InputError(f"{place}, column game: {game!r} stands already in {places[game]}; give each game one line")
        places[game] = place
        if row["reference"] is None:
            continue
        if row["random"] == row["reference"]:
            raise InputError(f"{place}, column reference: equals random ({row['random']:g}), so 0 and 1 would be the same score")
        endpoints[game] = (row["random"], row["reference"])
    meaning = f"0 and 1 are the columns random and reference of {path.name}"
    return Scale(meaning, endpoints, frozenset(places) - frozenset(endpoints))
