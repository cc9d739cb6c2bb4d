"""Data for the laptop target's tables: prices, the strategies' returns on them, embeddings of the path before."""
