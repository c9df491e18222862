"""The steps that make a database of any age one of today."""
