"""Rollouts: plans, gates, platforms."""
