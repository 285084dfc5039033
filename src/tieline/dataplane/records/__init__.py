"""What is kept about requests."""
