"""The core of ffbidx: from spots in reciprocal space to oriented cells. See docs/architecture.md for the way of a frame."""
