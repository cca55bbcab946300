"""The implementation of the published Python interface, `import ffbidx`."""
