"""Till's runner: reads the contract, runs plays, asks gates, decides, writes the journal."""
