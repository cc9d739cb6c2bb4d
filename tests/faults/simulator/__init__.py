"""The coordinating code of the product, interleaved step by step with itself under every fault that a request can meet.

`python -m tests.faults.simulator --help`, or `make faults N=100000`.
"""
