"""`xtra-bench play`: a video of what a trained agent does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted, make_directory_of, readable_keys, refusal
from xtra.cli.options import ResultsOption

if TYPE_CHECKING:
    from xtra.stages.config import EvaluateConfig
    from xtra.store.job import Job
    from xtra.store.store import Store


def play(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR|KEY|METHOD/GAME/SEED",
            help="A finished train or evaluate job, by its directory (or the `out` in it), its key or the key's beginning; or a "
            "cell of a suite that was run.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="The video: an animated GIF, or for a short one, with the suffix .png, an animated PNG.",
        ),
    ] = Path("episode.gif"),
    seed: Annotated[int | None, typer.Option(min=0, help="Another start of the game than the first of the evaluation's.")] = None,
    max_env_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many decisions.")] = None,
    fps: Annotated[float, typer.Option(min=1.0, max=50.0, help="Decisions shown per second.")] = 15.0,
    results: ResultsOption = Path("results"),
) -> None:
    """Play one greedy episode and write it as an animated GIF or PNG, with the search's value and visits beside it."""
    from xtra.agents.device import prepare_torch
    from xtra.agents.factory import load_weights, make_player
    from xtra.agents.video import FORMATS, scenes, write_video
    from xtra.rng import derive_seed

    if out.suffix not in FORMATS:
        raise refusal(f"--out {out}: the name of a video ends in {' or '.join(FORMATS)}")
    network, config = _source(source, results)
    make_directory_of(out)  # Before the episode is played, which may take minutes.
    device = prepare_torch(config.evaluation.num_threads)
    weights = None if network is None else load_weights(network, device)
    player = make_player(config.agent, config.environment, weights, seed=config.seed, num_threads=config.evaluation.num_threads)
    played = scenes(
        player,
        config.environment,
        seed=derive_seed(config.seed, "evaluation") if seed is None else seed,
        max_episode_env_steps=max_env_steps or config.evaluation.max_episode_env_steps,
    )
    try:
        shown = write_video(out, played, config.environment.game, fps)
    except OSError as error:
        raise refusal(f"--out {out}: {error.strerror or error}") from None
    typer.echo(f"{out}: {counted(shown, 'env step')} of {config.environment.game}")


def _source(source: str, results: Path) -> tuple[Path | None, EvaluateConfig]:
    """Where the network lies, and how it is to be evaluated."""
    from xtra.store.store import Store

    directory = next((path for path in (Path(source), *Path(source).parents) if (path / "job.json").is_file()), None)
    if Path(source).exists() and directory is not None:
        store, key = Store(directory.resolve().parents[1]), directory.resolve().name
    else:
        store = Store(results / "store")
        key = _known_key(store, source) or _cell_key(store, source, results)
    job = store.job(key)
    if job.stage == "evaluate":
        networks = job.inputs.get("network", ())
        return (_finished(store, networks[0]) if networks else None), _evaluation(job)
    if job.stage == "train":
        return _finished(store, key), _evaluation(job)
    raise refusal(f"{source}: a {job.stage} job trains no agent for one game; take a train or an evaluate job")


def _known_key(store: Store, source: str) -> str | None:
    """The one job whose key begins so; None when there is none."""
    known = readable_keys(store)
    matching = [key for key in known if key.startswith(source)]
    if len(matching) > 1:
        raise refusal(f"{source!r} is the beginning of {len(matching)} jobs, {matching[0]} and {matching[1]} among them")
    return matching[0] if matching else None


def _cell_key(store: Store, name: str, results: Path) -> str:
    """The evaluation of the cell of that name; of several, in runs of different suites, the one whose network is there."""
    from xtra.execute.suite_run import recorded_cells
    from xtra.suite.diagnostics.errors import suggest

    cells = list(recorded_cells(results))
    named = {cell.evaluate_key: cell for cell in cells if cell.name == name}
    if not named:
        names = sorted({cell.name for cell in cells})
        raise refusal(f"{name!r} is neither a job nor a cell of a run in {results}; {suggest(name, names, 'cells')}")
    playable = {key: cell for key, cell in named.items() if cell.train_key is None or _complete(store, cell.train_key)}
    if len(playable) > 1:
        choices = ", ".join(f"{key} (suite {cell.suite} version {cell.suite_version})" for key, cell in sorted(playable.items()))
        raise refusal(f"{name!r} is {len(playable)} different cells in {results}; name the evaluate job of one: {choices}")
    return next(iter(playable or named))


def _finished(store: Store, key: str) -> Path:
    if not _complete(store, key):
        raise refusal(f"{key} is not finished; `xtra-bench status` tells where it stands")
    return store.out(key)


def _complete(store: Store, key: str) -> bool:
    import time

    from xtra.store.store import State

    return store.state(key, time.time()) is State.COMPLETE


def _evaluation(job: Job) -> EvaluateConfig:
    """An evaluate job's configuration; for a train job the one that its environment, agent and seed make."""
    from xtra.stages.config import EvaluateConfig

    fields = {name: job.config[name] for name in ("environment", "agent", "seed")}
    evaluation = job.config.get("evaluation", {"num_threads": job.config.get("training", {}).get("num_threads", 1)})
    return EvaluateConfig.model_validate_json(json.dumps(fields | {"evaluation": evaluation}))
