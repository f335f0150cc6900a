"""The suite file as a person writes it, field by field. Names are checked against what exists in `xtra.suite.check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from xtra.agents.registry import AGENTS
from xtra.config import Config
from xtra.protocol.families import PROTOCOLS
from xtra.protocol.games import GAMES
from xtra.stages.registry import STAGES
from xtra.store.rows import LARGEST_INTEGER
from xtra.suite.presets import PRESETS, SIZES
from xtra.suite.resources import ResourcesSpec


def _one_of(names: Iterable[str]) -> Callable[[dict[str, Any]], None]:
    """Restricts a field's values in the JSON Schema alone, so that editors complete names; the loader's check suggests the
    nearest one."""
    return lambda schema: schema.update(enum=sorted(names))


def _games(*others: str) -> Callable[[dict[str, Any]], None]:
    """Restricts a field to names of games, in the same way."""
    return lambda schema: schema.update(anyOf=[{"enum": sorted([*GAMES, *others])}, FLAVOUR, MADE_GAME])


SUITE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Suites name directories and files."""

MAX_SEED = 2**31 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
FLAVOUR = {"pattern": "^[A-Za-z0-9]+@[a-z]+=[0-9]+(,[a-z]+=[0-9]+)*$"}
"""Flavours of games are too many to list."""
MADE_GAME = {"pattern": "^[a-z_0-9]+:.+$"}
"""Games of families that do not list them."""
GameName = Annotated[str, Field(json_schema_extra=_games())]
OTHER_TARGETS = "other_targets"
"""Stands in place of source games: for each target, all other targets (leave one out)."""
SourceName = Annotated[str, Field(json_schema_extra=_games(OTHER_TARGETS))]
Settings = Annotated[
    dict[str, JsonValue],
    Field(max_length=200, examples=[{"agent.search.num_simulations": 16, "agent.optimizer.batch_size": 64}]),
]


class MethodSpec(Config):
    """One method: an agent and the settings that make it differ from the suite's."""

    name: str = Field(min_length=1, max_length=60, examples=["EfficientZero"])
    """The label in tables and figures. It names nothing on disk: two methods with equal settings share their jobs."""
    description: str = Field("", examples=["EfficientZero without its consistency loss."])
    """One sentence for the report."""
    agent: str | None = Field(None, json_schema_extra=_one_of(AGENTS), examples=["efficientzero"])
    """The agent; inherited from `base`, else efficientzero."""
    base: str | None = Field(None, examples=["EfficientZero"])
    """Another method of this suite whose agent, preset, sources, source method, targets and `set` this one starts from."""
    preset: str | None = Field(None, json_schema_extra=_one_of(PRESETS), examples=["small"])
    """A preset of its own, in place of the suite's."""
    sources: tuple[SourceName, ...] | None = Field(None, min_length=1, examples=[["Carnival", "Phoenix"]])
    """Source games of its own, in place of the suite's; inherited from `base`."""
    targets: Literal["all", "other_than_sources"] | None = None
    """On which of the suite's targets it is run: all of them, or those that are not among its own source games, so that one list
    of games can be sources and targets of one another; inherited from `base`, else all."""
    source_method: str | None = Field(None, examples=["EfficientZero"])
    """The method whose runs make its offline data and shape its teachers, in place of the suite's; inherited from `base`."""
    group: str | None = Field(None, min_length=1, max_length=60, examples=["XTRA, random sources"])
    """Methods of one group are draws of one thing, such as random source games; the report tells how far their scores differ."""
    set: Settings = Field(default_factory=dict)
    """Settings of this method by dotted path; they win over the suite's `set` and over the base's."""
    grid: dict[str, Annotated[list[JsonValue], Field(min_length=1)]] = Field(
        default_factory=dict, max_length=10, examples=[{"agent.search.num_simulations": [8, 16]}]
    )
    """Lists of values by dotted path: each combination is a method of its own, called `name, setting=value`, in place of this."""


class SuiteFile(Config):
    """A suite as it is written: one question, and the methods, games and seeds that answer it."""

    suite: str = Field(min_length=1, max_length=60, pattern=SUITE_NAME, examples=["quick"])
    """Its name, as it stands in the name of each run's directory."""
    version: int = Field(ge=1, le=LARGEST_INTEGER, examples=[1])
    """Incremented whenever its results change meaning."""
    question: str = Field(min_length=1, examples=["Does pretraining on similar games help?"])
    """What it answers, in one sentence; the report opens with it."""
    protocol: str = Field(json_schema_extra=_one_of(PROTOCOLS), examples=["atari100k"])
    """What is measured: budget, evaluation and environment rules; one of xtra.protocol."""
    preset: str = Field(json_schema_extra=_one_of(PRESETS), examples=["small"])
    """The size of the networks and of the learning: a named block of settings."""
    size: str = Field("full", json_schema_extra=_one_of(SIZES), examples=["smoke"])
    """`full`, or `smoke`: tens of updates of a small network, to see that everything runs; its rows carry another label."""
    seeds: tuple[Seed, ...] = Field(min_length=1, max_length=1_000, examples=[[0, 1, 2]])
    """One run of each method on each game per seed."""
    targets: tuple[GameName, ...] = Field(min_length=1, max_length=1_000, examples=[["Pong", "Breakout"]])
    """The games that are learned and scored."""
    sources: tuple[SourceName, ...] | None = Field(None, min_length=1, examples=[[OTHER_TARGETS]])
    """The games that methods with `transfer` learn from before, and beside, the target; `[other_targets]` leaves one out."""
    source_method: str | None = Field(None, examples=["EfficientZero"])
    """The method, from scratch, whose runs on the source games make the offline data, and whose agent the teachers are."""
    pretrain_seeds: tuple[Seed, ...] = Field((0,), min_length=1, max_length=1_000, examples=[[0]])
    """Seeds of source runs, teachers and pretrained networks; seed s uses number s modulo their count. `seeds` vary the
    finetuning."""
    methods: tuple[MethodSpec, ...] = Field(
        min_length=1, max_length=100, examples=[[{"name": "EfficientZero"}, {"name": "Random", "agent": "random"}]]
    )
    """The methods that are compared."""
    include: tuple[str, ...] = Field((), max_length=10, examples=[["baselines"]])
    """Suites in the same directory whose methods are compared too, and what those include; under this suite's protocol, preset,
    games and seeds."""
    plugins: tuple[str, ...] = Field((), max_length=20, examples=[["my_games.py"]])
    """Code of one's own that brings games, agents or ways of transfer: Python files, relative to the suite's directory, or
    installed modules. It runs after consent alone: `--trust-plugins`."""
    baseline: str | None = Field(None, examples=["EfficientZero"])
    """The method that the others are compared with."""
    score_threshold: float | None = Field(None, allow_inf_nan=False, examples=[0.8, 1000])
    """A raw score. The report then says after how many env steps each method's learning curve first reaches it."""
    equivalence_margin: float | None = Field(None, gt=0.0, allow_inf_nan=False, examples=[0.06])
    """A difference of areas under learning curves, on the normalized scale (0 = random agent, 1 = human or the game's maximum):
    the report then says which methods are better, worse or equivalent to the baseline, less than this apart."""
    set: Settings = Field(default_factory=dict)
    """Settings of every method by dotted path; those of an agent that a method does not use are passed over."""
    resources: dict[Annotated[str, Field(json_schema_extra=_one_of(STAGES))], ResourcesSpec] = Field(
        default_factory=dict, examples=[{"train": {"cpus": 1, "hours": 24}}]
    )
    """What jobs ask for, by stage and field; the preset says the rest."""
    notes: str = Field("", examples=["A small budget: it compares, it does not reproduce the published scores."])
    """What a reader of the report must know."""


class SuiteSpec(SuiteFile):
    """A suite as it will be planned: the file, and what the command line adds to it."""

    command_line: Settings = Field(default_factory=dict)
    """Settings given by `--set`, by dotted path; they win over everything in the file."""
    changed_fields: Settings = Field(default_factory=dict)
    """Fields of the file that `--set` replaced, by name."""

    def pretrain_seed(self, seed: int) -> int:
        """Returns the pretraining seed of a seed's cells: a function of the seed's value, whichever others run beside it."""
        return self.pretrain_seeds[seed % len(self.pretrain_seeds)]

    def method(self, name: str) -> MethodSpec:
        """Returns the method of that name. Raises KeyError for an unknown one."""
        return next((m for m in self.methods if m.name == name), None) or _missing(name)

    def inherited(self, method: MethodSpec, field: str) -> Any:
        """Returns a method's value of a field that it takes from its bases, and they from the suite, where it has none of its
        own."""
        values = [getattr(link, field) for link in self.chain(method)]
        return next((value for value in reversed(values) if value is not None), getattr(self, field))

    def targets_of(self, method: MethodSpec) -> tuple[str, ...]:
        """Returns the targets that a method is run on."""
        chosen = [link.targets for link in self.chain(method) if link.targets is not None]
        if not chosen or chosen[-1] == "all":
            return self.targets
        sources = self.inherited(method, "sources") or ()
        return tuple(game for game in self.targets if game not in sources)

    def chain(self, method: MethodSpec) -> tuple[MethodSpec, ...]:
        """Returns the method and its bases, the furthest base first. Only for suites whose bases exist and form no cycle."""
        chain = [method]
        while (base := chain[0].base) is not None:
            chain.insert(0, self.method(base))
        return tuple(chain)


def _missing(name: str) -> MethodSpec:
    raise KeyError(name)
