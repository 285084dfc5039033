"""A simulated OpenAI for trying Tieline without an account, and for tests. It knows nothing of the rest of Tieline."""
