"""Strategy returns of the next 10 minutes from two text embeddings."""
