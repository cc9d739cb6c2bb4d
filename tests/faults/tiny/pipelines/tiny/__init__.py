"""A pipeline that trains in a blink: one linear model of two inputs."""
