"""Timings of Turnout beside its peers; `python -m benchmarks --help`, and README.md for what to conclude."""
