"""Guarantees judged without the leader's log, by real time and what clients and nodes observed."""
