"""Synthetic speech: espeak-ng, from the package espeakng-loader (a shared library and its voices), called by ctypes."""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

PACKAGE = "espeakng-loader==0.2.4"
RATE = 16000  # What say() gives has so many samples per second.
VOICES = ("en-us", "en-gb", "en-us+f2", "en-us+m3", "en-gb+m1", "en-us+f4")
_SYNCHRONOUS, _CHARACTERS_AUTO, _PITCH, _SPEED = 2, 0, 3, 1
_ESPEAK_RATE = 22050
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Speaker:
    def __init__(self, folder: Path):
        self._heard = []
        self._library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(folder).encode(), 0) != _ESPEAK_RATE:
            raise RuntimeError(f"espeak-ng does not start with the data in {folder}")
        self._callback = _Callback(self._hear)  # It is held here, as the library keeps only its address.
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples, count, events):
        if samples and count > 0:
            self._heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text, voice, speed, pitch):
        self._heard.clear()
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(_SPEED, speed, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        spoken = text.encode()
        self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, 1, None, None)
        return np.concatenate(self._heard)


@cache
def _speaker(folder):
    return _Speaker(folder)


def say(folder: Path, text: str, voice: str = VOICES[0], speed: int = 165, pitch: int = 50) -> np.ndarray:
    """Speaks a text: float32 [samples] in -1..1, RATE samples a second.

    folder: where PACKAGE is installed; speed: words a minute; pitch: 0 to 99."""
    spoken = _speaker(folder / "espeakng_loader").say(text, voice, speed, pitch)
    return (resample_poly(spoken.astype("float32"), 320, 441) / 32768).astype("float32")


def spoken(folder: Path, text: str, random) -> np.ndarray:
    """Speaks a text by any voice, at any usual speed and pitch: float32 [samples], as `say`."""
    return say(
        folder, text, VOICES[random.integers(len(VOICES))], int(random.integers(140, 190)), int(random.integers(35, 65))
    )
