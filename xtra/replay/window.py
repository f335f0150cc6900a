"""The steps after each sampled transition, read from the replay: the part of a batch that depends on no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xtra.replay.buffer import ReplayBuffer, Sample

Float = NDArray[np.float32]
Int = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Window:
    """The steps from each sampled transition on: `[B, length]` places in the replay, clipped to the trajectory, and which are
    inside it."""

    def __init__(self, replay: ReplayBuffer, sample: Sample, length: int) -> None:
        self._replay = replay
        last = replay.last[replay.slots(sample.rows), sample.envs][:, None]
        end = np.minimum(last, replay.num_rows - 1)
        rows = sample.rows[:, None] + np.arange(length)
        self.inside: Mask = rows <= end
        self.rows: Int = np.minimum(rows, end)
        self.slots: Int = replay.slots(self.rows)
        self.envs: Int = np.broadcast_to(sample.envs[:, None], rows.shape)
        self._steps_to_end = end[:, 0] - sample.rows
        self._end_places = replay.slots(end[:, 0]), sample.envs
        self._has_final: Mask = replay.final_frames.known(*self._end_places)

    @property
    def observed(self) -> Mask:
        """A mask `[B, length - 1]` of the steps after which the next observation is known.

        After a trajectory's last step it is known if the replay was given the final frame.
        """
        inside, after = self.inside[:, :-1], self.inside[:, 1:]
        return after | (inside & self._has_final[:, None])

    def rewards(self, clip: bool) -> Float:
        """Returns the rewards, or their signs, `[B, length]`; 0 past the end."""
        rewards: Float = np.where(self.inside, self._replay.rewards[self.slots, self.envs], np.float32(0))
        return np.sign(rewards) if clip else rewards

    def frame_places(self, frame_stack: int, num_steps: int) -> tuple[Int, Int]:
        """Returns slots and environments, each `[B, frame_stack + num_steps]`, of the frames that `num_steps` + 1 observations
        are runs of.

        These are the first observation's stack, then one new frame per step.
        """
        replay, here = self._replay, (self.slots[:, :1], self.envs[:, :1])
        earlier = self.rows[:, :1] + np.arange(1 - frame_stack, 0)
        earlier = np.maximum(earlier, np.maximum(replay.first[here], replay.oldest_row))
        slots = np.concatenate([replay.slots(earlier), self.slots[:, : num_steps + 1]], axis=1)
        return slots, np.broadcast_to(here[1], slots.shape)

    def frames(self, frame_stack: int, num_steps: int) -> NDArray[np.uint8]:
        """Reads `[B, frame_stack + num_steps, H, W, C]`: the frames at `frame_places`, and past a trajectory's end its final
        frame."""
        frames = self._replay.frames.read(*self.frame_places(frame_stack, num_steps))
        places, final_frames = self.final_frames(frame_stack, num_steps)
        frames[places] = final_frames
        return frames

    def final_frames(self, frame_stack: int, num_steps: int) -> tuple[tuple[Int, Int], NDArray[np.uint8]]:
        """Reads the final frames that belong past a trajectory's end. Returns places `[P]` (sample, position) and frames `[P, H,
        W, C]`.

        The final frame is new once, then it is repeated (EfficientZero's released code).
        """
        past = np.arange(frame_stack + num_steps) >= (frame_stack + self._steps_to_end)[:, None]
        samples, positions = np.nonzero(past & self._has_final[:, None])
        slots, envs = self._end_places
        return (samples, positions), self._replay.final_frames.read(slots[samples], envs[samples])

    def actions(self, num_steps: int, action_ids: Int, rng: np.random.Generator) -> Int:
        """Returns the ids of the actions taken, `[B, num_steps]`; past the end, ids drawn uniformly from `action_ids`.

        They are drawn because whatever follows the end must look alike.
        """
        steps = slice(0, num_steps)
        padding = rng.choice(action_ids, (len(self.rows), num_steps))
        return np.where(self.inside[:, steps], self._replay.actions[self.slots[:, steps], self.envs[:, steps]], padding)
