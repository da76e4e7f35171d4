"""Releases: built once, signed, told apart."""
