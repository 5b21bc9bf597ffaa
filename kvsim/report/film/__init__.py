"""The film of a run: one self-contained page that shows who did what when. Reads run directories; judges nothing."""
