from torch import Tensor

def write_observations(
    frames: Tensor, samples: Tensor, steps: Tensor, shifts: Tensor, scales: Tensor, out: Tensor, num_threads: int
) -> None:
    """Writes R observations, each of F consecutive frames from a place on, to `out`, `[R, H, W, F * C]` float32 in [0, 1].

    frames: `[B, L, H, W, C]` uint8, the frames of a run one after another. samples, steps: `[R]` int64, the run and the first
    frame of each. shifts: `[R, 2]` int64, how far down and to the right a pixel is taken from; beyond the edge it is the edge's.
    scales: `[R]` float32, of the brightness. Raises ValueError for arrays that do not belong together, IndexError for places
    outside the frames.
    """
