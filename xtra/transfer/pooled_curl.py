"""CURL pretrained on several games at once: its own Q-learning on their pooled data.

How Xu et al. (2023) pretrained CURL is not public; this is ours. Only the data's origin differs from CURL online: n-step targets,
double Q, views, priorities and target network are the same, and each sample's maximum is over its own game's actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtra.agents.curl.agent import make_network
from xtra.agents.curl.batch import NStepTransitions, Tasks, make_batch, transitions
from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.learning import CurlNetworks, priorities
from xtra.agents.interface import TrainingRun
from xtra.envs.config import EnvironmentConfig
from xtra.transfer.offline_batches import TaskSampler
from xtra.transfer.registry import PretrainingSetup
from xtra.transfer.tasks import Task, load_tasks


class PooledCurl:
    """CURL on several games. view: the environment of all games, naming none. batch_size: samples per update, of all games
    together, which are also one another's negatives."""

    def __init__(
        self, config: CurlConfig, view: EnvironmentConfig, tasks: Sequence[Task], batch_size: int, run: TrainingRun
    ) -> None:
        self._config, self._tasks, self._run = config, tasks, run
        self._sampler = TaskSampler(tasks, batch_size, config.replay, num_updates=run.num_updates, seed=run.seed)
        self._networks = CurlNetworks(config, make_network(config, view, run.seed, run.device))

    def update(self, update: int) -> dict[str, float]:
        """Makes one joint step over samples of all games, then sets new priorities in every game's replay. Returns metrics."""
        config, run, samples = self._config, self._run, self._sampler.draw(update)
        joined = NStepTransitions.joined([transitions(self._tasks[one.task].replay, one.sample, config) for one in samples])
        tasks = Tasks.of([self._tasks[one.task].game for one in samples for _ in one.sample.rows], config, run.device)
        batch = make_batch(joined, tasks, self._networks.network, config, seed=run.seed, update=update)
        metrics, losses = self._networks.update(batch, update)
        self._sampler.set_priorities(samples, priorities(losses, batch, config).double().cpu().numpy())
        return metrics | self._sampler.means(samples, "value_loss", losses.value.detach().cpu().numpy())

    def state(self) -> dict[str, Any]:
        """Returns networks, optimiser and priorities."""
        return self._networks.state() | {"replays": self._sampler.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._networks.restore(state)
        self._sampler.restore(state["replays"])

    def network_state(self) -> dict[str, Any]:
        """Returns the learning network's weights."""
        return self._networks.network.state_dict()


def make_pooled_curl(setup: PretrainingSetup) -> PooledCurl:
    """Makes CURL's pretraining on the games' data."""
    agent = setup.agent
    assert isinstance(agent, CurlConfig)
    tasks = load_tasks(setup.games, setup.datasets, agent.replay, agent.window)
    return PooledCurl(agent, setup.environment, tasks, setup.pretraining.batch_size, setup.run)
