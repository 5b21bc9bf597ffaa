"""Reference stores with one planted bug each: every one must be caught by the check that bugs.yaml names."""
