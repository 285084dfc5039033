"""Which requests are traced, the context that goes on to the upstream, and the spans that are made of records."""
