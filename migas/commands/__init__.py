"""What the `migas` command does, one concept a module; `migas.cli` finds the way to them."""
