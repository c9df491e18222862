"""Sessions, users and counts: kept, made anew, taken back, and read."""
