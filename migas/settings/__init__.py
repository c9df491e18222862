"""Whether anything may be sent, where to, and as whom."""
