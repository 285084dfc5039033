"""What passes back: masking, content codings, events of streams, error texts."""
