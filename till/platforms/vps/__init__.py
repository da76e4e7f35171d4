"""Rented hosts: HAProxy at the edge, two slots of releases, all by SSH."""
