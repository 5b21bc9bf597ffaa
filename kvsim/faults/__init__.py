"""Faults: each kind beside its declaration, with measured evidence and recovery."""
