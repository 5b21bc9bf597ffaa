"""Runs one scenario: its cluster, its steps, its clean end, its record."""
