"""Arrays in one file, an uncompressed `.npz` that `numpy.load` reads and whose bytes depend on the arrays alone.

`numpy.savez` leaves the headers to `zipfile`, which names sizes and versions otherwise before Python 3.11.4: equal arrays then
give files of other bytes, and a dataset made again looks as if it were another.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIZES = slice(18, 26)
"""Where a local file header has the compressed and the plain size."""


class _Zip64Member(zipfile.ZipInfo):
    """A member whose local header has its sizes in the ZIP64 field alone, and which asks for a reader of that: as `zipfile` has
    written it since Python 3.11.4."""

    def FileHeader(self, zip64: bool | None = None) -> bytes:  # noqa: N802 (zipfile's name)
        """Returns the local file header."""
        self.create_version = self.extract_version = zipfile.ZIP64_VERSION
        header = bytearray(super().FileHeader(zip64))
        header[_SIZES] = b"\xff" * 8
        return bytes(header)


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes the arrays by their names, in their order. Equal arrays give equal bytes, whatever Python writes them."""
    with zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            with file.open(_Zip64Member(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
