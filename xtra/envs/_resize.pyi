import numpy as np
from numpy.typing import NDArray

class AreaResize:
    """Pictures `[height, width, C]` of bytes, C = 3 or 1, made `[size, size, C]` by area. Raises ValueError for other shapes."""

    def __init__(self, height: int, width: int, size: int) -> None: ...
    def __call__(self, picture: NDArray[np.uint8], result: NDArray[np.uint8]) -> None: ...
