"""The diagnostics, grouped by subject. `registry` finds every module of this folder."""
