"""One batch of frames in, its crystals out: search, acceptance, last fit, reasons, further tries."""
