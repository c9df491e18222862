"""How a breadcrumb leaves the program: written down, and a courier started for it."""
