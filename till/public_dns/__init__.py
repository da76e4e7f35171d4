"""Who answers for the public zone, and its records at a provider."""
