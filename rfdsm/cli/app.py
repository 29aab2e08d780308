"""The application: its commands, and how any of them ends.

Bad input is one line on standard error and exit code 2, a failed solve one line and 1.
"""

import sys
import warnings

import jax
import typer

from ..errors import NotConverged
from . import curve, demo, doctor, point, predict, spectrum, train, tune
from .console import fail, show_warning
from .deprecated import renewed

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Exact theory and simulation of random-features denoising score matching.",
)
for command in (demo.demo, point.point, curve.curve, train.train, spectrum.spectrum,
                predict.predict, tune.tune, doctor.doctor):  # fmt: skip
    app.command()(command)


def run() -> None:
    """Run the application with float64 on, and turn failures into one line."""
    jax.config.update("jax_enable_x64", True)
    warnings.showwarning = show_warning
    try:
        app(renewed(sys.argv[1:]))
    except (ValueError, TypeError) as error:
        fail(error, 2)
    except OSError as error:
        fail(f"{error.strerror or error}: {error.filename}", 2)
    except NotConverged as error:
        fail(error, 1)
