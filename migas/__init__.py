"""Tell the makers of a program how its runs really end, without getting in the way of a run."""
