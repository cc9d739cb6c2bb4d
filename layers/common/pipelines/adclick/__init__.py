"""Whether a person clicks on an advertisement, from what is known when it is shown."""
