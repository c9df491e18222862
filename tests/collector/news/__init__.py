"""What people hear of without looking."""
