"""Benchmarks against named peers; see README.md for the protocol and results."""
