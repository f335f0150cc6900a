"""Counts what reanalysis computes in a whole run of preset `efficientzero`, by drawing its samples without a network.

    python benchmarks/gpu/searches.py

Prints, per update: positions searched and bootstrap values inferred with `targets.reanalysis: each_draw` and `per_period`, and
what `per_period` makes of them on CUDA, where they are filled up to whole batches so that few shapes are captured as graphs.
The game never ends and priorities stay equal, as at the start of learning: unequal ones draw fewer positions more often, which
`per_period` gains by, and `each_draw` does not.
"""

from __future__ import annotations

import argparse

import numpy as np

from xtra.agents.efficientzero.config import EfficientZeroConfig, TargetConfig
from xtra.agents.efficientzero.reanalysis import CPU, Memos
from xtra.agents.efficientzero.targets import td_horizon
from xtra.replay.buffer import ReplayBuffer


def count(config: EfficientZeroConfig, env_steps: int, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Returns the means per update of positions searched and of values inferred, for either kind of reanalysis and for whole
    batches; `targets.batches_at_once` of them are drawn together."""
    steps, at_once = config.targets.num_unroll_steps + 1, config.targets.batches_at_once
    batch_size = at_once * config.optimizer.batch_size
    replay = ReplayBuffer(config.replay, 1, (1, 1, 1), 1, steps + config.targets.td_steps, env_steps)
    memos, rng = Memos(replay.priorities.shape, 1), np.random.default_rng(seed)
    row = (np.zeros((1, 1, 1, 1), np.uint8), np.zeros(1, np.int64), np.zeros(1, np.float32), np.zeros(1, np.bool_))
    reanalyzed = round(config.targets.reanalyze_fraction * batch_size)
    totals, updates = np.zeros(6, np.int64), 0
    for num_transitions in range(1, env_steps + 1):
        replay.append(*row, np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
        if num_transitions < config.replay.min_transitions or (num_transitions - config.replay.min_transitions) % at_once:
            continue
        period = updates // config.targets.target_update_interval
        sample = replay.sample(batch_size, rng, 1.0)
        rows, envs = sample.rows[:, None] + np.arange(steps), np.broadcast_to(sample.envs[:, None], (batch_size, steps))
        horizon = td_horizon(replay.num_rows - 1 - sample.rows, config.targets)
        searched, inferred = (rows[:reanalyzed], envs[:reanalyzed]), (rows + horizon[:, None], envs)
        alive = np.ones_like(rows, np.bool_)
        questions = memos.ask(searched, alive[:reanalyzed], inferred, alive, period, CPU)
        once = np.array([len(question.write_slots) for question in questions])
        filled = -(-once // (reanalyzed, batch_size)) * (reanalyzed, batch_size)
        totals += (searched[0].size, inferred[0].size, *once, *filled)
        updates += at_once
    means = (totals / updates).tolist()
    return {"each_draw": (means[0], means[1]), "per_period": (means[2], means[3]), "per_period in batches": (means[4], means[5])}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--env-steps", type=int, default=100_000, help="one update each, once the replay has begun (100,000)")
    parser.add_argument("--batches-at-once", type=int, default=1, help="batches drawn and searched together (1)")
    options = parser.parse_args()
    config = EfficientZeroConfig(targets=TargetConfig(batches_at_once=options.batches_at_once))
    counts = count(config, options.env_steps)
    for kind, (searched, inferred) in counts.items():
        print(f"{kind}: {searched:,.0f} positions searched and {inferred:,.0f} values inferred per update")
    print(f"searches: {counts['each_draw'][0] / counts['per_period'][0]:.2f} times fewer")


if __name__ == "__main__":
    main()
