"""Clients: one request on the wire, and what its reply means by the program's description."""
