"""What a hostile or broken writer hands to each reader: inputs from a seed, and what the reader may make of them."""
