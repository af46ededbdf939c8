"""Errors that a user can act on: one sentence of what was wanted, what came, what to do."""


class Sam2Error(Exception):
    """Base of the errors that napari-sam2 raises on purpose."""


class PromptError(Sam2Error, ValueError):
    """A prompt or an image cannot be used as it is."""


class WeightsError(Sam2Error, RuntimeError):
    """A checkpoint cannot be found, downloaded, trusted or fitted to a model."""


class DeviceError(Sam2Error, RuntimeError):
    """A graphics card no longer works for us."""


class MemoryFullError(DeviceError):
    """There is too little memory for the model, or for one picture.

    Attributes
    ----------
    device : str
        Whose memory, for people; empty for the computer's own, which the CPU needs as well.
    """

    def __init__(self, sentence: str, device: str = "") -> None:
        super().__init__(sentence)
        self.device = device


class ProjectError(Sam2Error, RuntimeError):
    """A session cannot be saved, opened or recovered."""


def sentence_of(error: Exception) -> str:
    """Give our own errors as they are; name the others, whose text alone may say little."""
    return str(error) if isinstance(error, Sam2Error) else f"{type(error).__name__}: {error}"
