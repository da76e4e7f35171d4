"""Which tests run, in what order and in which process, for the whole checkout (tests/scheduling.py)."""

pytest_plugins = ["tests.scheduling"]
