"""What autovibe ships for tests, benchmarks and the demo: a scripted model, conformance kits."""
