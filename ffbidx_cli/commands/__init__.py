"""The commands, one module each; the click command in each module is named `command`."""
