"""Those who call the systems: what they send, what they count. Their cost is not counted."""
