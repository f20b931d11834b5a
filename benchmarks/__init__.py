"""Benchmarks: each prints ratios against a peer, measured in the same run.

``python -m benchmarks`` runs all, ``python -m benchmarks NAME`` one: encoder, command, recording,
dmabuf.
Milliseconds depend on the machine and its mood; ratios travel.
"""
