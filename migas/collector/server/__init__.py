"""The processes that serve a collector, and what they do beside answering."""
