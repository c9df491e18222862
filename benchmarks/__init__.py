"""What a tracked program costs, measured side by side: `python -m benchmarks [TABLE ...]`."""
