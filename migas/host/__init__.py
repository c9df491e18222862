"""What the operating system tells of this process and its machine, and what it lets us do."""
