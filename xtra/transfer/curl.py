"""CURL pretrained on several games at once: its own Q-learning on their pooled data.

How the paper pretrained CURL is not public; this is ours. Nothing but the data's origin differs from CURL online: n-step targets,
double Q, views, priorities and target network are the same, each sample's maximum is over its own game's actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtra.agents.curl.agent import make_network
from xtra.agents.curl.batch import NStepTransitions, Tasks, make_batch, transitions
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.learning import CurlNetworks
from xtra.agents.curl.losses import priorities
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.sampling import TaskSampler
from xtra.transfer.tasks import Task


class PooledCurl:
    """view: how all games are seen; it names none. batch_size: samples per update, of all games together, which are also one
    another's contrasts."""

    def __init__(
        self, config: CurlConfig, view: EnvironmentConfig, tasks: Sequence[Task], batch_size: int, run: TrainingRun
    ) -> None:
        self._config, self._tasks, self._run = config, tasks, run
        self._sampler = TaskSampler(tasks, batch_size, config.replay, num_updates=run.num_updates, seed=run.seed)
        self._networks = CurlNetworks(config, make_network(config, view, run.seed, run.device))

    def update(self, update: int) -> dict[str, float]:
        """One joint step over samples of all games, then new priorities in every game's replay."""
        config, run, drawn = self._config, self._run, self._sampler.draw(update)
        samples = NStepTransitions.joined([transitions(self._tasks[d.task].replay, d.sample, config) for d in drawn])
        tasks = Tasks.of([self._tasks[d.task].game for d in drawn for _ in d.sample.rows], config, run.device)
        batch = make_batch(samples, tasks, self._networks.network, config, seed=run.seed, update=update)
        metrics, losses = self._networks.update(batch, update)
        self._sampler.set_priorities(drawn, priorities(losses, batch, config).double().cpu().numpy())
        return metrics | self._sampler.means(drawn, "value_loss", losses.value.detach().cpu().numpy())

    def state(self) -> dict[str, Any]:
        """Networks, optimiser and priorities."""
        return self._networks.state() | {"replays": self._sampler.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._networks.restore(state)
        self._sampler.restore(state["replays"])

    def network_state(self) -> dict[str, Any]:
        """The learning network's weights."""
        return self._networks.network.state_dict()
