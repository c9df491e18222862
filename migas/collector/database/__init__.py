"""The database itself: engine, connections and tables, and what it means when it fails."""
