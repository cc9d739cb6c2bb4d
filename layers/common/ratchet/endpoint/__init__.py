"""An endpoint that serves approved models alone: staged, tried beside the one in service, moved, verified, tidied."""
