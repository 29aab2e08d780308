"""The application: its commands, and how any of them ends.

Bad input is one line on standard error and exit code 2, a failed solve one line and 1.
"""

import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import jax
import typer
from typer.core import TyperGroup

from .. import __version__
from .._files.cache import enable_cache
from ..errors import NotConverged
from .console import FigureFailed, Unfinished, fail, show_warning, told
from .deprecated import renewed

# Modules of this folder, each with a function of its name.
COMMANDS = (
    "demo",
    "point",
    "curve",
    "train",
    "spectrum",
    "sweep",
    "status",
    "map",
    "parts",
    "compare",
    "predict",
    "tune",
    "doctor",
)
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,  # which cuts words, and turns :100: into an emoji
}


class _Commands(TyperGroup):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(dict.fromkeys([*COMMANDS, *self.commands]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.add_command(_imported(cmd_name), cmd_name)
        return super().get_command(ctx, cmd_name)


def _imported(name: str) -> Any:
    module = import_module(f".{name}", __package__)
    named = getattr(module, name)
    epilog = f"\b\nExample:\n  rfdsm {module.EXAMPLE}"  # \b: not folded, to be copied
    if codes := getattr(module, "EXIT_CODES", ""):
        epilog = f"\b\nExit codes:\n{codes}\n\n{epilog}"
    alone = typer.Typer(**PLAIN)
    alone.command(epilog=epilog, short_help=named.__doc__.partition("\n\n")[0])(named)
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=_Commands,
    help="Exact theory and simulation of random-features denoising score matching.",
    **PLAIN,
)


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
    """Run the application in float64, programs kept, and turn failures into one line."""
    jax.config.update("jax_enable_x64", True)
    warnings.showwarning = show_warning
    enable_cache()
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
