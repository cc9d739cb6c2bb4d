"""The pipelines of the kill tests, in place of the product's."""
