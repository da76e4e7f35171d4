"""Pytest's one conftest of the whole checkout: which tests run, in what order and beside which (tests/scheduling.py)."""

pytest_plugins = ["tests.scheduling"]
