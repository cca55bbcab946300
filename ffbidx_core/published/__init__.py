"""What stands behind the published Python interface, `import ffbidx`."""
