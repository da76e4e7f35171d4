"""What dns-lexicon, as it is installed, knows of DNS providers. Reads the installed package; asks nobody."""

from __future__ import annotations

import argparse
from functools import cache
from types import ModuleType

# Finds out by itself who keeps a domain; a stack's settings say so.
GUESSES = "auto"


@cache
def known() -> dict[str, bool]:
    """Every provider, and whether what it needs besides dns-lexicon is installed."""
    from lexicon._private.discovery import find_providers

    return {name: there for name, there in find_providers().items() if name != GUESSES}


def module(name: str) -> ModuleType:
    """The module of a known provider; its class is `Provider`."""
    # The library's Client would load it too, but it first guesses the zone from a list that it fetches.
    from lexicon._private.discovery import load_provider_module

    return load_provider_module(name)


def options(name: str) -> frozenset[str]:
    """The options that a known provider understands, credentials included."""
    parser = argparse.ArgumentParser(add_help=False)
    module(name).Provider.configure_parser(parser)
    return frozenset(action.dest for action in parser._actions)
