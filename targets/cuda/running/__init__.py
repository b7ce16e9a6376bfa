"""On a device: the driver is all that is needed."""
