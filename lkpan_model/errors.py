"""What can go wrong with a model, by name. Each message states the offending value and the remedy."""


class ModelError(Exception):
    """Base of every error that this package raises on purpose."""


class CheckpointError(ModelError):
    """A weights file is missing, damaged, of a future version or of another variant."""


class DeviceError(ModelError):
    """The requested device or precision is not available here."""
