"""What a run recorded: events, requests, operations, and histories of other tools."""
