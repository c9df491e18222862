"""The `migas` command, one concept a file; `main` finds the way to them."""
