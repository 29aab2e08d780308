"""The command line; a command a file: its options, its order of work, its words and tables."""

from .app import run as run
