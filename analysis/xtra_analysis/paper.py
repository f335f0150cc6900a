"""The paper's experiments as this project knows them. Its tables could not be read: the game lists are recollections too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

OURS_TO_PUBLISHED = {"efficientzero": "EfficientZero (as reported in XTRA)", "xtra": "XTRA"}
"""Which published row a method of ours, by case-folded name, is set beside in the paper's layout."""

MODEL_FREE_AGENT = "curl"
MODEL_FREE_NAMESAKES = ("curl", "der")
"""Methods of that agent, by case-folded name, that are what others published; DER with shifted frames is not DrQ."""
MODEL_FREE = (
    "CURL (original paper value)",
    "CURL (rliable re-evaluation)",
    "DER (original paper value)",
    "DrQ(eps) (rliable re-evaluation)",
    "SPR (rliable re-evaluation)",
)
"""Published model-free scores that stand beside them."""


@dataclass(frozen=True)
class PaperTable:
    """A results table of the paper: its groups of target games, in order, and whether recollected scores belong to it."""

    name: str
    title: str
    groups: Mapping[str, tuple[str, ...]]
    recollected: bool

    def groups_within(self, games: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The groups of which every game is among `games`."""
        return {name: group for name, group in self.groups.items() if set(group) <= set(games)}


PAPER_TABLES = (
    PaperTable(
        "paper_table_1",
        "Similar pretraining games (layout of the paper's Table 1)",
        {
            "Shooter": ("Assault", "Carnival", "Centipede", "DemonAttack", "Phoenix"),
            "Maze": ("Alien", "Amidar", "BankHeist", "MsPacman", "WizardOfWor"),
        },
        recollected=True,
    ),
    PaperTable(
        "paper_table_2",
        "Diverse pretraining games (layout of the paper's Table 2)",
        {"Diverse": ("Assault", "BattleZone", "Hero", "Krull", "Seaquest")},
        recollected=False,
    ),
)
