"""Answers like PayPal's REST API, for labs and tests."""
