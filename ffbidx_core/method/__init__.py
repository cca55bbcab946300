"""The method, which finds the crystals on a batch of frames: search, acceptance, last fit, reasons, further tries."""
