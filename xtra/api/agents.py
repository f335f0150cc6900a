"""Agents named by a path and a name: of a job, of a cell of a run, or of an exported network's file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from xtra.execute.suite_run import recorded_cells
from xtra.networks.network_file import NetworkFileError, read_network_file
from xtra.plugins import PluginError, load_kept
from xtra.protocol.families import FAMILIES, UnknownGame
from xtra.protocol.games import GAMES, find_game, is_game
from xtra.results.run_record import PLAN_FILE
from xtra.stages.config import EvaluateConfig
from xtra.store.files import UnreadableError
from xtra.store.rows import Cell
from xtra.store.store import State, Store
from xtra.suite.diagnostics.errors import suggest

if TYPE_CHECKING:
    from xtra.store.job import Job

SUFFIX = ".safetensors"
"""Suffix of an exported network's file."""


class LoadError(ValueError):
    """Raised for a path or a name that leads to no agent; the message says why, and what does."""


@dataclass(frozen=True)
class AgentSource:
    """An agent, its game and how it is evaluated. network: a job's output directory or an exported file; None for an agent that
    has no network."""

    config: EvaluateConfig
    network: Path | None


def find_agent(
    path: Path, which: str | None = None, game: str | None = None, unreadable: list[UnreadableError] | None = None
) -> AgentSource:
    """Finds the agent that is meant; see `xtra.load` for what `path`, `which` and `game` may be.

    unreadable: collects directories of the store that cannot be listed; if it is None, they raise UnreadableError. Raises
    LoadError, DamagedError for a network that is not what its manifest says.
    """
    if path.suffix == SUFFIX:
        if which is not None:
            raise LoadError(f"{path} holds one network, so {which!r} chooses nothing; name the game that it is to play as `game`")
        return _of_file(path, game)
    directory = job_directory(path)
    if directory is not None:
        if which is not None:
            raise LoadError(f"{path} is one job, so {which!r} chooses nothing; name the directory of the results to choose")
        store, key = Store(directory.resolve().parents[1]), directory.resolve().name
    elif which is None:
        raise LoadError(f"{path} is neither a job's directory nor a {SUFFIX} file; of a directory of results, name a cell or key")
    else:
        results, run = (path.parents[1], path) if (path / PLAN_FILE).is_file() else (path, None)
        store = Store(results / "store")
        key = _known_key(store, which, unreadable) or _cell_key(store, which, results, run)
    return _of_job(store, store.job(key), game)


def job_directory(path: Path) -> Path | None:
    """Returns the directory of the job that `path` lies in, or is; None if there is none."""
    return next((place for place in (path, *path.parents) if (place / "job.json").is_file()), None) if path.exists() else None


def _of_file(path: Path, game: str | None) -> AgentSource:
    try:
        header = read_network_file(path).header
    except NetworkFileError as error:
        raise LoadError(str(error)) from None
    fields = {**header.settings, "environment": header.environment, "agent": header.agent}
    return AgentSource(_evaluation(fields, game, header.games, str(path)), path)


def _of_job(store: Store, job: Job, game: str | None) -> AgentSource:
    key = job.key
    try:
        load_kept(store.root, job.plugins, only_trusted=True)
    except PluginError as error:
        raise LoadError("; ".join(filter(None, [f"{key}: {error}", error.remedy]))) from None
    if job.stage == "evaluate":
        networks = job.inputs.get("network", ())
        network = _finished(store, networks[0]) if networks else None
    elif job.stage in ("train", "teacher", "pretrain"):
        network = _finished(store, key)
    else:
        raise LoadError(f"{key}: a {job.stage} job trains no agent; take a train, teacher, pretrain or evaluate job")
    return AgentSource(_evaluation(job.config, game, job.config.get("games", ()), key), network)


def _evaluation(fields: Mapping[str, Any], game: str | None, games: Sequence[str], source: str) -> EvaluateConfig:
    """Returns how an agent with these settings is evaluated on `game`: by default on the one that it learned."""
    own: str = fields["environment"]["game"]
    chosen = game or own
    if not chosen:
        raise LoadError(f"{source} learned several games, {', '.join(games)}: say which one it is to play")
    _check_game(chosen, own, fields["agent"], source)
    threads = fields.get("num_threads", fields.get("training", {}).get("num_threads", 1))
    record = {
        "environment": {**fields["environment"], "game": chosen},
        "agent": fields["agent"],
        "seed": fields.get("seed", 0),
        "evaluation": fields.get("evaluation", {"num_threads": threads}) | _longest_episode(chosen, [own] if own else games),
    }
    try:
        return EvaluateConfig.model_validate_json(json.dumps(record))
    except ValidationError as error:
        first = error.errors()[0]
        place, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise LoadError(f"{source} cannot play {chosen}: {message}{f' ({place})' if place else ''}") from None


def _check_game(game: str, own: str, agent: Mapping[str, Any], source: str) -> None:
    try:
        action_ids = find_game(game).action_ids
    except UnknownGame as error:
        raise LoadError(f"{error}; {error.remedy or suggest(game, GAMES, 'games')}") from None
    if game != own and own and agent.get("network", {}).get("action_space") == "game" and action_ids != find_game(own).action_ids:
        raise LoadError(
            f"{source} knows the {len(find_game(own).action_ids)} actions of {own} alone (agent.network.action_space: game), "
            f"and {game} has {len(action_ids)} of its own; networks of action_space ale18 play every game"
        )


def _longest_episode(game: str, learned: Sequence[str]) -> dict[str, int]:
    """Returns the setting that limits an episode where `game` is of another family than what the agent learned: that of its
    family's first protocol. Nothing for a game of the same family, which keeps the limit that the agent was evaluated with."""
    family = find_game(game).family
    if family in {find_game(name).family for name in learned if is_game(name)}:
        return {}
    limit = FAMILIES[family].protocols[0].settings.get("evaluation.max_episode_env_steps")
    return {} if limit is None else {"max_episode_env_steps": limit}


def _known_key(store: Store, name: str, unreadable: list[UnreadableError] | None) -> str | None:
    """Finds the one job whose key begins so; None when there is none."""
    matching = [key for key in store.keys(unreadable) if key.startswith(name)]
    if len(matching) > 1:
        raise LoadError(f"{name!r} is the beginning of {len(matching)} jobs, {matching[0]} and {matching[1]} among them")
    return matching[0] if matching else None


def _cell_key(store: Store, name: str, results: Path, run: Path | None) -> str:
    """Finds the evaluation of the cell of that name; of several, in runs of different suites, the one whose network is there.

    run: the directory of the one run whose cells count; None for every run of the results.
    """
    cells = list(recorded_cells(results, run.name if run else "*"))
    named = {cell.evaluate_key: cell for cell in cells if cell.name == name}
    if not cells:
        raise LoadError(f"{name!r} is no job, and there is no run in {run or results}; `xtra-bench run quick` makes one")
    if not named:
        names, place = sorted({cell.name for cell in cells}), run or f"a run in {results}"
        raise LoadError(f"{name!r} is neither a job nor a cell of {place}; {suggest(name, names, 'cells')}")
    playable = {key: cell for key, cell in named.items() if _is_playable(store, cell)}
    if len(playable) > 1:
        choices = ", ".join(f"{key} (suite {cell.suite} version {cell.suite_version})" for key, cell in sorted(playable.items()))
        raise LoadError(f"{name!r} is {len(playable)} different cells in {results}; name the evaluate job of one: {choices}")
    return next(iter(playable or named))


def _is_playable(store: Store, cell: Cell) -> bool:
    return cell.train_key is None or _is_complete(store, cell.train_key)


def _finished(store: Store, key: str) -> Path:
    if not _is_complete(store, key):
        raise LoadError(f"{key} is not finished; `xtra-bench status` tells where it stands")
    store.verify(key, directories=False)  # a replay may have gigabytes, and is not read
    return store.out(key)


def _is_complete(store: Store, key: str) -> bool:
    return store.state(key, time.time()) is State.COMPLETE
