"""The process that sends: it empties the spool, and it can never hang."""
