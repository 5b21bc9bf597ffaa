"""Loads: clients in their own process that record every operation."""
