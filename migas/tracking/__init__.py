"""What a run is: when it opens, which one speaks, and how it ends."""
