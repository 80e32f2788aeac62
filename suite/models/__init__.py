"""Networks, with and without the norm layers that Normalize-and-Project needs."""
