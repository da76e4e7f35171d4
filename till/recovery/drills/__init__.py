"""Drills: rehearsals with measured RPO and RTO."""
