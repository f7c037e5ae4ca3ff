"""What can go wrong, by name. Each message states the offending value and the remedy."""


class LkpanError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(LkpanError):
    """A parameter is unknown, of the wrong type or out of its range."""


class MapError(LkpanError):
    """A map (GeoTIFF, XYZ folder, world file, CSV) cannot be read or cannot serve as a gallery's source."""


class GalleryError(LkpanError):
    """A gallery file is missing, damaged, of a future version or was made with another encoder."""


class FlightError(LkpanError):
    """A recorded flight (flight.csv, rosbag) cannot be read."""


class ImageError(LkpanError):
    """An image (file or message) cannot be decoded, or its size, step or encoding contradict its data."""


class SignatureError(LkpanError):
    """A gallery, weights or a calibration is not signed by the key that is asked for, or a key cannot be read."""
