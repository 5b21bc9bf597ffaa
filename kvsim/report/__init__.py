"""What people look at after a run: the timeline, traces, JUnit, comparisons."""
