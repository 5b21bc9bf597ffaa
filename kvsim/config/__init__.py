"""What users write, as frozen values: scenarios, clusters, programs, grading plans."""
