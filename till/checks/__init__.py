"""Is it served, can one buy, do hosts pass."""
