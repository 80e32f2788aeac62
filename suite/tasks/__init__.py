"""Tasks, one file each: data, loss and evaluation."""
