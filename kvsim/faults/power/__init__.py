"""What a power cut may leave of a data directory, by the record of the preloaded library."""
