"""Benchmarks: sweeps of experiments, their report, and measurements of speed."""
