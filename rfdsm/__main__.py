"""Entry of the `rfdsm` command, with a clear line where its libraries are missing."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .cli.app import run
    except ModuleNotFoundError as error:
        print(
            f"rfdsm: the command line needs {error.name}: pip install 'rfdsm[all]'",
            file=sys.stderr,
        )
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
