"""Reference stores, each with a planted bug. `bugs.yaml` names the check that must find it."""
