"""The registered projects and their versions."""
