"""The data set of a sweep that is kept in memory, in place of a store."""

import math
from typing import Any

import numpy as np

from .._numerics.memory import of_host, require_memory
from .layout import Index, Layout, box, shape


class Memory:
    """Arrays of all variables, written chunk by chunk.

    Attributes:
        layout: what they are. arrays: by the variables' names.

    Raises:
        MemoryError: more than this machine has.
    """

    def __init__(self, layout: Layout):
        self.layout, self.parts = layout, layout.parts
        variables = {n: x for part in layout.parts.values() for n, x in part.variables.items()}
        shapes = {name: shape(layout.sizes, each.dims) for name, each in variables.items()}
        needed = sum(math.prod(shapes[n]) * x.dtype.itemsize for n, x in variables.items())
        require_memory(needed, "a sweep of so many points needs", "give a store", of_host())
        self.arrays = {n: np.full(shapes[n], x.fill, x.dtype) for n, x in variables.items()}

    def resumed(self, part: str) -> set[Index]:
        """The chunks that need no work: none."""
        return set()

    def write(self, part: str, index: Index, arrays: dict[str, np.ndarray]) -> None:
        """Write a chunk."""
        at = box(self.layout.sizes, self.layout.parts[part], index)
        for name, values in arrays.items():
            self.arrays[name][at] = values

    def dataset(self) -> Any:
        """All of it as an `xarray.Dataset`."""
        import xarray as xr

        variables = {
            name: (each.dims, self.arrays[name], each.attrs)
            for part in self.layout.parts.values()
            for name, each in part.variables.items()
        }
        return xr.Dataset(variables, self.layout.coords, self.layout.attrs)
