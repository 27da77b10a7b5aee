"""URLs in images and PDF files. To be called in a worker process (`workers.py`): the libraries read hostile files.

Barcodes by zxing-cpp, images by Pillow, PDF by pypdf (ISO 32000-2, 12.6.4.8: URI actions).
"""

import io
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import pypdf
import zxingcpp
from PIL import Image, ImageSequence

MAX_PIXELS = 50_000_000
"""Of one image."""
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
_FRAMES = 5
_PAGES = 50
_PAGE_IMAGES = 10
_ANNOTATIONS = 1_000
_URL_CHARACTERS = 8_192
_MOST = 500
_Found = dict[str, list[str]]
"""What was found, by place, and under "unread" why that may not be all."""


def look_into_image(pieces: list[bytes]) -> _Found:
    """What its barcodes say."""
    found: _Found = {"qr": [], "unread": []}
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(b"".join(pieces)), formats=_FORMATS) as image,
        ):
            _look_at_frames(image, found)
    except MemoryError:  # told by who gave us the memory
        raise
    except Exception:  # noqa: BLE001 - Pillow raises whatever a broken file leads it to
        found["unread"].append("an image cannot be read")
    return found


def _look_at_frames(image: Image.Image, found: _Found) -> None:
    if image.width * image.height > MAX_PIXELS:
        found["unread"].append("an image is too large")
        return
    for frame in itertools.islice(ImageSequence.Iterator(image), _FRAMES):
        found["qr"].extend(_codes(frame))
    if getattr(image, "n_frames", 1) > _FRAMES:
        found["unread"].append(f"an image has more than {_FRAMES} frames")


def _codes(image: Image.Image) -> list[str]:
    """On white where it is transparent, as mail clients show it."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    codes = zxingcpp.read_barcodes(image.convert("L"))
    return [code.text[:_URL_CHARACTERS] for code in codes[:_MOST]]


def look_into_pdf(pieces: list[bytes], images: bool) -> _Found:
    """Where its links lead, and what the barcodes on its pages say."""
    found: _Found = {"pdf": [], "qr": [], "unread": []}
    try:
        reader = pypdf.PdfReader(io.BytesIO(b"".join(pieces)))
        if reader.is_encrypted and not reader.decrypt(""):
            found["unread"].append("a PDF file is encrypted")
            return found
        found["pdf"].extend(_actions([reader.root_object.get("/OpenAction")]))
        for page in itertools.islice(reader.pages, _PAGES):
            _look_at_page(page, images, found)
        if len(reader.pages) > _PAGES:
            found["unread"].append(f"a PDF file has more than {_PAGES} pages")
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - pypdf raises whatever a broken file leads it to
        found["unread"].append("a PDF file cannot be read")
    return found


def _look_at_page(page: pypdf.PageObject, images: bool, found: _Found) -> None:
    annotations = [annotation.get_object() for annotation in (page.annotations or [])[: _ANNOTATIONS + 1]]
    if len(annotations) > _ANNOTATIONS:
        found["unread"].append(f"a PDF page has more than {_ANNOTATIONS} annotations")
    found["pdf"].extend(_actions(annotation.get("/A") for annotation in annotations))
    if not images:
        return
    for name in page.images.keys()[:_PAGE_IMAGES]:
        image = page.images[name].image
        if image is not None:
            _look_at_frames(image, found)
    if len(page.images) > _PAGE_IMAGES:
        found["unread"].append(f"a PDF page has more than {_PAGE_IMAGES} images")


def _actions(actions: Any) -> Iterator[str]:
    """The targets of URI actions, and of what opens another file."""
    for reference in actions:
        action = reference.get_object() if reference is not None else None
        target = action.get("/URI", action.get("/F")) if isinstance(action, dict) else None
        if isinstance(target, bytes):
            target = target.decode("utf-8", "replace")
        if isinstance(target, str):
            yield target[:_URL_CHARACTERS]
