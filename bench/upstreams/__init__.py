"""What the systems relay to, and the certificates it shows. Its cost is not counted."""
