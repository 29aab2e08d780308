"""The application: its commands, and how any of them ends.

Bad input is one line on standard error and exit code 2, a failed solve one line and 1.
"""

import sys
import warnings
from typing import Annotated

import jax
import typer

from .. import __version__
from ..errors import NotConverged
from . import (
    compare,
    curve,
    demo,
    doctor,
    map,
    parts,
    point,
    predict,
    spectrum,
    status,
    sweep,
    train,
    tune,
)
from .console import FigureFailed, Unfinished, fail, show_warning, told
from .deprecated import renewed

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which cuts words, and turns :100: into an emoji
    help="Exact theory and simulation of random-features denoising score matching.",
)
COMMANDS = (
    demo,
    point,
    curve,
    train,
    spectrum,
    sweep,
    status,
    map,
    parts,
    compare,
    predict,
    tune,
    doctor,
)
for each in COMMANDS:
    named = vars(each)[each.__name__.rpartition(".")[2]]
    epilog = f"\b\nExample:\n  rfdsm {each.EXAMPLE}"  # \b: not folded, to be copied
    if codes := getattr(each, "EXIT_CODES", ""):
        epilog = f"\b\nExit codes:\n{codes}\n\n{epilog}"
    app.command(epilog=epilog, short_help=named.__doc__.partition("\n\n")[0])(named)


def _version(asked: bool) -> None:
    if asked:
        print(f"rfdsm {__version__}")
        raise typer.Exit


@app.callback()
def _application(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print it.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the application with float64 on, and turn failures into one line."""
    jax.config.update("jax_enable_x64", True)
    warnings.showwarning = show_warning
    try:
        words = renewed(sys.argv[1:]) or ["--help"]
        code = app(words, prog_name="rfdsm", standalone_mode=False)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        fail(error, 2)
    except OSError as error:
        fail(told(error), 2)
    except Unfinished as error:
        fail(*error.args)
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}: pip install 'rfdsm[all]'", 2)
    except (NotConverged, FigureFailed) as error:
        fail(error, 1)
    except jax.errors.JaxRuntimeError as error:
        fail(f"{error} Smaller sizes may help, and rfdsm doctor says what can be trusted.", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        fail(error.format_message(), 2)  # typer's own, of the command line's words
    sys.exit(code or 0)
