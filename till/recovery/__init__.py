"""Moves of the leader, restores, backups, drills."""
