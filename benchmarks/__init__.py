"""Benchmarks: each prints ratios against a peer, measured in the same run.

``python -m benchmarks`` runs all, ``python -m benchmarks encoder`` (``command``, ``recording``) one.
Milliseconds depend on the machine and its mood; ratios travel.
"""
