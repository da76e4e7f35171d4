"""Where releases run: a folder for each platform."""
