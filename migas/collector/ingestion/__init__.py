"""A breadcrumb on its way into the database."""
