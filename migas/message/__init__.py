"""What is said of a run: pure functions, which know neither files nor clocks nor networks."""
