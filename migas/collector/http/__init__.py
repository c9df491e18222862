"""What a collector answers over HTTP, beside its pages."""
