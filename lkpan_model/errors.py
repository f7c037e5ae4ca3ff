"""What can go wrong with a model, by name. Each message states the offending value and the remedy."""


class ModelError(Exception):
    """Base of every error that this package raises on purpose."""


class CheckpointError(ModelError):
    """A weights file is missing, damaged, of a future version or of another variant."""


class DeviceError(ModelError):
    """The requested device or precision is not available here."""


class ConfigError(ModelError):
    """An encoder config or variant is unknown, of the wrong type or out of its range."""


class InputError(ModelError):
    """An image or tensor given to the model has the wrong type, dtype or shape."""
