"""Rollouts: a new release takes over step by step beside the old one, and is judged at each look."""
