"""Networks, with and without the normalisation that Normalize-and-Project assumes."""
