"""Pulumi's side of a stack: its settings, its contract, its process."""
