"""What a project's people want to hear of without looking, and what others may see."""
