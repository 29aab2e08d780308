"""Where the chunks of a sweep are computed: this process, an executor, a Dask cluster."""

from .choice import engine_of as engine_of
from .executor import OnExecutor as OnExecutor
from .here import Here as Here
from .protocol import Engine as Engine, Work as Work
