"""Pure statistics of releases, for the rollout and for the watch after it (docs/adr/0019, 0027)."""
