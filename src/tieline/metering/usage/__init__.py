"""How usage is read from what upstreams answer: one module for each provider's way, and one for what is declared."""
