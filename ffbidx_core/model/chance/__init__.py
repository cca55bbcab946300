"""How likely chance explains a crystal, and how many false ones are expected."""
