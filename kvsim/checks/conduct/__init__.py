"""How the nodes behaved in one run: one file a check, each a pure function from a Record to (how many judged, findings)."""
