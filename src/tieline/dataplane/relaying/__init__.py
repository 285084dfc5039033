"""A request passed through to an API and its answer passed back, or a tunnel."""
