"""Sessions, users and daily counts: kept, made anew, taken back, and read."""
