"""The way to a migas server: requests with a hard deadline over a pool of kept connections."""
