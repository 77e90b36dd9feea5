"""What was seen: samples, ends and marks, thresholds, validity and the verdict."""
